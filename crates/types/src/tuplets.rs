use crate::{Error, Labels, Result};

/// (N+1)-tuplets of a batch: a query, its positive and N-1 negatives, each from another class
/// (Sohn, NIPS 2016, section 3.1). All tuplets have the same number of negatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuplets {
    anchors: Vec<usize>,
    positives: Vec<usize>,
    negatives: Vec<usize>,
    per_anchor: usize,
}

impl Tuplets {
    /// Tuplets from their rows; `negatives` holds `per_anchor` rows for every anchor, one anchor after the other.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::Length`], [`Error::OutOfBatch`], or [`Error::Classes`] if a negative is of the
    /// anchor's class or two negatives of one tuplet share a class.
    pub fn new(anchors: Vec<usize>, positives: Vec<usize>, negatives: Vec<usize>, labels: &Labels) -> Result<Self> {
        if anchors.is_empty() {
            return Err(Error::Empty { what: "a list of tuplets", least: 1 });
        }
        if positives.len() != anchors.len() {
            return Err(Error::Length { what: "the list of positives", got: positives.len(), want: anchors.len() });
        }
        let per_anchor = negatives.len() / anchors.len();
        if per_anchor == 0 || !negatives.len().is_multiple_of(anchors.len()) {
            let want = anchors.len() * per_anchor.max(1);
            return Err(Error::Length { what: "the list of negatives", got: negatives.len(), want });
        }
        let tuplets = Self { anchors, positives, negatives, per_anchor };
        tuplets.check(labels)?;
        Ok(tuplets)
    }

    /// An error unless these are tuplets of a batch with these labels.
    ///
    /// # Errors
    /// [`Error::OutOfBatch`] or [`Error::Classes`], as of [`new`](Self::new).
    pub fn check(&self, labels: &Labels) -> Result<()> {
        const WHAT: &str = "tuplet";
        for (at, (&a, &p)) in self.anchors.iter().zip(&self.positives).enumerate() {
            let own = &self.negatives[at * self.per_anchor..(at + 1) * self.per_anchor];
            if let Some(&index) = [a, p].iter().chain(own).find(|&&i| i >= labels.len()) {
                return Err(Error::OutOfBatch { what: WHAT, at, index, batch: labels.len() });
            }
            let mut classes: Vec<_> = own.iter().map(|&n| labels.get(n)).collect();
            classes.sort_unstable();
            let why = if a == p {
                format!("anchor and positive are the same row {a}")
            } else if !labels.same(a, p) {
                format!("anchor {a} is of class {}, positive {p} of class {}", labels.get(a), labels.get(p))
            } else if classes.binary_search(&labels.get(a)).is_ok() {
                format!("a negative is of the anchor's class {}", labels.get(a))
            } else if let Some(w) = classes.windows(2).find(|w| w[0] == w[1]) {
                format!("two negatives are of class {}", w[0])
            } else {
                continue;
            };
            return Err(Error::Classes { what: WHAT, at, why });
        }
        Ok(())
    }

    /// Rows of the anchors (B).
    pub fn anchors(&self) -> &[usize] {
        &self.anchors
    }

    /// Rows of the positives (B).
    pub fn positives(&self) -> &[usize] {
        &self.positives
    }

    /// Rows of the negatives (B x (N-1)), one anchor after the other.
    pub fn negatives(&self) -> &[usize] {
        &self.negatives
    }

    /// N-1, the negatives of each anchor.
    pub fn per_anchor(&self) -> usize {
        self.per_anchor
    }

    /// Number of tuplets.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.anchors.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tuplets_name_the_tuplet() {
        let labels = Labels::new([1, 1, 2, 3, 3]).unwrap();
        let new = |a: &[usize], p: &[usize], n: &[usize]| {
            Tuplets::new(a.to_vec(), p.to_vec(), n.to_vec(), &labels).map_err(|e| e.to_string())
        };
        assert_eq!(new(&[0], &[1], &[2, 3]).unwrap().per_anchor(), 2);
        assert!(new(&[0], &[1], &[3, 4]).unwrap_err().contains("two negatives are of class 3"));
        assert!(new(&[0], &[1], &[2, 1]).unwrap_err().contains("anchor's class 1"));
        assert!(new(&[0], &[1], &[]).unwrap_err().contains("0 entries"));
        assert!(new(&[0, 3], &[1, 4], &[2, 2, 2]).unwrap_err().contains("3 entries, but 2"));
        assert!(new(&[0], &[1], &[7]).unwrap_err().contains("example 7"));
    }
}
