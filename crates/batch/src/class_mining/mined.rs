use super::miner::{ChosenClasses, ClassMiner};
use super::prototypes::Prototypes;
use crate::sampler::cyclic::{Cyclic, Examples};
use crate::{Error, GreedyMiningSettings, Result};
use npair_types::{ChaCha8Rng, ClassId, ClassIndex, ExampleId, Measure};
use serde::{Deserialize, Serialize};

/// The sets of candidates that a class miner chooses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateSets {
    /// C, the random classes of a set; all classes if there are fewer.
    pub candidates: usize,
    /// E, the examples of each that are embedded.
    pub examples: usize,
    /// R, the batches that are chosen from a set before the next is drawn and embedded.
    pub refresh: usize,
    /// The measure that compares embeddings: dot or cosine.
    pub measure: Measure,
}

impl Default for CandidateSets {
    /// Those of the usual [`GreedyMiningSettings`].
    fn default() -> Self {
        GreedyMiningSettings::default().candidate_sets()
    }
}

/// The examples to embed for mining: `examples` ids of each candidate class, class after class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The candidate classes (C).
    pub classes: Vec<ClassId>,
    /// Their examples (C E).
    pub ids: Vec<ExampleId>,
    /// The measure that compares them; for [`Prototypes::new`].
    pub measure: Measure,
}

/// Class choice by mining: candidates come up in a cycle, so that every class becomes one once per round, and from each set of
/// candidates the miner chooses R batches.
pub(crate) struct MinedClasses {
    sets: CandidateSets,
    miner: Box<dyn ClassMiner>,
    /// N, the classes of a batch.
    n: usize,
    state: State,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    cyclic: Cyclic,
    /// Places of the candidates among the usable classes.
    candidates: Vec<usize>,
    prototypes: Option<Prototypes>,
    /// Batches left before the next refresh.
    left: usize,
    last: Option<ChosenClasses>,
}

/// The state of class mining, as it is saved.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedMining {
    sets: CandidateSets,
    state: State,
    miner: String,
    of_miner: serde_json::Value,
}

impl MinedClasses {
    /// Mining of `n` out of `classes` usable classes.
    ///
    /// # Errors
    /// [`Error::Setting`] if C < N, or E or R is 0.
    pub(crate) fn new(sets: CandidateSets, miner: Box<dyn ClassMiner>, n: usize, classes: usize) -> Result<Self> {
        for (what, got, least) in [
            ("mining.candidates, the classes to choose from,", sets.candidates, n),
            ("mining.examples, the examples per candidate class,", sets.examples, 1),
            ("mining.refresh, the batches per candidate set,", sets.refresh, 1),
        ] {
            if got < least {
                return Err(Error::Setting { what, got, least });
            }
        }
        let cyclic = Cyclic::new(classes);
        let state = State { cyclic, candidates: Vec::new(), prototypes: None, left: 0, last: None };
        Ok(Self { sets, miner, n, state })
    }

    /// The choice of the last batch.
    pub(crate) fn last(&self) -> Option<&ChosenClasses> {
        self.state.last.as_ref()
    }

    pub(crate) fn batches_per_epoch(&self, classes: usize) -> usize {
        classes.div_ceil(self.sets.candidates.min(classes).max(1)) * self.sets.refresh
    }

    pub(crate) fn wants_prototypes(&self) -> bool {
        self.state.left == 0
    }

    pub(crate) fn candidates(
        &mut self,
        index: &ClassIndex,
        usable: &[usize],
        examples: &mut Examples,
        rng: &mut ChaCha8Rng,
    ) -> Option<Candidates> {
        if !self.wants_prototypes() {
            return None;
        }
        let Self { sets, state, .. } = self;
        state.prototypes = None;
        state.candidates = state.cyclic.draw(sets.candidates.min(usable.len()), rng);
        // All classes give the same number: as many as the smallest has, at most E.
        let sizes = state.candidates.iter().map(|&c| index.examples(usable[c]).len());
        let e = sizes.min().unwrap_or(1).min(sets.examples);
        let ids = state.candidates.iter().flat_map(|&c| examples.draw(index, usable[c], e, rng)).collect();
        let classes = state.candidates.iter().map(|&c| index.classes()[usable[c]]).collect();
        Some(Candidates { classes, ids, measure: sets.measure })
    }

    pub(crate) fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        let wanted = self.state.candidates.len();
        if prototypes.len() != wanted {
            let (got, want) = (vec![prototypes.len()], format!("({wanted}) classes, as drawn"));
            return Err(Error::Prototypes { got, want });
        }
        self.state.prototypes = Some(prototypes);
        self.state.left = self.sets.refresh;
        Ok(())
    }

    pub(crate) fn draw(&mut self, n: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
        let Self { miner, state, .. } = self;
        let Some(prototypes) = state.prototypes.as_ref().filter(|_| state.left > 0) else {
            return Err(Error::NoPrototypes);
        };
        let chosen = miner.choose(prototypes, n, rng)?;
        chosen.check(miner.name(), n, state.candidates.len())?;
        let places = chosen.indices.iter().map(|&p| state.candidates[p]).collect();
        state.left -= 1;
        state.last = Some(chosen);
        Ok(places)
    }

    pub(crate) fn save(&self) -> Result<SavedMining> {
        let (sets, state) = (self.sets, self.state.clone());
        Ok(SavedMining { sets, state, miner: self.miner.name().to_owned(), of_miner: self.miner.save()? })
    }

    /// Goes on from a later state; what is none of this mining is an error, and nothing is changed then.
    pub(crate) fn restore(&mut self, later: SavedMining, classes: usize) -> Result<()> {
        if later.sets != self.sets {
            return Err(Error::State("the mining settings differ".to_owned()));
        }
        if later.miner != self.miner.name() {
            return Err(Error::State(format!("it is of the {}, not of the {}", later.miner, self.miner.name())));
        }
        later.state.check(&self.sets, self.n, classes)?;
        self.miner.restore(&later.of_miner)?;
        self.state = later.state;
        Ok(())
    }
}

impl State {
    /// An error unless this can be a state of mining `n` classes with these sets.
    fn check(&self, sets: &CandidateSets, n: usize, classes: usize) -> Result<()> {
        let wrong = |why: &str| Err(Error::State(why.to_owned()));
        let mut places = self.candidates.clone();
        places.sort_unstable();
        places.dedup();
        if !self.cyclic.is_of(classes) || places.last().is_some_and(|&last| last >= classes) {
            return wrong("the number of classes differs");
        }
        if places.len() != self.candidates.len() {
            return wrong("a class is a candidate twice");
        }
        let drawn = sets.candidates.min(classes);
        if !self.candidates.is_empty() && self.candidates.len() != drawn {
            return wrong("it has another number of candidates");
        }
        if let Some(last) = &self.last {
            last.check("the miner", n, drawn).map_err(|e| Error::State(e.to_string()))?;
        }
        if self.left > sets.refresh {
            return wrong("more batches are left than a set of candidates gives");
        }
        match &self.prototypes {
            Some(prototypes) if prototypes.len() != self.candidates.len() => {
                wrong("the prototypes are of other candidates")
            }
            None if self.left > 0 => wrong("the prototypes are missing"),
            _ => Ok(()),
        }
    }
}
