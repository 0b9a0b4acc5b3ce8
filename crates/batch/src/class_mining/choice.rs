use super::grouped::{GroupedClasses, Groups};
use super::mined::{Candidates, MinedClasses};
use super::prototypes::Prototypes;
use crate::deck::{Deck, Examples};
use crate::{Error, Result};
use npair_types::{ChaCha8Rng, ClassIndex};
use serde::{Deserialize, Serialize};

/// How the classes of a batch are chosen; places are among the usable classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ClassChoice {
    Random(Deck),
    Grouped(GroupedClasses),
    Mined(MinedClasses),
}

impl ClassChoice {
    pub(crate) fn random(classes: usize) -> Self {
        Self::Random(Deck::new(classes))
    }

    pub(crate) fn grouped(groups: &Groups, usable: &[usize]) -> Self {
        Self::Grouped(GroupedClasses::new(groups, usable))
    }

    pub(crate) fn draw(&mut self, n: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
        match self {
            Self::Random(deck) => Ok(deck.draw(n, rng)),
            Self::Grouped(grouped) => Ok(grouped.draw(n, rng)),
            Self::Mined(mined) => mined.draw(n, rng),
        }
    }

    pub(crate) fn batches_per_epoch(&self, classes: usize, n: usize) -> usize {
        match self {
            Self::Random(_) | Self::Grouped(_) => classes.div_ceil(n),
            Self::Mined(mined) => mined.batches_per_epoch(classes),
        }
    }

    pub(crate) fn wants_prototypes(&self) -> bool {
        matches!(self, Self::Mined(mined) if mined.wants_prototypes())
    }

    pub(crate) fn candidates(
        &mut self,
        index: &ClassIndex,
        usable: &[usize],
        examples: &mut Examples,
        rng: &mut ChaCha8Rng,
    ) -> Option<Candidates> {
        match self {
            Self::Random(_) | Self::Grouped(_) => None,
            Self::Mined(mined) => mined.candidates(index, usable, examples, rng),
        }
    }

    pub(crate) fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        match self {
            Self::Random(_) | Self::Grouped(_) => Ok(()),
            Self::Mined(mined) => mined.supply(prototypes),
        }
    }

    /// An error unless `later` is a later state of this.
    pub(crate) fn check_successor(&self, later: &Self, classes: usize) -> Result<()> {
        match (self, later) {
            (Self::Random(_), Self::Random(deck)) if deck.is_of(classes) => Ok(()),
            (Self::Random(_), Self::Random(_)) => Err(Error::State("the number of classes differs".to_owned())),
            (Self::Mined(mined), Self::Mined(later)) => mined.check_successor(later, classes),
            (Self::Grouped(grouped), Self::Grouped(later)) => grouped.check_successor(later),
            (Self::Mined(_), _) | (_, Self::Mined(_)) => {
                Err(Error::State("one has class mining, the other has not".to_owned()))
            }
            _ => Err(Error::State("one takes classes by groups, the other does not".to_owned())),
        }
    }
}
