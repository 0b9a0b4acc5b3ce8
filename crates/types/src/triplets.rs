use crate::{Error, Labels, PairList, Pairs, Result};

/// Triplets of a batch: anchor and positive are two rows of one class, the negative is of another.
///
/// ```
/// # use npair_types::{Labels, Pairs, Triplets};
/// // Two pairs of two classes give two triplets (Sohn, section 4): either class is the query side once.
/// let pairs = Pairs::from_labels(&Labels::new([1, 1, 2, 2])?)?;
/// let triplets = Triplets::from_pairs(&pairs)?;
/// assert_eq!(triplets.rows(0), [0, 1, 2]);
/// assert_eq!(triplets.rows(1), [2, 3, 0]);
/// # Ok::<(), npair_types::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triplets {
    anchors: Vec<usize>,
    positives: Vec<usize>,
    negatives: Vec<usize>,
}

impl Triplets {
    /// Triplets from their rows `[anchor, positive, negative]`, checked against the labels of the batch.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::OutOfBatch`], or [`Error::Classes`] if the classes do not fit.
    pub fn new(rows: &[[usize; 3]], labels: &Labels) -> Result<Self> {
        let triplets = Self::unchecked(rows.iter().copied())?;
        triplets.check(labels)?;
        Ok(triplets)
    }

    /// An error unless these are triplets of a batch with these labels.
    ///
    /// # Errors
    /// [`Error::OutOfBatch`] or [`Error::Classes`], as of [`new`](Self::new).
    pub fn check(&self, labels: &Labels) -> Result<()> {
        const WHAT: &str = "triplet";
        for (at, [a, p, n]) in (0..self.len()).map(|at| (at, self.rows(at))) {
            if let Some(&index) = [a, p, n].iter().find(|&&i| i >= labels.len()) {
                return Err(Error::OutOfBatch { what: WHAT, at, index, batch: labels.len() });
            }
            let why = if a == p {
                format!("anchor and positive are the same row {a}")
            } else if !labels.same(a, p) {
                format!("anchor {a} is of class {}, positive {p} of class {}", labels.get(a), labels.get(p))
            } else if labels.same(a, n) {
                format!("negative {n} is of the anchor's class {}", labels.get(a))
            } else {
                continue;
            };
            return Err(Error::Classes { what: WHAT, at, why });
        }
        Ok(())
    }

    fn unchecked(rows: impl Iterator<Item = [usize; 3]>) -> Result<Self> {
        let mut t = Self { anchors: Vec::new(), positives: Vec::new(), negatives: Vec::new() };
        for [a, p, n] in rows {
            t.anchors.push(a);
            t.positives.push(p);
            t.negatives.push(n);
        }
        if t.anchors.is_empty() {
            return Err(Error::Empty { what: "a list of triplets", least: 1 });
        }
        Ok(t)
    }

    /// The triplets that the paper trains: pairs 2k and 2k + 1 form two triplets, each taking the other's anchor as its
    /// negative, so that 2N examples make N triplets. Of an odd number of pairs the last borrows its negative from the
    /// first.
    ///
    /// # Errors
    /// [`Error::Length`] if there is only one pair.
    ///
    /// # Source
    /// Sohn, NIPS 2016, section 4 ("we construct two triplets from two pairs of two classes").
    pub fn from_pairs(pairs: &Pairs) -> Result<Self> {
        let n = pairs.len();
        if n < 2 {
            return Err(Error::Length { what: "the list of pairs to form triplets from", got: n, want: 2 });
        }
        Self::unchecked((0..n).map(|i| {
            let other = if i ^ 1 < n { i ^ 1 } else { 0 };
            [pairs.anchors()[i], pairs.positives()[i], pairs.anchors()[other]]
        }))
    }

    /// Every positive of an anchor with every negative of the same anchor; nothing if no anchor has both.
    ///
    /// ```
    /// # use npair_types::{Labels, PairList, Triplets};
    /// let list = PairList::new(vec![[0, 1]], vec![[0, 2], [0, 3], [1, 2]], &Labels::new([1, 1, 2, 2])?)?;
    /// let triplets = Triplets::from_pair_list(&list).unwrap();
    /// assert_eq!((triplets.rows(0), triplets.rows(1), triplets.len()), ([0, 1, 2], [0, 1, 3], 2));
    /// # Ok::<(), npair_types::Error>(())
    /// ```
    ///
    /// # Source
    /// pytorch-metric-learning's `convert_to_triplets`.
    pub fn from_pair_list(list: &PairList) -> Option<Self> {
        let mut negatives = std::collections::BTreeMap::<usize, Vec<usize>>::new();
        for &[anchor, negative] in list.negatives() {
            negatives.entry(anchor).or_default().push(negative);
        }
        let of = |anchor| negatives.get(&anchor).map_or(&[][..], Vec::as_slice);
        let rows = list.positives().iter().flat_map(|&[a, p]| of(a).iter().map(move |&n| [a, p, n]));
        Self::unchecked(rows).ok()
    }

    /// Rows of the anchors.
    pub fn anchors(&self) -> &[usize] {
        &self.anchors
    }

    /// Rows of the positives.
    pub fn positives(&self) -> &[usize] {
        &self.positives
    }

    /// Rows of the negatives.
    pub fn negatives(&self) -> &[usize] {
        &self.negatives
    }

    /// Rows `[anchor, positive, negative]` of triplet `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn rows(&self, i: usize) -> [usize; 3] {
        [self.anchors[i], self.positives[i], self.negatives[i]]
    }

    /// Number of triplets.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.anchors.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_triplets_name_the_triplet() {
        let labels = Labels::new([1, 1, 2, 2]).unwrap();
        let new = |rows: &[[usize; 3]]| Triplets::new(rows, &labels).map_err(|e| e.to_string());
        assert!(new(&[[0, 1, 2], [2, 3, 1]]).is_ok());
        assert!(new(&[[0, 1, 2], [0, 1, 1]]).unwrap_err().contains("triplet 1: negative 1"));
        assert!(new(&[[0, 2, 3]]).unwrap_err().contains("positive 2 of class 2"));
        assert!(new(&[[0, 0, 3]]).unwrap_err().contains("same row"));
        assert!(new(&[[0, 1, 9]]).unwrap_err().contains("example 9"));
        assert!(new(&[]).unwrap_err().contains("empty"));
    }

    #[test]
    fn an_odd_pair_borrows_from_the_first() {
        let pairs = Pairs::from_labels(&Labels::new([1, 1, 2, 2, 3, 3]).unwrap()).unwrap();
        let triplets = Triplets::from_pairs(&pairs).unwrap();
        assert_eq!(triplets.len(), 3);
        assert_eq!(triplets.rows(2), [4, 5, 0]);
        let one = Pairs::from_labels(&Labels::new([1, 1]).unwrap()).unwrap();
        assert!(Triplets::from_pairs(&one).is_err());
    }
}
