use crate::{Labels, PairList, Pairs, Result, Triplets, Tuplets};

/// The relations among the rows of a batch, beyond their labels.
///
/// ```
/// # use npair_types::{Labels, Pairs, TupleKind, Tuples};
/// let labels = Labels::new([4, 4, 8, 8])?;
/// let tuples = Tuples::Pairs(Pairs::from_labels(&labels)?);
/// assert_eq!(tuples.kind(), TupleKind::Pairs);
/// assert_eq!(tuples.kind().to_string(), "N pairs");
/// # Ok::<(), npair_types::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tuples {
    /// Nothing: the labels say all.
    #[default]
    Labeled,
    /// N pairs of N classes.
    Pairs(Pairs),
    /// Triplets.
    Triplets(Triplets),
    /// Queries with their own negatives.
    Tuplets(Tuplets),
    /// Pairs of one class and of two, as a miner lists them.
    PairList(PairList),
}

impl Tuples {
    /// Which kind these are.
    pub fn kind(&self) -> TupleKind {
        match self {
            Self::Labeled => TupleKind::Labeled,
            Self::Pairs(_) => TupleKind::Pairs,
            Self::Triplets(_) => TupleKind::Triplets,
            Self::Tuplets(_) => TupleKind::Tuplets,
            Self::PairList(_) => TupleKind::PairList,
        }
    }

    /// An error unless these are tuples of a batch with these labels.
    ///
    /// # Errors
    /// [`Error::OutOfBatch`](crate::Error::OutOfBatch) or [`Error::Classes`](crate::Error::Classes), naming the tuple.
    pub fn check(&self, labels: &Labels) -> Result<()> {
        match self {
            Self::Labeled => Ok(()),
            Self::Pairs(pairs) => pairs.check(labels),
            Self::Triplets(triplets) => triplets.check(labels),
            Self::Tuplets(tuplets) => tuplets.check(labels),
            Self::PairList(list) => list.check(labels),
        }
    }
}

/// Which kind of [`Tuples`], without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TupleKind {
    /// Labels alone.
    Labeled,
    /// N pairs of N classes.
    Pairs,
    /// Triplets.
    Triplets,
    /// Queries with their own negatives.
    Tuplets,
    /// Lists of pairs of one class and of two.
    PairList,
}

impl TupleKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Labeled, Self::Pairs, Self::Triplets, Self::Tuplets, Self::PairList];
}

impl std::fmt::Display for TupleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Labeled => "labels alone",
            Self::Pairs => "N pairs",
            Self::Triplets => "triplets",
            Self::Tuplets => "tuplets",
            Self::PairList => "lists of pairs",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_of_another_batch_are_refused() {
        let (here, there) = (Labels::new([1, 1, 2, 2]).unwrap(), Labels::new([1, 2, 1]).unwrap());
        let pairs = Pairs::from_labels(&here).unwrap();
        let triplets = Triplets::from_pairs(&pairs).unwrap();
        let all = [
            Tuples::PairList(PairList::from_triplets(&triplets)),
            Tuples::Tuplets(Tuplets::new(vec![0], vec![1], vec![2], &here).unwrap()),
            Tuples::Triplets(triplets),
            Tuples::Pairs(pairs),
        ];
        for tuples in all {
            assert!(tuples.check(&here).is_ok() && tuples.check(&there).is_err(), "{}", tuples.kind());
        }
        assert!(Tuples::default().check(&there).is_ok());
    }
}
