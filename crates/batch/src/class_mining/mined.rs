use super::greedy::{ClassMiner, GreedyMiner, Mined, Violation};
use super::prototypes::Prototypes;
use crate::deck::{Deck, Examples};
use crate::{Error, Result};
use npair_types::{ChaCha8Rng, ClassId, ClassIndex, ExampleId, Measure};
use serde::{Deserialize, Serialize};

/// Settings of negative class mining. The paper gives none of the numbers; these are the workspace's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Mining {
    /// C, the random classes of which the hard ones are chosen; all classes if there are fewer.
    pub candidates: usize,
    /// E, the examples of each that are embedded: one, or two to see the classes' own closeness.
    pub examples: usize,
    /// R, the batches after which candidates are drawn and embedded anew.
    pub refresh: usize,
    /// How violations are scored.
    pub violation: Violation,
    /// What compares embeddings: dot or cosine.
    pub measure: Measure,
}

impl Default for Mining {
    fn default() -> Self {
        Self { candidates: 500, examples: 1, refresh: 10, violation: Violation::WorstPair, measure: Measure::Dot }
    }
}

/// The examples to embed for mining: `examples` ids of each candidate class, class after class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// The candidate classes (C).
    pub classes: Vec<ClassId>,
    /// Their examples (C E).
    pub ids: Vec<ExampleId>,
    /// What compares them; for [`Prototypes::new`].
    pub measure: Measure,
}

/// Class choice by mining: candidates pass through a deck, so that every class becomes one once per round, and from each set
/// of candidates R batches are chosen, each from its own random start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinedClasses {
    mining: Mining,
    deck: Deck,
    /// Places of the candidates among the usable classes.
    candidates: Vec<usize>,
    prototypes: Option<Prototypes>,
    /// Batches left before the next refresh.
    left: usize,
    last: Option<Mined>,
}

impl MinedClasses {
    /// Mining of `n` out of `classes` usable classes.
    ///
    /// # Errors
    /// [`Error::Setting`] if C < N, or E or R is 0.
    pub fn new(mining: Mining, n: usize, classes: usize) -> Result<Self> {
        for (what, got, least) in [
            ("mining.candidates, the classes to choose from,", mining.candidates, n),
            ("mining.examples, the examples per candidate class,", mining.examples, 1),
            ("mining.refresh, the batches per candidate set,", mining.refresh, 1),
        ] {
            if got < least {
                return Err(Error::Setting { what, got, least });
            }
        }
        let deck = Deck::new(classes);
        Ok(Self { mining, deck, candidates: Vec::new(), prototypes: None, left: 0, last: None })
    }

    /// What the last batch's choice was.
    pub fn last(&self) -> Option<&Mined> {
        self.last.as_ref()
    }

    pub(crate) fn batches_per_epoch(&self, classes: usize) -> usize {
        classes.div_ceil(self.mining.candidates.min(classes).max(1)) * self.mining.refresh
    }

    pub(crate) fn wants_prototypes(&self) -> bool {
        self.left == 0
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
        self.prototypes = None;
        self.candidates = self.deck.draw(self.mining.candidates.min(usable.len()), rng);
        // All classes give the same number: as many as the smallest has, at most E.
        let e = self
            .candidates
            .iter()
            .map(|&c| index.examples(usable[c]).len())
            .min()
            .unwrap_or(1)
            .min(self.mining.examples);
        let ids = self.candidates.iter().flat_map(|&c| examples.draw(index, usable[c], e, rng)).collect();
        let classes = self.candidates.iter().map(|&c| index.classes()[usable[c]]).collect();
        Some(Candidates { classes, ids, measure: self.mining.measure })
    }

    pub(crate) fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        if prototypes.len() != self.candidates.len() {
            let (got, want) = (vec![prototypes.len()], format!("({}) classes, as drawn", self.candidates.len()));
            return Err(Error::Prototypes { got, want });
        }
        self.prototypes = Some(prototypes);
        self.left = self.mining.refresh;
        Ok(())
    }

    pub(crate) fn draw(&mut self, n: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
        let Some(prototypes) = self.prototypes.as_ref().filter(|_| self.left > 0) else {
            return Err(Error::NoPrototypes);
        };
        let mined = GreedyMiner { violation: self.mining.violation }.choose(prototypes, n, rng)?;
        let places = mined.places.iter().map(|&p| self.candidates[p]).collect();
        self.left -= 1;
        self.last = Some(mined);
        Ok(places)
    }

    /// An error unless `later` is a later state of this.
    pub(crate) fn check_successor(&self, later: &Self, classes: usize) -> Result<()> {
        if later.mining != self.mining {
            return Err(Error::State("the mining settings differ".to_owned()));
        }
        if !later.deck.is_of(classes) || later.candidates.iter().any(|&c| c >= classes) {
            return Err(Error::State("the number of classes differs".to_owned()));
        }
        Ok(())
    }
}
