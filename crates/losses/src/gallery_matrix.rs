use crate::pair_matrix::Entry;
use crate::rows::unit_rows;
use crate::{Error, Gallery, Result};
use candle_core::{DType, Tensor};

/// The matrix (B, G) of queries against a gallery as plain numbers in f64, for losses that need every entry several times: the
/// loss works out its value and its slope by every entry, [`attach`](Self::attach) puts both into the graph. So there are
/// B G numbers per tensor and no temporary of a larger shape, whatever the loss does.
pub(crate) struct GalleryMatrix {
    /// The queries at length 1, in the graph.
    unit: Tensor,
    /// All rows at length 1, out of it.
    all: Tensor,
    values: Vec<f64>,
    entry: Entry,
    dtype: DType,
}

impl GalleryMatrix {
    /// Of embeddings normalised here; a zero row is at cosine 0 from all.
    pub(crate) fn new(gallery: &Gallery, entry: Entry) -> Result<Self> {
        let wide = gallery.map(|rows| unit_rows(&rows.to_dtype(DType::F64)?))?;
        let unit = wide.queries().clone();
        let all = wide.rows()?.detach();
        let sums = all.sum(1)?.to_vec1::<f64>()?;
        if let Some(at) = sums.iter().position(|sum| !sum.is_finite()) {
            let queries = unit.dim(0)?;
            let (side, row) = if at < queries { ("embeddings", at) } else { ("memory", at - queries) };
            return Err(Error::Similarity(npair_similarity::Error::NotFinite { side, row }));
        }
        let mut values = unit.detach().matmul(&all.t()?)?.flatten_all()?.to_vec1::<f64>()?;
        for v in &mut values {
            *v = match entry {
                Entry::Cosine => *v,
                // Rounding may put equal rows a hair beyond 0.
                Entry::Distance => (2. - 2. * *v).max(0.).sqrt(),
                Entry::SquaredDistance => (2. - 2. * *v).max(0.),
            };
        }
        Ok(Self { unit, all, values, entry, dtype: gallery.queries().dtype() })
    }

    fn columns(&self) -> usize {
        self.all.dims()[0]
    }

    /// The entries of query `i`.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.columns()..(i + 1) * self.columns()]
    }

    /// A slope by every entry to add to, all 0.
    pub(crate) fn slopes(&self) -> Slopes {
        Slopes { values: vec![0.; self.values.len()], columns: self.columns() }
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
        let queries = self.unit.dim(0)?;
        let slopes = Tensor::from_vec(slopes, (queries, self.columns()), self.all.device())?;
        // A query moves its row, and its column of those who meet it.
        let met = slopes.narrow(1, 0, queries)?.t()?.contiguous()?.matmul(&self.all.narrow(0, 0, queries)?)?;
        let grad = (slopes.matmul(&self.all)? + met)?;
        let zero = ((&self.unit - self.unit.detach())? * grad)?.sum_all()?;
        Ok((zero + value)?.to_dtype(self.dtype)?)
    }
}

/// A loss's slopes by the entries of a [`GalleryMatrix`].
pub(crate) struct Slopes {
    values: Vec<f64>,
    columns: usize,
}

impl Slopes {
    /// Those of query `i`.
    pub(crate) fn row(&mut self, i: usize) -> &mut [f64] {
        &mut self.values[i * self.columns..(i + 1) * self.columns]
    }

    /// Multiplies the slopes of every query by a factor of its own.
    pub(crate) fn scale(&mut self, factors: &[f64]) {
        for (row, factor) in self.values.chunks_exact_mut(self.columns).zip(factors) {
            row.iter_mut().for_each(|slope| *slope *= factor);
        }
    }
}
