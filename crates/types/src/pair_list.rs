use crate::{Error, Labels, Result, Triplets};

/// Pairs of rows of a batch that a miner chose, each `[anchor, other]`: of one class in the positives, of two in the negatives.
/// Either list may be empty, and a pair may stand in one order and not in the other.
///
/// ```
/// # use npair_types::{Labels, PairList};
/// let labels = Labels::new([1, 1, 2])?;
/// let list = PairList::new(vec![[0, 1]], vec![[0, 2], [2, 1]], &labels)?;
/// assert_eq!((list.positives().len(), list.negatives().len()), (1, 2));
/// assert!(PairList::new(vec![[0, 2]], vec![], &labels).is_err());
/// # Ok::<(), npair_types::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairList {
    positives: Vec<[usize; 2]>,
    negatives: Vec<[usize; 2]>,
}

impl PairList {
    /// Pairs from their rows, checked against the labels of the batch; they keep their order.
    ///
    /// # Errors
    /// [`Error::OutOfBatch`], or [`Error::Classes`] if a pair has the wrong classes, holds one row twice or stands in the list
    /// twice.
    pub fn new(positives: Vec<[usize; 2]>, negatives: Vec<[usize; 2]>, labels: &Labels) -> Result<Self> {
        let list = Self { positives, negatives };
        list.check(labels)?;
        Ok(list)
    }

    /// The pairs of triplets, each once, in ascending order.
    ///
    /// ```
    /// # use npair_types::{Labels, PairList, Triplets};
    /// let triplets = Triplets::new(&[[0, 1, 2], [0, 1, 3]], &Labels::new([1, 1, 2, 2])?)?;
    /// let list = PairList::from_triplets(&triplets);
    /// assert_eq!((list.positives(), list.negatives()), (&[[0, 1]][..], &[[0, 2], [0, 3]][..]));
    /// # Ok::<(), npair_types::Error>(())
    /// ```
    pub fn from_triplets(triplets: &Triplets) -> Self {
        let with = |others: &[usize]| {
            let mut pairs: Vec<[usize; 2]> = triplets.anchors().iter().zip(others).map(|(&a, &o)| [a, o]).collect();
            pairs.sort_unstable();
            pairs.dedup();
            pairs
        };
        Self { positives: with(triplets.positives()), negatives: with(triplets.negatives()) }
    }

    /// An error unless these are pairs of a batch with these labels.
    ///
    /// # Errors
    /// [`Error::OutOfBatch`] or [`Error::Classes`], as of [`new`](Self::new).
    pub fn check(&self, labels: &Labels) -> Result<()> {
        check("positive pair", &self.positives, true, labels)?;
        check("negative pair", &self.negatives, false, labels)
    }

    /// Pairs of one class.
    pub fn positives(&self) -> &[[usize; 2]] {
        &self.positives
    }

    /// Pairs of two classes.
    pub fn negatives(&self) -> &[[usize; 2]] {
        &self.negatives
    }

    /// Number of pairs of either kind.
    pub fn len(&self) -> usize {
        self.positives.len() + self.negatives.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An error unless all pairs are of one class, or all are of two.
fn check(what: &'static str, pairs: &[[usize; 2]], same: bool, labels: &Labels) -> Result<()> {
    for (at, &[a, b]) in pairs.iter().enumerate() {
        if let Some(&index) = [a, b].iter().find(|&&i| i >= labels.len()) {
            return Err(Error::OutOfBatch { what, at, index, batch: labels.len() });
        }
        let (of_a, of_b) = (labels.get(a), labels.get(b));
        let why = if a == b {
            format!("anchor and other are the same row {a}")
        } else if (of_a == of_b) != same {
            format!("row {a} is of class {of_a}, row {b} of class {of_b}")
        } else {
            continue;
        };
        return Err(Error::Classes { what, at, why });
    }
    // Miners give them in ascending order: nothing to sort then.
    let ascending = |pairs: &[[usize; 2]]| pairs.windows(2).all(|w| w[0] < w[1]);
    if ascending(pairs) {
        return Ok(());
    }
    let mut sorted: Vec<([usize; 2], usize)> = pairs.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|w| w[0].0 == w[1].0) {
        Some(w) => Err(Error::Classes { what, at: w[1].1, why: format!("{:?} stands in the list twice", w[1].0) }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_pairs_name_the_pair() {
        let labels = Labels::new([1, 1, 2, 2]).unwrap();
        let new = |p: &[[usize; 2]], n: &[[usize; 2]]| {
            PairList::new(p.to_vec(), n.to_vec(), &labels).map_err(|e| e.to_string())
        };
        assert!(new(&[], &[]).unwrap().is_empty());
        assert_eq!(new(&[[3, 2], [0, 1], [1, 0]], &[[0, 2]]).unwrap().len(), 4);
        assert!(new(&[[0, 2]], &[]).unwrap_err().contains("positive pair 0: row 0 is of class 1, row 2 of class 2"));
        assert!(new(&[], &[[0, 2], [2, 3]]).unwrap_err().contains("negative pair 1"));
        assert!(new(&[[1, 1]], &[]).unwrap_err().contains("same row 1"));
        assert!(new(&[], &[[0, 4]]).unwrap_err().contains("example 4"));
        assert!(new(&[[1, 0], [0, 1], [1, 0]], &[]).unwrap_err().contains("pair 2: [1, 0] stands in the list twice"));
    }
}
