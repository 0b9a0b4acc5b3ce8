use crate::row::{MatrixLoss, Relations, RowMatrix, of_matrix};
use crate::setting::at_least;
use crate::{Accepts, Batch, Entry, Loss, LossContext, LossSettings, LossValue, Result};
use npair_similarity::Element;

/// Histogram loss: the chance that a random pair of two classes is nearer than a random pair of one, from histograms of
/// both kinds of cosines.
///
/// ```text
/// L = sum_r h-_r (h+_1 + ... + h+_r)
/// h_r = 1/|S| sum_{(i, j) in S} max(0, 1 - |c_ij - t_r| / w),   t_r = -1 + (r - 1) w,  w = 2 / (R - 1)
/// ```
/// S are the unordered pairs of one class for h+, of two for h-; c the cosine.
///
/// # Shapes
/// Embeddings: (B, D) with their labels; a scalar. `terms` is the number of pairs.
///
/// # Units
/// A probability.
///
/// # Gradient
/// That of the histogram's straight pieces; at a node between two, of the farther one. Finite everywhere. Embeddings are
/// normalized here.
///
/// # Numerics
/// In f64, O(B^2 + R) time and O(B^2) memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) if there is no pair of one class, or only one class.
///
/// # Source
/// Ustinova and Lempitsky, NIPS 2016 (arXiv 1611.00822).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Histogram, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [-1., 0.], [0., 3.], [4., 0.]], &Device::Cpu)?;
/// let loss = Histogram::new(3)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2, 2])?)?)?;
/// // Nodes -1, 0, 1. Pairs of one class: -1 and 0. Of two: 0, 1, 0, -1.
/// // h+ = (1/2, 1/2, 0), h- = (1/4, 1/2, 1/4): 1/4 * 1/2 + 1/2 * 1 + 1/4 * 1.
/// assert!((loss.to_f64()? - 0.875).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Histogram {
    nodes: usize,
}

impl Histogram {
    /// With R >= 2 nodes.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for fewer than two nodes.
    pub fn new(nodes: usize) -> Result<Self> {
        Ok(Self { nodes: at_least("the number of nodes", nodes, 2, "a whole number from 2")? })
    }
}

npair_types::settings! {
    /// Histogram loss (Ustinova and Lempitsky, 2016).
    pub struct HistogramSettings {
        /// Nodes R of the histograms of cosines, at least 2; the usual ones are 0.01 apart.
        nodes: usize = 201,
    }
}

impl Default for Histogram {
    /// With the usual [`HistogramSettings`].
    fn default() -> Self {
        let HistogramSettings { nodes } = Default::default();
        Self { nodes }
    }
}

impl LossSettings for HistogramSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(Histogram::new(self.nodes)?))
    }
}

impl MatrixLoss for Histogram {
    const NAME: &'static str = "histogram loss";
    const ENTRY: Entry = Entry::Cosine;

    fn matrix<T: Element>(&self, matrix: RowMatrix<T>, _: &Relations, batch: &Batch) -> Result<LossValue> {
        let (labels, b) = (batch.labels(), batch.labels().len());
        // Of pairs of one class and of two; a pair stands in the row of its first example.
        let rows = matrix.map(|i, cosines| {
            let mut histograms = [vec![0.; self.nodes], vec![0.; self.nodes]];
            for j in i + 1..b {
                let (node, share) = self.place(cosines[j].wide());
                let histogram = &mut histograms[usize::from(!labels.same(i, j))];
                histogram[node] += 1. - share;
                histogram[node + 1] += share;
            }
            histograms
        });
        let sum = |kind: usize| {
            let mut sum = vec![0.; self.nodes];
            rows.iter().for_each(|row| sum.iter_mut().zip(&row[kind]).for_each(|(s, h)| *s += h));
            sum
        };
        let (value, by) = overlap(&sum(0), &sum(1));
        let width = 2. / (self.nodes - 1) as f64;
        let by = by.map(|by| by.windows(2).map(|w| T::narrow((w[1] - w[0]) / width)).collect::<Vec<_>>());
        let (gradients, _) = matrix.map_to_gradient(|i, cosines, gradient| {
            for j in i + 1..b {
                gradient[j] = by[usize::from(!labels.same(i, j))][self.place(cosines[j].wide()).0];
            }
        });
        let all = b * (b - 1) / 2;
        let near = batch.classes().pairs();
        let factor = 1. / (near as f64 * (all - near) as f64);
        Ok(LossValue::smooth(gradients.attach(batch.embeddings(), value * factor, factor)?, all))
    }
}

impl Histogram {
    /// The node below a cosine, and the share of the next.
    fn place(&self, cosine: f64) -> (usize, f64) {
        let last = (self.nodes - 1) as f64;
        let at = ((cosine + 1.) * last / 2.).clamp(0., last);
        let node = (at as usize).min(self.nodes - 2);
        (node, at - node as f64)
    }
}

/// `sum_r far_r (near_0 + ... + near_r)`, and its gradient by the nodes of either.
fn overlap(near: &[f64], far: &[f64]) -> (f64, [Vec<f64>; 2]) {
    // The gradient by a node of either: the other's sum below it, or from it on.
    let (mut below, mut from) = (vec![0.; near.len()], vec![0.; far.len()]);
    let (mut near_so_far, mut far_so_far, mut value) = (0., 0., 0.);
    for r in 0..near.len() {
        near_so_far += near[r];
        below[r] = near_so_far;
        value += far[r] * near_so_far;
    }
    for r in (0..far.len()).rev() {
        far_so_far += far[r];
        from[r] = far_so_far;
    }
    (value, [from, below])
}

impl Loss for Histogram {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_matrix(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        Self::NAME
    }
}
