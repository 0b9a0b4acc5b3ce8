use super::anchor::{Anchor, PerAnchor, at_least_one, per_anchor, within};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::Tensor;
use npair_similarity::Element;
use npair_types::{ChaCha8Rng, Labels, Measure, TupleKind};
use rand::{Rng, SeedableRng};

/// Distance-weighted sampling: every anchor and positive with a random negative, drawn so that all distances come up alike.
///
/// ```text
/// P(n | a)  ~  1 / q(max(d_an, cutoff))   for d_an < farthest,     q(d) ~ d^(D-2) (1 - d^2/4)^((D-3)/2)
/// ```
/// d is the distance of rows of length 1 and q the density of distances of points spread evenly over the sphere. An anchor
/// all of whose negatives are beyond `farthest` gives no triplet.
///
/// # Numerics
/// Logarithms of weights, shifted by the anchor's largest: finite in any number of dimensions, at distance 0 and at 2.
///
/// # Source
/// Wu et al., ICCV 2017 (arXiv 1706.07567), section 4.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{DistanceWeighted, TupleMiner};
/// # use npair_types::{Labels, Purpose, Streams};
/// let x = Tensor::new(&[[1f32, 0.], [0.8, 0.6], [0.6, 0.8], [-1., 0.]], &Device::Cpu)?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// let triplets = DistanceWeighted::new(0.5, 1.4, 10)?.mine(&x, &Labels::new([1, 1, 2, 3])?, rng)?;
/// let triplets = triplets.as_triplets().unwrap();
/// // Row 3 is farther than 1.4 from both anchors.
/// assert_eq!([triplets.rows(0), triplets.rows(1)], [[0, 1, 2], [1, 0, 2]]);
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DistanceWeighted {
    cutoff: f64,
    farthest: f64,
    cap: usize,
}

impl DistanceWeighted {
    /// With weights as at the distance `cutoff` for nearer negatives (0.5 in the paper), none of those from `farthest` on
    /// (1.4: margins are satisfied there), and at most `cap` triplets per anchor: those of its first positives.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) unless 0 < cutoff < farthest <= 2, [`Error::Setting`](crate::Error::Setting)
    /// for a cap of 0.
    pub fn new(cutoff: f64, farthest: f64, cap: usize) -> Result<Self> {
        Ok(Self {
            farthest: within("the farthest distance", farthest, farthest > 0. && farthest <= 2., "above 0, to 2")?,
            cutoff: within("the cutoff", cutoff, cutoff > 0. && cutoff < farthest, "above 0, below the farthest")?,
            cap: at_least_one(cap)?,
        })
    }
}

/// The miner on embeddings of a width, with the seed of a call.
struct Draw<'a> {
    miner: &'a DistanceWeighted,
    width: usize,
    seed: ChaCha8Rng,
}

impl Draw<'_> {
    /// Negatives in reach, and the running sums of their weights.
    fn weights<T: Element>(&self, anchor: &Anchor<T>) -> (Vec<usize>, Vec<f64>) {
        let d = self.width as f64;
        let (mut reach, mut logs) = (Vec::new(), Vec::new());
        for n in anchor.negatives() {
            let distance = (2. - 2. * anchor.similarity[n].wide()).max(0.).sqrt();
            if distance < self.miner.farthest {
                let distance = distance.max(self.miner.cutoff);
                // Never 0: `distance` is below 2.
                let rest = 1. - 0.25 * distance * distance;
                reach.push(n);
                logs.push((2. - d) * distance.ln() - (d - 3.) / 2. * rest.ln());
            }
        }
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sums = logs.iter().scan(0., |sum, log| {
            *sum += (log - most).exp();
            Some(*sum)
        });
        let sums = sums.collect();
        (reach, sums)
    }
}

impl PerAnchor for Draw<'_> {
    type Chosen = Vec<[usize; 2]>;

    fn of<T: Element>(&self, anchor: &Anchor<T>) -> Self::Chosen {
        let (reach, sums) = self.weights(anchor);
        let Some(&all) = sums.last() else { return Vec::new() };
        // A stream for every anchor: what is drawn does not depend on the order of the threads.
        let mut rng = self.seed.clone();
        rng.set_stream(anchor.row as u64);
        let draw = |p: usize| {
            let at = rng.random::<f64>() * all;
            [p, reach[sums.partition_point(|&sum| sum <= at).min(reach.len() - 1)]]
        };
        anchor.positives().take(self.miner.cap).map(draw).collect()
    }
}

npair_types::settings! {
    /// For every positive a random negative, all distances alike.
    pub struct DistanceWeightedSettings {
        /// Distance below which weights stay the same, above 0.
        cutoff: f64 = 0.5,
        /// Distance from which no negative is drawn, at most 2.
        farthest: f64 = 1.4,
        /// Most triplets per anchor, at least 1.
        per_anchor: usize = 100,
    }
}

impl TupleMinerSettings for DistanceWeightedSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(DistanceWeighted::new(self.cutoff, self.farthest, self.per_anchor)?))
    }
}

impl TupleMiner for DistanceWeighted {
    fn name(&self) -> &str {
        "distance-weighted miner"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<Mined> {
        let width = embeddings.dims().last().copied().unwrap_or(0);
        let draw = Draw { miner: self, width, seed: ChaCha8Rng::from_rng(rng) };
        Mined::of_anchors(per_anchor(&draw, embeddings, labels, Measure::Cosine)?, labels)
    }
}
