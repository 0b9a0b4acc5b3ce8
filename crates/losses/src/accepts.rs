use npair_types::TupleKind;

/// The batches that a loss can be taken of: the samplers whose batches suffice, the tuples that it uses if they are chosen, whether it meets
/// a reference, and whether a batch has to hold exactly two rows of every class.
///
/// ```
/// # use npair_losses::{Accepts, Circle, Loss, NPairMc};
/// # use npair_types::TupleKind;
/// let circle = Circle::default().accepts();
/// assert!(circle.check(TupleKind::Pairs, Some(TupleKind::Triplets), false).is_ok());
/// let said = NPairMc.accepts().check(TupleKind::Labeled, Some(TupleKind::Triplets), false).unwrap_err();
/// assert!(said.starts_with("takes N pairs, not the triplets of a miner: leave the miner out"));
/// # assert_eq!(Accepts::labels(), Accepts::labels());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    sampled: Kinds,
    chosen: Kinds,
    reference: bool,
    two_per_class: bool,
}

/// A set of kinds, as bits.
type Kinds = u8;

const fn bit(kind: TupleKind) -> Kinds {
    1 << kind as u8
}

const ALL: Kinds = bit(TupleKind::Tuplets) | ALL_BUT_TUPLETS;
const LISTS: Kinds = bit(TupleKind::Triplets) | bit(TupleKind::PairList);
const ALL_BUT_TUPLETS: Kinds = bit(TupleKind::Labeled) | bit(TupleKind::Pairs) | LISTS;

impl Accepts {
    /// A loss of labels alone: the labels of any batch suffice, and tuples that a miner chose would be ignored.
    pub const fn labels() -> Self {
        Self { sampled: ALL, chosen: 0, reference: false, two_per_class: false }
    }

    /// A loss that is a sum over pairs or triplets: all that the labels allow, or those that a miner chose.
    pub const fn lists() -> Self {
        Self { chosen: LISTS, ..Self::labels() }
    }

    /// A loss of N pairs of N classes, those of the sampler or of labels.
    pub const fn n_pairs() -> Self {
        Self { sampled: ALL_BUT_TUPLETS, chosen: bit(TupleKind::Pairs), reference: false, two_per_class: true }
    }

    /// A loss of triplets: those of the sampler, those that the paper makes of two rows of every class, or those of a miner.
    pub const fn triplets() -> Self {
        Self { sampled: ALL_BUT_TUPLETS, chosen: LISTS | bit(TupleKind::Pairs), reference: false, two_per_class: true }
    }

    /// A loss of tuplets.
    pub const fn tuplets() -> Self {
        let tuplets = bit(TupleKind::Tuplets);
        Self { sampled: tuplets, chosen: tuplets, reference: false, two_per_class: false }
    }

    /// One that compares the rows of a batch with those of a reference (a memory) too.
    pub const fn with_reference(self) -> Self {
        Self { reference: true, ..self }
    }

    /// Whether the loss uses tuples of this kind if they are chosen for it.
    pub fn uses(self, kind: TupleKind) -> bool {
        self.chosen & bit(kind) != 0
    }

    /// Whether the loss meets a reference.
    pub fn meets_reference(self) -> bool {
        self.reference
    }

    /// Whether a batch without chosen tuples has to hold exactly two rows of every class.
    pub fn needs_two_per_class(self) -> bool {
        self.two_per_class
    }

    /// The batches that a sum of two losses can be taken of: where only one of them meets a reference, the other takes the batch alone.
    pub fn and(self, other: Self) -> Self {
        Self {
            sampled: self.sampled & other.sampled,
            chosen: self.chosen & other.chosen,
            reference: self.reference || other.reference,
            two_per_class: self.two_per_class || other.two_per_class,
        }
    }

    /// An error unless the loss fits a sampler of this kind, a miner of that kind if there is one, and a memory if there is one.
    ///
    /// # Errors
    /// The part that does not fit and the cure, to stand behind the loss's name.
    pub fn check(self, sampler: TupleKind, miner: Option<TupleKind>, memory: bool) -> Result<(), String> {
        let takes = self.words();
        if let Some(kind) = miner {
            if !self.uses(kind) {
                let cure = "leave the miner out, or take a loss that is a sum over pairs or triplets";
                return Err(format!("takes {takes}, not the {kind} of a miner: {cure}"));
            }
            if memory {
                return Err(
                    "goes with a miner or with a memory, not with both: the miner chooses tuples of the batch \
                            alone; leave one of them out"
                        .to_owned(),
                );
            }
            return Ok(());
        }
        if self.sampled & bit(sampler) == 0 {
            let cure = match self.sampled {
                0 => "take losses that go together",
                sampled if sampled & bit(TupleKind::Labeled) != 0 => "take a sampler of two examples of every class",
                _ => "take the tuplet sampler",
            };
            return Err(format!("takes {takes}, not the {sampler} of the sampler: {cure}"));
        }
        if memory && !self.reference {
            return Err("meets no memory: its terms are not those of single queries; leave the memory out".to_owned());
        }
        Ok(())
    }

    /// The tuples that it takes, in words.
    pub(crate) fn words(self) -> String {
        let labels = match (self.sampled & bit(TupleKind::Labeled) != 0, self.two_per_class) {
            (true, false) => Some("labels"),
            _ => None,
        };
        let kinds = TupleKind::ALL.into_iter().filter(|&kind| self.uses(kind)).map(|kind| kind.to_string());
        let all: Vec<String> = labels.map(str::to_owned).into_iter().chain(kinds).collect();
        match &all[..] {
            [] => "nothing that all its parts take".to_owned(),
            [one] if labels.is_some() => format!("{one} alone"),
            [one] => one.clone(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TupleKind::*;

    #[test]
    fn what_does_not_fit_names_the_parts_and_the_cure() {
        let said = |accepts: Accepts, sampler, miner, memory| accepts.check(sampler, miner, memory).unwrap_err();
        // Labels always suffice for a loss of labels.
        for sampler in TupleKind::ALL {
            assert!(Accepts::labels().check(sampler, None, false).is_ok());
            assert!(Accepts::lists().with_reference().check(sampler, None, true).is_ok());
        }
        assert!(
            said(Accepts::labels(), Labeled, Some(PairList), false).contains("labels alone, not the lists of pairs")
        );
        assert!(said(Accepts::lists(), Labeled, None, true).contains("leave the memory out"));
        assert!(said(Accepts::lists().with_reference(), Labeled, Some(PairList), true).contains("not with both"));
        assert!(said(Accepts::n_pairs(), Tuplets, None, false).contains("two examples of every class"));
        assert!(said(Accepts::tuplets(), Labeled, None, false).contains("take the tuplet sampler"));
        assert!(Accepts::tuplets().check(Tuplets, None, false).is_ok());
        // Triplets of a miner feed losses of pairs, pairs those of triplets.
        for kind in [Triplets, PairList] {
            assert!(Accepts::lists().check(Pairs, Some(kind), false).is_ok());
            assert!(Accepts::triplets().check(Labeled, Some(kind), false).is_ok());
        }
        let sum = Accepts::n_pairs().and(Accepts::lists().with_reference());
        assert!(sum.check(Labeled, None, true).is_ok() && sum.needs_two_per_class());
        assert!(said(sum, Labeled, Some(Triplets), false).contains("nothing that all its parts take"));
        assert!(Accepts::tuplets().and(Accepts::labels()).check(Tuplets, None, false).is_ok());
        assert!(said(Accepts::tuplets().and(Accepts::n_pairs()), Tuplets, None, false).contains("go together"));
    }
}
