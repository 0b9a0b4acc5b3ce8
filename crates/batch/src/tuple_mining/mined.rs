use crate::Result;
use candle_core::Tensor;
use npair_types::{ChaCha8Rng, Labels, PairList, Settings, Triplets, TupleKind, Tuples};

/// Chooses the tuples of a batch that a loss looks at, from its embeddings.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// use npair_batch::{Mined, Result, TupleMiner};
/// use npair_types::{ChaCha8Rng, Labels, PairList, TupleKind, Tuples};
/// # use npair_types::{Purpose, Streams};
///
/// /// Every row with the row before it.
/// struct Chain;
///
/// impl TupleMiner for Chain {
///     fn name(&self) -> &str { "chain" }
///     fn kind(&self) -> TupleKind { TupleKind::PairList }
///     fn mine(&self, _: &Tensor, labels: &Labels, _: &mut ChaCha8Rng) -> Result<Mined> {
///         let (positives, negatives) = (1..labels.len()).map(|i| [i, i - 1]).partition(|&[i, j]| labels.same(i, j));
///         Ok(Mined::pairs(PairList::new(positives, negatives, labels)?, labels))
///     }
/// }
///
/// let (x, labels) = (Tensor::zeros((3, 2), candle_core::DType::F32, &Device::Cpu)?, Labels::new([1, 1, 2])?);
/// let mined = Chain.mine(&x, &labels, &mut Streams::new(1).open(Purpose::Mining, [0, 0]))?;
/// assert_eq!((mined.len(), mined.without), (2, 1)); // row 0 is the anchor of none
/// # Ok::<(), npair_batch::Error>(())
/// ```
pub trait TupleMiner: Send + Sync {
    /// Tuples of `embeddings` (B, D), whose rows have `labels` (B), ordered by anchor. The same seed gives the same tuples on any
    /// number of threads; miners without chance leave `rng` alone.
    ///
    /// # Errors
    /// If the labels do not fit, or an embedding or a product of two is not finite. That nothing qualifies is no error.
    fn mine(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<Mined>;

    /// The kind of tuples that it chooses, which the loss has to take.
    fn kind(&self) -> TupleKind;

    /// Its name in errors.
    fn name(&self) -> &str;
}

impl<M: TupleMiner + ?Sized> TupleMiner for Box<M> {
    fn mine(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<Mined> {
        (**self).mine(embeddings, labels, rng)
    }
    fn kind(&self) -> TupleKind {
        (**self).kind()
    }
    fn name(&self) -> &str {
        (**self).name()
    }
}

/// The settings of a tuple miner, which know how to make it.
pub trait TupleMinerSettings: Settings {
    /// The miner of these settings.
    ///
    /// # Errors
    /// [`Error::Range`](crate::Error::Range) or [`Error::Setting`](crate::Error::Setting) if one is out of range.
    fn build(&self) -> Result<Box<dyn TupleMiner>>;
}

/// The tuples that a miner chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mined {
    /// Them, by ascending anchor; `None` if nothing qualified.
    pub tuples: Option<Tuples>,
    /// Rows of the batch that are the anchor of no tuple.
    pub without: usize,
}

impl Mined {
    /// Triplets of a batch with these labels, if there are any.
    pub fn triplets(triplets: Option<Triplets>, labels: &Labels) -> Self {
        let without = without(triplets.iter().flat_map(Triplets::anchors).copied(), labels);
        Self { tuples: triplets.map(Tuples::Triplets), without }
    }

    /// Pairs of a batch with these labels; either list may be empty.
    pub fn pairs(list: PairList, labels: &Labels) -> Self {
        let without = without(list.positives().iter().chain(list.negatives()).map(|pair| pair[0]), labels);
        Self { tuples: (!list.is_empty()).then_some(Tuples::PairList(list)), without }
    }

    /// Triplets of the pairs (positive, negative) of every anchor.
    pub(crate) fn of_anchors(anchors: Vec<Vec<[usize; 2]>>, labels: &Labels) -> Result<Self> {
        let rows: Vec<[usize; 3]> =
            anchors.iter().enumerate().flat_map(|(a, of)| of.iter().map(move |&[p, n]| [a, p, n])).collect();
        let triplets = if rows.is_empty() { None } else { Some(Triplets::new(&rows, labels)?) };
        Ok(Self::triplets(triplets, labels))
    }

    /// The triplets, if these are triplets.
    pub fn as_triplets(&self) -> Option<&Triplets> {
        match &self.tuples {
            Some(Tuples::Triplets(triplets)) => Some(triplets),
            _ => None,
        }
    }

    /// The list of pairs, if this is one.
    pub fn as_pairs(&self) -> Option<&PairList> {
        match &self.tuples {
            Some(Tuples::PairList(list)) => Some(list),
            _ => None,
        }
    }

    /// Number of tuples.
    pub fn len(&self) -> usize {
        match &self.tuples {
            None | Some(Tuples::Labeled) => 0,
            Some(Tuples::Pairs(pairs)) => pairs.len(),
            Some(Tuples::Triplets(triplets)) => triplets.len(),
            Some(Tuples::Tuplets(tuplets)) => tuplets.len(),
            Some(Tuples::PairList(list)) => list.len(),
        }
    }

    /// Whether nothing qualified.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows that are no anchor.
fn without(anchors: impl Iterator<Item = usize>, labels: &Labels) -> usize {
    let mut with = vec![false; labels.len()];
    anchors.for_each(|anchor| with[anchor] = true);
    with.into_iter().filter(|&with| !with).count()
}
