use crate::rows::expect_matrix;
use crate::stable::log_sum_exp;
use crate::{Error, Loss, LossValue, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_types::{ClassId, Labels};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
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
    rows: HashMap<ClassId, u32>,
}

impl SoftmaxClassifier {
    /// A classifier of `classes` over embeddings of width `d`; weights uniform within `1 / sqrt(D)`, bias zero.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two distinct classes or a width of 0; candle's.
    pub fn new(classes: &[ClassId], d: usize, rng: &mut ChaCha8Rng, dtype: DType, device: &Device) -> Result<Self> {
        let rows: HashMap<ClassId, u32> = classes.iter().zip(0..).map(|(&c, row)| (c, row)).collect();
        if rows.len() < 2 || rows.len() != classes.len() {
            return Err(Error::TooFew {
                loss: "softmax classifier",
                what: "distinct classes",
                least: 2,
                got: rows.len(),
            });
        }
        if d == 0 {
            return Err(Error::TooFew { loss: "softmax classifier", what: "embedding dimensions", least: 1, got: 0 });
        }
        let bound = 1. / (d as f64).sqrt();
        let values: Vec<f64> = (0..classes.len() * d).map(|_| bound * (2. * rng.random::<f64>() - 1.)).collect();
        let weights = Var::from_tensor(&crate::away::upload(values, (classes.len(), d), dtype, device)?)?;
        let bias = Var::zeros(classes.len(), dtype, device)?;
        let made = Self::from_parts(classes, &weights, &bias)?;
        Ok(Self { variables: Some([bias, weights]), ..made })
    }

    /// A classifier of given weights (C, D) and bias (C), rows in the order of `classes`; whether they are trained is their
    /// owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two distinct classes, [`Error::Shape`] if the tensors do not fit them.
    pub fn from_parts(classes: &[ClassId], weights: &Tensor, bias: &Tensor) -> Result<Self> {
        let rows: HashMap<ClassId, u32> = classes.iter().zip(0..).map(|(&c, row)| (c, row)).collect();
        if rows.len() < 2 || rows.len() != classes.len() {
            return Err(Error::TooFew {
                loss: "softmax classifier",
                what: "distinct classes",
                least: 2,
                got: rows.len(),
            });
        }
        let c = rows.len();
        if expect_matrix("weights", weights)?.0 != c {
            return Err(Error::Shape { what: "weights", got: weights.dims().to_vec(), want: format!("({c}, D)") });
        }
        if bias.dims() != [c] {
            return Err(Error::Shape { what: "bias", got: bias.dims().to_vec(), want: format!("({c})") });
        }
        Ok(Self { weights: weights.clone(), bias: bias.clone(), variables: None, rows })
    }

    /// Logits (B, C) of embeddings (B, D), columns in the order of the classes given to [`new`](Self::new).
    ///
    /// # Errors
    /// [`Error::Shape`] if the widths differ.
    pub fn logits(&self, embeddings: &Tensor) -> Result<Tensor> {
        let (b, d) = expect_matrix("embeddings", embeddings)?;
        let width = self.weights.dim(1)?;
        if d != width {
            return Err(Error::Shape { what: "embeddings", got: vec![b, d], want: format!("(B, {width})") });
        }
        Ok(embeddings.matmul(&self.weights.t()?)?.broadcast_add(&self.bias)?)
    }
}

impl Loss for SoftmaxClassifier {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        let logits = self.logits(embeddings)?;
        let b = logits.dim(0)?;
        labels.expect_len(b)?;
        let row_of = |c: &ClassId| self.rows.get(c).copied().ok_or(Error::UnknownClass(*c));
        let targets = labels.as_slice().iter().map(row_of).collect::<Result<Vec<u32>>>()?;
        let targets = Tensor::from_vec(targets, (b, 1), logits.device())?;
        let above = logits.broadcast_sub(&logits.gather(&targets, 1)?)?;
        Ok(LossValue::smooth(log_sum_exp(&above)?.mean_all()?, b))
    }

    fn variables(&self) -> Vec<(String, Var)> {
        match &self.variables {
            Some([bias, weights]) => vec![("bias".to_owned(), bias.clone()), ("weights".to_owned(), weights.clone())],
            None => Vec::new(),
        }
    }
}
