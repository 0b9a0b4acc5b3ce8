use crate::{ClassId, Error, Labels, Result};

/// N pairs of a batch: `anchors[i]` and `positives[i]` are rows of one class, and no two pairs share a class.
/// This is the batch of the N-pair losses (Sohn, NIPS 2016, section 3.2).
///
/// ```
/// # use npair_types::{Labels, Pairs};
/// let pairs = Pairs::from_labels(&Labels::new([4, 8, 8, 4])?)?;
/// assert_eq!((pairs.anchors(), pairs.positives()), (&[0, 1][..], &[3, 2][..]));
/// # Ok::<(), npair_types::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    anchors: Vec<usize>,
    positives: Vec<usize>,
}

impl Pairs {
    /// Pairs from their rows, checked against the labels of the batch.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::OutOfBatch`], or [`Error::Classes`] if a pair mixes classes, holds one row twice or
    /// shares its class with another pair.
    pub fn new(anchors: Vec<usize>, positives: Vec<usize>, labels: &Labels) -> Result<Self> {
        if anchors.is_empty() {
            return Err(Error::Empty { what: "a list of pairs", least: 1 });
        }
        if positives.len() != anchors.len() {
            return Err(Error::Length { what: "the list of positives", got: positives.len(), want: anchors.len() });
        }
        let pairs = Self { anchors, positives };
        pairs.check(labels)?;
        Ok(pairs)
    }

    /// An error unless these are pairs of a batch with these labels.
    ///
    /// # Errors
    /// [`Error::OutOfBatch`] or [`Error::Classes`], as of [`new`](Self::new).
    pub fn check(&self, labels: &Labels) -> Result<()> {
        const WHAT: &str = "pair";
        let mut seen = std::collections::BTreeSet::<ClassId>::new();
        for (at, (&a, &p)) in self.anchors.iter().zip(&self.positives).enumerate() {
            for index in [a, p] {
                if index >= labels.len() {
                    return Err(Error::OutOfBatch { what: WHAT, at, index, batch: labels.len() });
                }
            }
            let why = if a == p {
                format!("anchor and positive are the same row {a}")
            } else if !labels.same(a, p) {
                format!("row {a} is of class {}, row {p} of class {}", labels.get(a), labels.get(p))
            } else if !seen.insert(labels.get(a)) {
                format!("class {} has a pair already", labels.get(a))
            } else {
                continue;
            };
            return Err(Error::Classes { what: WHAT, at, why });
        }
        Ok(())
    }

    /// The pairs of a batch that holds two rows of every class: the first row of a class is its anchor, the second its
    /// positive; pairs stand in the order of their anchors.
    ///
    /// # Errors
    /// [`Error::Classes`] naming the first class that has not exactly two rows.
    pub fn from_labels(labels: &Labels) -> Result<Self> {
        let mut rows = std::collections::BTreeMap::<ClassId, Vec<usize>>::new();
        let mut order = Vec::new();
        for (i, &class) in labels.as_slice().iter().enumerate() {
            let of_class = rows.entry(class).or_default();
            if of_class.is_empty() {
                order.push(class);
            }
            of_class.push(i);
        }
        let (mut anchors, mut positives) = (Vec::new(), Vec::new());
        for (at, class) in order.iter().enumerate() {
            match rows[class][..] {
                [a, p] => {
                    anchors.push(a);
                    positives.push(p);
                }
                ref r => {
                    let why = format!(
                        "class {class} has {} rows in the batch; N pairs need exactly 2 of every class",
                        r.len()
                    );
                    return Err(Error::Classes { what: "pair", at, why });
                }
            }
        }
        Ok(Self { anchors, positives })
    }

    /// Rows of the anchors (N).
    pub fn anchors(&self) -> &[usize] {
        &self.anchors
    }

    /// Rows of the positives (N).
    pub fn positives(&self) -> &[usize] {
        &self.positives
    }

    /// N.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.anchors.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_pairs_name_the_pair() {
        let labels = Labels::new([1, 1, 2, 2, 1]).unwrap();
        let new = |a: &[usize], p: &[usize]| Pairs::new(a.to_vec(), p.to_vec(), &labels).map_err(|e| e.to_string());
        assert!(new(&[0, 2], &[1, 3]).is_ok());
        assert!(new(&[0], &[2]).unwrap_err().contains("row 2 of class 2"));
        assert!(new(&[0], &[0]).unwrap_err().contains("same row"));
        assert!(new(&[0, 4], &[1, 0]).unwrap_err().contains("pair 1: class 1 has a pair already"));
        assert!(new(&[0], &[5]).unwrap_err().contains("the batch has 5"));
        assert!(new(&[0, 2], &[1]).unwrap_err().contains("1 entries, but 2"));
        assert!(Pairs::from_labels(&labels).unwrap_err().to_string().contains("class 1 has 3 rows"));
    }
}
