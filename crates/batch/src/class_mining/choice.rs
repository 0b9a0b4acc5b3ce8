use super::grouped::{GroupedClasses, Groups};
use super::mined::{Candidates, MinedClasses, SavedMining};
use super::prototypes::Prototypes;
use crate::sampler::cyclic::{Cyclic, Examples};
use crate::sampler::tempered::TemperedClasses;
use crate::{Error, Result};
use npair_types::{ChaCha8Rng, ClassIndex};
use serde::{Deserialize, Serialize};

/// How the classes of a batch are chosen; places are among the usable classes.
pub(crate) enum ClassChoice {
    Random(Cyclic),
    Grouped(GroupedClasses),
    Tempered(TemperedClasses),
    Mined(MinedClasses),
}

/// The state of a choice, as it is saved.
#[derive(Serialize, Deserialize)]
pub(crate) enum SavedChoice {
    Random(Cyclic),
    Grouped(GroupedClasses),
    Tempered(TemperedClasses),
    Mined(SavedMining),
}

impl ClassChoice {
    pub(crate) fn random(classes: usize) -> Self {
        Self::Random(Cyclic::new(classes))
    }

    pub(crate) fn grouped(groups: &Groups, usable: &[usize]) -> Self {
        Self::Grouped(GroupedClasses::new(groups, usable))
    }

    pub(crate) fn draw(&mut self, n: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
        match self {
            Self::Random(cyclic) => Ok(cyclic.draw(n, rng)),
            Self::Grouped(grouped) => Ok(grouped.draw(n, rng)),
            Self::Tempered(tempered) => Ok(tempered.draw(n)),
            Self::Mined(mined) => mined.draw(n, rng),
        }
    }

    pub(crate) fn batches_per_epoch(&self, classes: usize, n: usize) -> usize {
        match self {
            Self::Random(_) | Self::Grouped(_) => classes.div_ceil(n),
            Self::Tempered(_) => 0,
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
            Self::Random(_) | Self::Grouped(_) | Self::Tempered(_) => None,
            Self::Mined(mined) => mined.candidates(index, usable, examples, rng),
        }
    }

    pub(crate) fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        match self {
            Self::Random(_) | Self::Grouped(_) | Self::Tempered(_) => Ok(()),
            Self::Mined(mined) => mined.supply(prototypes),
        }
    }

    pub(crate) fn save(&self) -> Result<SavedChoice> {
        Ok(match self {
            Self::Random(cyclic) => SavedChoice::Random(cyclic.clone()),
            Self::Grouped(grouped) => SavedChoice::Grouped(grouped.clone()),
            Self::Tempered(tempered) => SavedChoice::Tempered(tempered.clone()),
            Self::Mined(mined) => SavedChoice::Mined(mined.save()?),
        })
    }

    /// Goes on from a later state of this choice; what is none is an error.
    pub(crate) fn restore(&mut self, later: SavedChoice, classes: usize) -> Result<()> {
        match (self, later) {
            (Self::Random(cyclic), SavedChoice::Random(later)) if later.is_of(classes) => {
                *cyclic = later;
                Ok(())
            }
            (Self::Random(_), SavedChoice::Random(_)) => Err(Error::State("the number of classes differs".to_owned())),
            (Self::Mined(mined), SavedChoice::Mined(later)) => mined.restore(later, classes),
            (Self::Grouped(grouped), SavedChoice::Grouped(later)) => {
                grouped.check_successor(&later)?;
                *grouped = later;
                Ok(())
            }
            (Self::Tempered(tempered), SavedChoice::Tempered(later)) => {
                tempered.restore(later);
                Ok(())
            }
            (Self::Tempered(_), _) | (_, SavedChoice::Tempered(_)) => {
                Err(Error::State("one draws classes by their number of examples, the other does not".to_owned()))
            }
            (Self::Mined(_), _) | (_, SavedChoice::Mined(_)) => {
                Err(Error::State("one has class mining, the other has not".to_owned()))
            }
            _ => Err(Error::State("one takes classes by groups, the other does not".to_owned())),
        }
    }
}
