use super::class_weights::{check_classes, expect_width, uniform_rows};
use super::long_tail::{OfClasses, weights_of};
use crate::rows::{accept, expect_matrix};
use crate::stable::log_sum_exp;
use crate::{Accepts, Batch, Error, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{Tensor, Var};
use npair_types::ClassId;
use std::collections::HashMap;

/// Softmax classifier on top of the embedding, the paper's classification baseline: cross-entropy over all training classes.
///
/// ```text
/// L = 1/B  sum_i  log sum_c exp(w_c . f_i + b_c)  -  (w_{y_i} . f_i + b_{y_i})
/// ```
/// # Shapes
/// Embeddings f: (B, D) with labels among the C classes; weights w: (C, D), bias b: (C), both trained; a scalar.
///
/// # Units
/// Nats; log C when all logits are equal.
///
/// # Errors
/// [`Error::UnknownClass`] for a label outside the C classes.
///
/// # Source
/// Sohn, NIPS 2016, section 4.1 ("softmax").
#[derive(Debug, Clone)]
pub struct SoftmaxClassifier {
    weights: Tensor,
    bias: Tensor,
    /// The two as variables, if they are this classifier's own to train.
    variables: Option<[Var; 2]>,
    rows: HashMap<ClassId, usize>,
    /// What the terms of a class weigh.
    of_terms: OfClasses,
}

npair_types::settings! {
    /// Softmax classifier over the training classes.
    pub struct SoftmaxClassifierSettings {
        /// Beta of the weights of classes by their effective number of examples, from 0 (all alike) and below 1.
        class_beta: f64 = 0.0,
    }
}

impl LossSettings for SoftmaxClassifierSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = SoftmaxClassifier::new(context)?;
        Ok(Box::new(loss.with_class_weights(&weights_of(context, self.class_beta)?)?))
    }
}

impl SoftmaxClassifier {
    /// A classifier of the context's classes; weights uniform within `1 / sqrt(D)`, bias zero.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(context: &mut LossContext) -> Result<Self> {
        let classes = check_classes("softmax classifier", context.classes, 1)?.len();
        let weights = uniform_rows("softmax classifier", classes, context)?;
        let bias = Var::zeros(classes, context.dtype, context.device)?;
        let made = Self::from_parts(context.classes, &weights, &bias)?;
        Ok(Self { variables: Some([bias, weights]), ..made })
    }

    /// A classifier of given weights (C, D) and bias (C), rows in the order of `classes`; whether they are trained is their
    /// owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two distinct classes, [`Error::Shape`] if the tensors do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor, bias: &Tensor) -> Result<Self> {
        let rows = check_classes("softmax classifier", classes, 1)?;
        let c = rows.len();
        if expect_matrix("weights", weights)?.0 != c {
            return Err(Error::Shape { what: "weights", got: weights.dims().to_vec(), want: format!("({c}, D)") });
        }
        if bias.dims() != [c] {
            return Err(Error::Shape { what: "bias", got: bias.dims().to_vec(), want: format!("({c})") });
        }
        let of_terms = OfClasses::default();
        Ok(Self { weights: weights.clone(), bias: bias.clone(), variables: None, rows, of_terms })
    }

    /// With the terms of each class times its weight, in the order of the classes:
    /// [`class_weights_by_size`](crate::class_weights_by_size), or any other.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one for every class, [`Error::Setting`] for one below 0.
    pub fn with_class_weights(self, weights: &[f64]) -> Result<Self> {
        let of_terms = OfClasses::new("the weights of classes", weights, (self.rows.len(), 1.))?;
        Ok(Self { of_terms, ..self })
    }

    /// Logits (B, C) of embeddings (B, D), columns in the order of the classes given to [`new`](Self::new).
    ///
    /// # Errors
    /// [`Error::Shape`] if the widths differ.
    pub fn logits(&self, embeddings: &Tensor) -> Result<Tensor> {
        let embeddings = accept("embeddings", embeddings)?;
        expect_width(&embeddings, self.weights.dim(1)?)?;
        Ok(embeddings.matmul(&self.weights.t()?)?.broadcast_add(&self.bias)?)
    }
}

impl Loss for SoftmaxClassifier {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let logits = self.logits(batch.embeddings())?;
        let row_of = |c: &ClassId| self.rows.get(c).copied().ok_or(Error::UnknownClass(*c));
        let places = batch.labels().as_slice().iter().map(row_of).collect::<Result<Vec<usize>>>()?;
        let b = places.len();
        let targets = Tensor::from_vec(places.iter().map(|&row| row as u32).collect(), (b, 1), logits.device())?;
        let above = logits.broadcast_sub(&logits.gather(&targets, 1)?)?;
        Ok(LossValue::smooth(self.of_terms.mean(&log_sum_exp(&above)?, &places)?, b))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "softmax classifier"
    }

    fn variables(&self) -> Vec<(String, Var)> {
        match &self.variables {
            Some([bias, weights]) => vec![("bias".to_owned(), bias.clone()), ("weights".to_owned(), weights.clone())],
            None => Vec::new(),
        }
    }
}
