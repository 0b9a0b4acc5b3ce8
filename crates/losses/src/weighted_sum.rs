use crate::{Error, Gallery, GalleryLoss, Loss, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::Labels;

/// Several losses of one batch, weighed and added.
///
/// ```text
/// L = sum_k  w_k L_k
/// ```
/// # Shapes
/// Those of the parts. `terms` and `active` are sums over the parts; [`parts_of`](Self::parts_of) has each by itself.
///
/// # Gradient
/// To the embeddings and to the variables of all parts, which are named `PART.VARIABLE`.
///
/// # Errors
/// That of the first part that has one.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Contrastive, NPairMc, WeightedSum};
/// # use npair_losses::Loss;
/// # use npair_types::Labels;
/// let sum = WeightedSum::new()
///     .and("n-pair", 1., NPairMc)?
///     .and("pull", 0.5, Contrastive::new(1.)?)?;
/// let x = Tensor::zeros((4, 3), candle_core::DType::F64, &Device::Cpu)?;
/// let loss = sum.forward(&x, &Labels::new([1, 1, 2, 2])?)?;
/// // log 2; two pairs of one class at 0, four of two classes at (1 - 0)^2.
/// assert!((loss.to_f64()? - (2f64.ln() + 0.5 * 4. / 6.)).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (2 + 6, 2 + 4));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Default)]
pub struct WeightedSum {
    parts: Vec<Part>,
}

struct Part {
    name: String,
    weight: f64,
    loss: Box<dyn Loss>,
}

/// What a part of a [`WeightedSum`] was in a batch.
#[derive(Debug, Clone)]
pub struct PartValue {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its loss, not weighed.
    pub loss: LossValue,
}

impl WeightedSum {
    /// Nothing yet: a loss without parts is an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more part, of weight > 0; its name stands before those of its variables.
    ///
    /// # Errors
    /// [`Error::Setting`] if the weight is out of range, [`Error::Twice`] if there is a part of that name.
    pub fn and(self, name: &str, weight: f64, loss: impl Loss + 'static) -> Result<Self> {
        self.and_boxed(name, weight, Box::new(loss))
    }

    /// The same for a loss that is known at run time only.
    ///
    /// # Errors
    /// As [`and`](Self::and).
    pub fn and_boxed(mut self, name: &str, weight: f64, loss: Box<dyn Loss>) -> Result<Self> {
        let weight = crate::setting::above_zero("the weight of a loss", weight)?;
        if self.parts.iter().any(|part| part.name == name) {
            return Err(Error::Twice { name: name.to_owned() });
        }
        self.parts.push(Part { name: name.to_owned(), weight, loss });
        Ok(self)
    }

    /// The sum, and each part by itself.
    ///
    /// # Errors
    /// As the type's documentation says, and [`Error::TooFew`] if there is no part.
    pub fn parts_of(&self, gallery: &Gallery) -> Result<(LossValue, Vec<PartValue>)> {
        let mut values = Vec::with_capacity(self.parts.len());
        let mut sum: Option<Tensor> = None;
        for Part { name, weight, loss } in &self.parts {
            // A part that cannot meet a memory takes the batch alone.
            let value = match loss.as_gallery_loss() {
                Some(loss) => loss.against(gallery)?,
                None => loss.forward(gallery.queries(), gallery.of_queries())?,
            };
            let weighed = (&value.value * *weight)?;
            sum = Some(match sum {
                None => weighed,
                Some(sum) => (sum + weighed)?,
            });
            values.push(PartValue { name: name.clone(), weight: *weight, loss: value });
        }
        let what = "parts";
        let value = sum.ok_or(Error::TooFew { loss: "weighted sum of losses", what, least: 1, got: 0 })?;
        let terms = values.iter().map(|part| part.loss.terms).sum();
        let active = values.iter().map(|part| part.loss.active).sum();
        Ok((LossValue { value, terms, active }, values))
    }
}

impl std::fmt::Debug for WeightedSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.parts.iter().map(|part| (&part.name, part.weight))).finish()
    }
}

impl Loss for WeightedSum {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.against(&Gallery::of(embeddings, labels)?)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let of = |part: &Part| {
            let prefix = part.name.clone();
            part.loss.variables().into_iter().map(move |(name, var)| (format!("{prefix}.{name}"), var))
        };
        self.parts.iter().flat_map(of).collect()
    }

    fn as_gallery_loss(&self) -> Option<&dyn GalleryLoss> {
        let any = self.parts.iter().any(|part| part.loss.as_gallery_loss().is_some());
        any.then_some(self as &dyn GalleryLoss)
    }
}

impl GalleryLoss for WeightedSum {
    /// Parts that cannot meet a memory take the batch alone.
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        Ok(self.parts_of(gallery)?.0)
    }
}
