use crate::pair_matrix::{Entry, PairMatrix};
use crate::positives::with_both;
use crate::{Error, Loss, LossValue, Result};
use candle_core::Tensor;
use npair_types::Labels;

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
/// normalised here.
///
/// # Numerics
/// In f64, O(B^2 + R) time and O(B^2) memory.
///
/// # Errors
/// [`Error::TooFew`] if there is no pair of one class, or only one class.
///
/// # Source
/// Ustinova and Lempitsky, NIPS 2016 (arXiv 1611.00822).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Histogram, Loss};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [-1., 0.], [0., 3.], [4., 0.]], &Device::Cpu)?;
/// let loss = Histogram::new(3)?.forward(&x, &Labels::new([1, 1, 2, 2])?)?;
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
    /// [`Error::Setting`] for fewer than two nodes.
    pub fn new(nodes: usize) -> Result<Self> {
        if nodes < 2 {
            let (what, range) = ("the number of nodes", "a whole number from 2");
            return Err(Error::Setting { what, got: nodes as f64, range });
        }
        Ok(Self { nodes })
    }
}

impl Default for Histogram {
    /// 201 nodes: steps of 0.01.
    fn default() -> Self {
        Self { nodes: 201 }
    }
}

impl Loss for Histogram {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        with_both("histogram loss", embeddings, labels)?;
        let matrix = PairMatrix::new(embeddings, Entry::Cosine)?;
        let width = 2. / (self.nodes - 1) as f64;
        let place = |cosine: f64| {
            let at = ((cosine + 1.) / width).clamp(0., (self.nodes - 1) as f64);
            let node = (at as usize).min(self.nodes - 2);
            (node, at - node as f64)
        };
        let b = labels.len();
        // Of pairs of one class and of two.
        let mut histograms = [vec![0.; self.nodes], vec![0.; self.nodes]];
        let mut pairs = [0., 0.];
        for i in 0..b {
            for j in i + 1..b {
                let kind = usize::from(!labels.same(i, j));
                let (node, share) = place(matrix.row(i)[j]);
                histograms[kind][node] += 1. - share;
                histograms[kind][node + 1] += share;
                pairs[kind] += 1.;
            }
        }
        let [near, far] = &histograms;
        // Slopes by a node of either: the other's sum below it, or from it on.
        let (mut below, mut from) = (vec![0.; self.nodes], vec![0.; self.nodes]);
        let (mut near_so_far, mut far_so_far, mut value) = (0., 0., 0.);
        for r in 0..self.nodes {
            near_so_far += near[r];
            below[r] = near_so_far;
            value += far[r] * near_so_far;
        }
        for r in (0..self.nodes).rev() {
            far_so_far += far[r];
            from[r] = far_so_far;
        }
        let by = [from, below];
        let mut slopes = matrix.slopes();
        for i in 0..b {
            for j in i + 1..b {
                let by = &by[usize::from(!labels.same(i, j))];
                let (node, _) = place(matrix.row(i)[j]);
                slopes.row(i)[j] = (by[node + 1] - by[node]) / width;
            }
        }
        let factor = 1. / (pairs[0] * pairs[1]);
        Ok(LossValue::smooth(matrix.attach(value * factor, factor, slopes)?, b * (b - 1) / 2))
    }
}
