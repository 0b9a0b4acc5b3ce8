use super::anchor::{at_least_one, best, checked, members, prune, to_f32, within};
use super::{Mined, TupleMiner, TupleMinerSettings};
use crate::Result;
use candle_core::{DType, Tensor};
use npair_similarity::{Cosines, Element, Rows};
use npair_types::{ChaCha8Rng, Labels, TupleKind};

/// Angular mining: triplets whose angle at the negative, towards the circle around anchor and positive, is above a bound.
///
/// ```text
/// tan(angle) = |x_a - x_p| / (2 |x_n - c|),   c = (x_a + x_p) / 2,   x rows of length 1
/// ```
/// # Numerics
/// Lengths follow from cosines, in f64: `|a - p|^2 = 2 - 2 s_ap`, `|n - c|^2 = 1 + (1 + s_ap) / 2 - s_an - s_pn`. The matrix
/// of the batch is kept, O(B^2) memory; no list is longer than an anchor's.
///
/// # Source
/// Wang et al., ICCV 2017 (arXiv 1708.01682), equation 5; as pytorch-metric-learning's `AngularMiner`.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_batch::{AngularMiner, TupleMiner};
/// # use npair_types::{Labels, Purpose, Streams};
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [0.8, 0.6], [-1., 0.]], &Device::Cpu)?;
/// let labels = Labels::new([1, 1, 2, 3])?;
/// let rng = &mut Streams::new(1).open(Purpose::Mining, [0, 0]);
/// // |a - p| / 2 = 0.707; row 2 is 0.316 from the middle (66 degrees), row 3 is 1.581 (24 degrees).
/// assert_eq!(AngularMiner::new(45., 10)?.mine(&x, &labels, rng)?.len(), 2);
/// assert_eq!(AngularMiner::new(20., 10)?.mine(&x, &labels, rng)?.len(), 4);
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AngularMiner {
    square: f64,
    cap: usize,
}

impl AngularMiner {
    /// With angles above `degrees`, from 0 and below 90, and at most `cap` triplets per anchor: those of the largest angles.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) for an angle out of range, [`Error::Setting`](crate::Error::Setting) for a cap
    /// of 0.
    pub fn new(degrees: f64, cap: usize) -> Result<Self> {
        let degrees = within("the angle", degrees, (0. ..90.).contains(&degrees), "from 0 and below 90 degrees")?;
        Ok(Self { square: degrees.to_radians().tan().powi(2), cap: at_least_one(cap)? })
    }

    fn of<T: Element>(&self, embeddings: &Tensor, labels: &Labels) -> Result<Vec<Vec<[usize; 2]>>> {
        let (values, width) = checked::<T>(embeddings, labels)?;
        let cosines = Cosines::new(Rows::new(&values, width)?);
        let (places, members) = members(labels);
        Ok(cosines.map(|a, of_a| {
            let mut wide = Vec::new();
            for &p in members[places[a]].iter().filter(|&&p| p != a) {
                let (s, of_p) = (of_a[p].wide(), cosines.line(p));
                for n in (0..of_a.len()).filter(|&n| places[n] != places[a]) {
                    let apart = (2. - 2. * s).max(0.);
                    let beside = 1. + (1. + s) / 2. - of_a[n].wide() - of_p[n].wide();
                    // At the middle itself the angle is a right one; equal rows have none.
                    let square = if apart > 0. { apart / (4. * beside.max(0.)) } else { 0. };
                    if square > self.square {
                        wide.push((square, [p, n]));
                    }
                }
                // So that a list never holds more than one positive's triplets and the cap.
                prune(&mut wide, self.cap);
            }
            best(wide, self.cap)
        }))
    }
}

npair_types::settings! {
    /// Triplets of a large angle.
    pub struct AngularMinerSettings {
        /// The least angle in degrees, from 0 and below 90.
        degrees: f64 = 20.0,
        /// Most triplets per anchor, at least 1.
        per_anchor: usize = 100,
    }
}

impl TupleMinerSettings for AngularMinerSettings {
    fn build(&self) -> Result<Box<dyn TupleMiner>> {
        Ok(Box::new(AngularMiner::new(self.degrees, self.per_anchor)?))
    }
}

impl TupleMiner for AngularMiner {
    fn name(&self) -> &str {
        "angular miner"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Triplets
    }

    fn mine(&self, embeddings: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
        let anchors = match embeddings.dtype() {
            DType::F64 => self.of::<f64>(embeddings, labels)?,
            _ => self.of::<f32>(&to_f32(embeddings)?, labels)?,
        };
        Mined::of_anchors(anchors, labels)
    }
}
