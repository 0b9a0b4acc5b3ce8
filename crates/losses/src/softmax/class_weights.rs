use super::long_tail::OfClasses;
use crate::device::{is_on_device, to_f64, upload};
use crate::rows::{dots, expect_matrix, pick, unit_rows};
use crate::{Batch, Error, LossContext, LossValue, Result};
use candle_core::{DType, Tensor, Var};
use npair_similarity::{Mask, Similarity};
use npair_types::{ClassId, Labels, Measure};
use rand::Rng;
use std::collections::HashMap;

/// The weights of a loss that has rows of its own for every class: proxies, centers, class directions.
#[derive(Debug, Clone)]
pub(crate) struct ClassWeights {
    loss: &'static str,
    weights: Tensor,
    /// The same as a variable, if it is the loss's own to train.
    variable: Option<Var>,
    /// Class of every row of the weights.
    of_rows: Labels,
    places: HashMap<ClassId, usize>,
    /// What the terms of a class weigh.
    of_terms: OfClasses,
}

impl ClassWeights {
    /// `per_class` rows for every class, uniform within `1 / sqrt(D)`.
    pub(crate) fn new(loss: &'static str, per_class: usize, context: &mut LossContext) -> Result<Self> {
        check_classes(loss, context.classes, per_class)?;
        let weights = uniform_rows(loss, context.classes.len() * per_class, context)?;
        let made = Self::from_parts(loss, context.classes, per_class, &weights)?;
        Ok(Self { variable: Some(weights), ..made })
    }

    /// Given weights (C * per class, D), the rows of a class one after the other, classes in the order of `classes`.
    pub(crate) fn from_parts(
        loss: &'static str,
        classes: &[ClassId],
        per_class: usize,
        weights: &Tensor,
    ) -> Result<Self> {
        let places = check_classes(loss, classes, per_class)?;
        let rows = classes.len() * per_class;
        if expect_matrix("weights", weights)?.0 != rows {
            return Err(Error::Shape { what: "weights", got: weights.dims().to_vec(), want: format!("({rows}, D)") });
        }
        let of_rows = Labels::from_ids(classes.iter().flat_map(|&c| std::iter::repeat_n(c, per_class)).collect())?;
        let of_terms = OfClasses::default();
        Ok(Self { loss, weights: weights.clone(), variable: None, of_rows, places, of_terms })
    }

    /// The same, the terms of each class times its weight.
    pub(crate) fn with_term_weights(self, weights: &[f64]) -> Result<Self> {
        let of_terms = OfClasses::new("the weights of classes", weights, (self.classes(), 1.))?;
        Ok(Self { of_terms, ..self })
    }

    /// The mean of terms (B) of classes at these places, each times the weight of its class.
    pub(crate) fn mean(&self, terms: &Tensor, places: &[usize]) -> Result<Tensor> {
        self.of_terms.mean(terms, places)
    }

    pub(crate) fn variables(&self, name: &'static str) -> Vec<(String, Var)> {
        self.variable.iter().map(|v| (name.to_owned(), v.clone())).collect()
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.places.len()
    }

    /// Class of every row of the weights.
    pub(crate) fn of_rows(&self) -> &Labels {
        &self.of_rows
    }

    /// The weights scaled to length 1.
    pub(crate) fn unit(&self) -> Result<Tensor> {
        unit_rows(&self.weights)
    }

    /// The place of every label's class among the classes, once width, number type and labels fit.
    pub(crate) fn places(&self, batch: &Batch) -> Result<Vec<usize>> {
        let embeddings = batch.embeddings();
        expect_width(embeddings, self.weights.dim(1)?)?;
        if embeddings.dtype() != self.weights.dtype() {
            let dtype =
                format!("{:?} with {:?} weights of the {}", embeddings.dtype(), self.weights.dtype(), self.loss);
            return Err(npair_similarity::Error::DType { what: "an embedding", dtype }.into());
        }
        let place = |c: &ClassId| self.places.get(c).copied().ok_or(Error::UnknownClass(*c));
        batch.labels().as_slice().iter().map(place).collect()
    }

    /// Cosines (B) in f64 of every row and its own class, for one row of weights per class.
    pub(crate) fn own_cosines(&self, unit64: &Tensor, places: &[usize]) -> Result<Tensor> {
        dots(unit64, &unit_rows(&to_f64(&pick(&self.weights, places)?)?)?)
    }

    /// Cosines (B, C, per class) in f64, each an entry of the graph; in f32 where the device has no f64.
    pub(crate) fn cosines(&self, embeddings: &Tensor) -> Result<Tensor> {
        let rows = unit_rows(&to_f64(embeddings)?)?;
        let cosines = rows.matmul(&unit_rows(&to_f64(&self.weights)?)?.t()?)?;
        let b = cosines.dim(0)?;
        let per_class = self.of_rows.len() / self.classes();
        let bad = |t: &Tensor| -> Result<Option<usize>> {
            let sums = t.detach().sum(1)?.to_vec1::<f64>()?;
            Ok(sums.iter().position(|v| !v.is_finite()))
        };
        // On a device nobody looks: the loss is not finite then, which is seen when it is read.
        if !is_on_device(&cosines)
            && let Some(row) = bad(&cosines)?
        {
            // One bad row of the weights makes every row of the cosines bad.
            let side = if bad(&rows)?.is_some() { "embeddings" } else { "weights" };
            let row = if side == "weights" { bad(&self.weights.to_dtype(DType::F64)?)?.unwrap_or(row) } else { row };
            return Err(npair_similarity::Error::NotFinite { side, row }.into());
        }
        Ok(cosines.reshape((b, self.classes(), per_class))?)
    }

    /// Cross-entropy of `scale * cosine` logits in which that of the own class is `scale * own(cosine, place of the class)`, streamed
    /// over the classes; the core of the margin losses.
    pub(crate) fn margin_softmax(
        &self,
        batch: &Batch,
        scale: f64,
        own: impl FnOnce(&Tensor, &[usize]) -> Result<Tensor>,
    ) -> Result<LossValue> {
        let places = self.places(batch)?;
        let rows = unit_rows(&to_f64(batch.embeddings())?)?;
        let own = (own(&self.own_cosines(&rows, &places)?, &places)? * scale)?;
        self.cross_entropy(&(rows * scale)?, (&own, &places), batch)
    }

    /// Cross-entropy of the logits `queries . unit weights` in which that of the own class, at its place, is `own` (B).
    pub(crate) fn cross_entropy(
        &self,
        queries: &Tensor,
        (own, places): (&Tensor, &[usize]),
        batch: &Batch,
    ) -> Result<LossValue> {
        let (labels, dtype) = (batch.labels(), batch.embeddings().dtype());
        let all = Similarity::new(&queries.to_dtype(dtype)?, &self.unit()?, Measure::Dot)?;
        let terms = all.log1p_sum_exp_above(&own.to_dtype(dtype)?, &Mask::other_class(labels, &self.of_rows))?;
        Ok(LossValue::smooth(self.mean(&terms, places)?, labels.len()))
    }
}

/// The place of every class, once there are at least two of them and none twice.
pub(crate) fn check_classes(loss: &str, classes: &[ClassId], per_class: usize) -> Result<HashMap<ClassId, usize>> {
    let places: HashMap<ClassId, usize> = classes.iter().zip(0..).map(|(&c, at)| (c, at)).collect();
    if places.len() < 2 || places.len() != classes.len() {
        return Err(Error::too_few(loss, "distinct classes", 2, places.len()));
    }
    if per_class == 0 {
        return Err(Error::too_few(loss, "centers per class", 1, 0));
    }
    Ok(places)
}

/// A variable of rows for a loss, uniform within `1 / sqrt(D)`.
pub(crate) fn uniform_rows(loss: &str, rows: usize, context: &mut LossContext) -> Result<Var> {
    let d = context.width;
    if d == 0 {
        return Err(Error::too_few(loss, "embedding dimensions", 1, 0));
    }
    let bound = 1. / (d as f64).sqrt();
    let values: Vec<f64> = (0..rows * d).map(|_| bound * (2. * context.rng.random::<f64>() - 1.)).collect();
    Ok(Var::from_tensor(&upload(values, (rows, d), context.dtype, context.device)?)?)
}

/// An error unless embeddings are (B, `width`).
pub(crate) fn expect_width(embeddings: &Tensor, width: usize) -> Result<()> {
    match expect_matrix("embeddings", embeddings)? {
        (_, d) if d == width => Ok(()),
        (b, d) => Err(Error::Shape { what: "embeddings", got: vec![b, d], want: format!("(B, {width})") }),
    }
}
