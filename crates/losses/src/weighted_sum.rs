use crate::setting::above_zero;
use crate::{Accepts, Batch, Error, Loss, LossValue, PartValue, Result};
use candle_core::{Tensor, Var};

/// Several losses of one batch, weighed and added.
///
/// ```text
/// L = sum_k  w_k L_k
/// ```
/// # Shapes
/// Those of the parts. `terms` and `active` are sums over the parts; `parts` has each by itself.
///
/// # Gradient
/// To the embeddings and to the variables of all parts, which are named `PART.VARIABLE`.
///
/// # Errors
/// That of the first part that has one, and [`Error::TooFew`] if there is no part.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Contrastive, Loss, NPairMc, WeightedSum};
/// # use npair_types::Labels;
/// let sum = WeightedSum::new()
///     .and("n-pair", 1., NPairMc)?
///     .and("pull", 0.5, Contrastive::new(1.)?)?;
/// let x = Tensor::zeros((4, 3), candle_core::DType::F64, &Device::Cpu)?;
/// let loss = sum.forward(&Batch::new(&x, &Labels::new([1, 1, 2, 2])?)?)?;
/// // log 2; two pairs of one class at 0, four of two classes at (1 - 0)^2.
/// assert!((loss.to_f64()? - (2f64.ln() + 0.5 * 4. / 6.)).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (2 + 6, 2 + 4));
/// assert_eq!(loss.parts[1].loss.to_f64()?, 4. / 6.);
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

impl WeightedSum {
    /// Nothing yet: a loss without parts is an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more part, of weight > 0; its name stands before those of its variables.
    ///
    /// # Errors
    /// [`Error::Setting`] if the weight is out of range, [`Error::Twice`] if there is a part of that name.
    pub fn and(mut self, name: &str, weight: f64, loss: impl Loss + 'static) -> Result<Self> {
        let weight = above_zero("the weight of a loss", weight)?;
        if self.parts.iter().any(|part| part.name == name) {
            return Err(Error::Twice { name: name.to_owned() });
        }
        self.parts.push(Part { name: name.to_owned(), weight, loss: Box::new(loss) });
        Ok(self)
    }
}

impl std::fmt::Debug for WeightedSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.parts.iter().map(|part| (&part.name, part.weight))).finish()
    }
}

impl Loss for WeightedSum {
    /// A part that meets no reference takes the batch alone.
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let mut parts = Vec::with_capacity(self.parts.len());
        let mut sum: Option<Tensor> = None;
        for Part { name, weight, loss } in &self.parts {
            let value = match loss.accepts().meets_reference() || batch.reference().is_none() {
                true => loss.forward(batch)?,
                false => loss.forward(&batch.alone())?,
            };
            let weighed = (&value.value * *weight)?;
            sum = Some(match sum {
                None => weighed,
                Some(sum) => (sum + weighed)?,
            });
            parts.push(PartValue { name: name.clone(), weight: *weight, loss: value });
        }
        let value = sum.ok_or_else(|| Error::too_few(self.name(), "parts", 1, 0))?;
        let terms = parts.iter().map(|part| part.loss.terms).sum();
        let active = parts.iter().map(|part| part.loss.active).sum();
        Ok(LossValue { value, terms, active, parts })
    }

    fn accepts(&self) -> Accepts {
        let all = self.parts.iter().map(|part| part.loss.accepts());
        all.reduce(Accepts::and).unwrap_or(Accepts::labels())
    }

    fn name(&self) -> &str {
        "weighted sum of losses"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        let of = |part: &Part| {
            let prefix = part.name.clone();
            part.loss.variables().into_iter().map(move |(name, var)| (format!("{prefix}.{name}"), var))
        };
        self.parts.iter().flat_map(of).collect()
    }
}
