use crate::away::{is_away, upload, wide};
use crate::rows::{dots, expect_matrix, pick, unit_rows};
use crate::{Error, LossValue, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::{Mask, Similarity};
use npair_types::{ClassId, Labels, Measure};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// The weights of a loss that has rows of its own for every class: proxies, centres, class directions.
#[derive(Debug, Clone)]
pub(crate) struct ClassWeights {
    loss: &'static str,
    weights: Tensor,
    /// The same as a variable, if it is the loss's own to train.
    variable: Option<Var>,
    /// Class of every row of the weights.
    of_rows: Labels,
    places: HashMap<ClassId, usize>,
}

impl ClassWeights {
    /// `per_class` rows of width `d` for every class, uniform within `1 / sqrt(D)`.
    pub(crate) fn new(
        loss: &'static str,
        classes: &[ClassId],
        per_class: usize,
        d: usize,
        rng: &mut ChaCha8Rng,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        check_classes(loss, classes, per_class)?;
        if d == 0 {
            return Err(Error::TooFew { loss, what: "embedding dimensions", least: 1, got: 0 });
        }
        let bound = 1. / (d as f64).sqrt();
        let rows = classes.len() * per_class;
        let values: Vec<f64> = (0..rows * d).map(|_| bound * (2. * rng.random::<f64>() - 1.)).collect();
        let weights = Var::from_tensor(&upload(values, (rows, d), dtype, device)?)?;
        let made = Self::from_parts(loss, classes, per_class, &weights)?;
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
        Ok(Self { loss, weights: weights.clone(), variable: None, of_rows, places })
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

    /// The place of every label's class among the classes, once shapes, number type and labels fit.
    pub(crate) fn places(&self, embeddings: &Tensor, labels: &Labels) -> Result<Vec<usize>> {
        let (b, d) = expect_matrix("embeddings", embeddings)?;
        let width = self.weights.dim(1)?;
        if d != width {
            return Err(Error::Shape { what: "embeddings", got: vec![b, d], want: format!("(B, {width})") });
        }
        labels.expect_len(b)?;
        if embeddings.dtype() != self.weights.dtype() {
            let dtype =
                format!("{:?} with {:?} weights of the {}", embeddings.dtype(), self.weights.dtype(), self.loss);
            return Err(npair_similarity::Error::DType { what: "an embedding", dtype }.into());
        }
        let place = |c: &ClassId| self.places.get(c).copied().ok_or(Error::UnknownClass(*c));
        labels.as_slice().iter().map(place).collect()
    }

    /// Cosines (B) in f64 of every row and its own class, for one row of weights per class.
    pub(crate) fn own_cosines(&self, unit64: &Tensor, places: &[usize]) -> Result<Tensor> {
        dots(unit64, &unit_rows(&wide(&pick(&self.weights, places)?)?)?)
    }

    /// Cosines (B, C, per class) in f64, each an entry of the graph; in f32 where the device has no f64.
    pub(crate) fn cosines(&self, embeddings: &Tensor) -> Result<Tensor> {
        let rows = unit_rows(&wide(embeddings)?)?;
        let cosines = rows.matmul(&unit_rows(&wide(&self.weights)?)?.t()?)?;
        let b = cosines.dim(0)?;
        let per_class = self.of_rows.len() / self.classes();
        let bad = |t: &Tensor| -> Result<Option<usize>> {
            let sums = t.detach().sum(1)?.to_vec1::<f64>()?;
            Ok(sums.iter().position(|v| !v.is_finite()))
        };
        // On a device nobody looks: the loss is not finite then, which is seen when it is read.
        if !is_away(&cosines)
            && let Some(row) = bad(&cosines)?
        {
            // One bad row of the weights makes every row of the cosines bad.
            let side = if bad(&rows)?.is_some() { "embeddings" } else { "weights" };
            let row = if side == "weights" { bad(&self.weights.to_dtype(DType::F64)?)?.unwrap_or(row) } else { row };
            return Err(npair_similarity::Error::NotFinite { side, row }.into());
        }
        Ok(cosines.reshape((b, self.classes(), per_class))?)
    }

    /// Cross-entropy of `scale * cosine` logits in which that of the own class is `scale * own(cosine)`, streamed over the
    /// classes; the core of the margin losses.
    pub(crate) fn margin_softmax(
        &self,
        embeddings: &Tensor,
        labels: &Labels,
        scale: f64,
        own: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<LossValue> {
        let places = self.places(embeddings, labels)?;
        let rows = unit_rows(&wide(embeddings)?)?;
        let own = (own(&self.own_cosines(&rows, &places)?)? * scale)?;
        self.cross_entropy(&(rows * scale)?, &own, labels, embeddings.dtype())
    }

    /// Cross-entropy of the logits `queries . unit weights` in which that of the own class is `own` (B).
    pub(crate) fn cross_entropy(
        &self,
        queries: &Tensor,
        own: &Tensor,
        labels: &Labels,
        dtype: DType,
    ) -> Result<LossValue> {
        let all = Similarity::new(&queries.to_dtype(dtype)?, &self.unit()?, Measure::Dot)?;
        let terms = all.log1p_sum_exp_above(&own.to_dtype(dtype)?, &Mask::other_class(labels, &self.of_rows))?;
        Ok(LossValue::smooth(terms.mean_all()?, labels.len()))
    }
}

/// The place of every class, once there are at least two of them and none twice.
pub(crate) fn check_classes(
    loss: &'static str,
    classes: &[ClassId],
    per_class: usize,
) -> Result<HashMap<ClassId, usize>> {
    let places: HashMap<ClassId, usize> = classes.iter().zip(0..).map(|(&c, at)| (c, at)).collect();
    if places.len() < 2 || places.len() != classes.len() {
        return Err(Error::TooFew { loss, what: "distinct classes", least: 2, got: places.len() });
    }
    if per_class == 0 {
        return Err(Error::TooFew { loss, what: "centres per class", least: 1, got: 0 });
    }
    Ok(places)
}

/// The constructors of a loss with one row of weights per class, and its settings' first values.
macro_rules! one_row_per_class {
    ($loss:ident, $name:literal, { $($setting:ident: $value:expr),* }) => {
        impl $loss {
            /// For `classes` and embeddings of width `d`, weights uniform within `1 / sqrt(D)`, settings as the type's
            /// documentation says.
            ///
            /// # Errors
            /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes or a width of 0; candle's.
            pub fn new(
                classes: &[npair_types::ClassId],
                d: usize,
                rng: &mut rand_chacha::ChaCha8Rng,
                dtype: candle_core::DType,
                device: &candle_core::Device,
            ) -> $crate::Result<Self> {
                let weights = $crate::class_weights::ClassWeights::new($name, classes, 1, d, rng, dtype, device)?;
                Ok(Self { weights, $($setting: $value),* })
            }

            /// With given weights (C, D), rows in the order of `classes`; whether they are trained is their owner's
            /// affair.
            ///
            /// # Errors
            /// [`Error::TooFew`](crate::Error::TooFew) for fewer than two distinct classes,
            /// [`Error::Shape`](crate::Error::Shape) if the weights do not fit them.
            pub fn from_parts(
                classes: &[npair_types::ClassId],
                weights: &candle_core::Tensor,
            ) -> $crate::Result<Self> {
                let weights = $crate::class_weights::ClassWeights::from_parts($name, classes, 1, weights)?;
                Ok(Self { weights, $($setting: $value),* })
            }
        }
    };
}

/// A setting that is checked and put in place of the first value.
macro_rules! setting {
    ($loss:ident, $with:ident, $field:ident, $check:expr, $doc:literal) => {
        impl $loss {
            #[doc = $doc]
            ///
            /// # Errors
            /// [`Error::Setting`](crate::Error::Setting) with the legal range if it is out of it.
            pub fn $with(self, $field: f64) -> $crate::Result<Self> {
                Ok(Self { $field: ($check)($field)?, ..self })
            }
        }
    };
}

pub(crate) use {one_row_per_class, setting};
