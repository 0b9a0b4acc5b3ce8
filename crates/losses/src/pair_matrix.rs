use crate::rows::unit_rows;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// What an entry of the matrix is, of rows of length 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The cosine c.
    Cosine,
    /// The distance `sqrt(2 - 2 c)`.
    Distance,
    /// The squared distance `2 - 2 c`.
    SquaredDistance,
}

/// The matrix (B, B) of a batch against itself as plain numbers in f64, for losses that need every entry several times: the
/// loss works out its value and its slope by every entry, [`attach`](Self::attach) puts both into the graph. So there are
/// B^2 numbers per tensor and no temporary of a larger shape, whatever the loss does.
pub(crate) struct PairMatrix {
    cosines: Tensor,
    values: Vec<f64>,
    entry: Entry,
    rows: usize,
    dtype: DType,
}

impl PairMatrix {
    /// Of embeddings (B, D), normalised here; a zero row is at cosine 0 from all.
    pub(crate) fn new(embeddings: &Tensor, entry: Entry) -> Result<Self> {
        let unit = unit_rows(&embeddings.to_dtype(DType::F64)?)?;
        let cosines = unit.matmul(&unit.t()?)?;
        let rows = cosines.dim(0)?;
        let mut values = cosines.detach().flatten_all()?.to_vec1::<f64>()?;
        if let Some(row) = (0..rows).find(|i| !values[i * rows + i].is_finite()) {
            return Err(Error::Similarity(npair_similarity::Error::NotFinite { side: "embeddings", row }));
        }
        for v in &mut values {
            *v = match entry {
                Entry::Cosine => *v,
                // Rounding may put equal rows a hair beyond 0.
                Entry::Distance => (2. - 2. * *v).max(0.).sqrt(),
                Entry::SquaredDistance => (2. - 2. * *v).max(0.),
            };
        }
        Ok(Self { cosines, values, entry, rows, dtype: embeddings.dtype() })
    }

    /// The entries of row `i`.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.rows..(i + 1) * self.rows]
    }

    /// A slope by every entry to add to, all 0.
    pub(crate) fn slopes(&self) -> Slopes {
        Slopes { values: vec![0.; self.values.len()], rows: self.rows }
    }

    /// The scalar of this value whose gradient by the entries is `factor` times these slopes, of the embeddings' type.
    pub(crate) fn attach(&self, value: f64, factor: f64, slopes: Slopes) -> Result<Tensor> {
        let mut slopes = slopes.values;
        for (slope, &v) in slopes.iter_mut().zip(&self.values) {
            *slope *= factor
                * match self.entry {
                    Entry::Cosine => 1.,
                    // Equal rows have no direction to be moved in.
                    Entry::Distance if v == 0. => 0.,
                    Entry::Distance => -1. / v,
                    Entry::SquaredDistance => -2.,
                };
        }
        let slopes = Tensor::from_vec(slopes, self.cosines.shape(), self.cosines.device())?;
        let zero = ((&self.cosines - self.cosines.detach())? * slopes)?.sum_all()?;
        Ok((zero + value)?.to_dtype(self.dtype)?)
    }
}

/// A loss's slopes by the entries of a [`PairMatrix`].
pub(crate) struct Slopes {
    values: Vec<f64>,
    rows: usize,
}

impl Slopes {
    /// Those of row `i`.
    pub(crate) fn row(&mut self, i: usize) -> &mut [f64] {
        &mut self.values[i * self.rows..(i + 1) * self.rows]
    }
}

/// `log sum exp` of plain numbers; minus infinity of none.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let shift = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if shift == f64::NEG_INFINITY { shift } else { shift + values.map(|v| (v - shift).exp()).sum::<f64>().ln() }
}

/// `1 / (1 + exp(-x))`, without overflow.
pub(crate) fn sigmoid(x: f64) -> f64 {
    if x >= 0. { 1. / (1. + (-x).exp()) } else { x.exp() / (1. + x.exp()) }
}
