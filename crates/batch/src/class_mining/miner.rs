use super::prototypes::Prototypes;
use crate::{Error, Result};
use npair_types::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Chooses which classes meet in a batch: N out of C candidates, by their prototypes. [`NPairSampler::mined`](crate::NPairSampler::mined)
/// asks it for every batch.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// use npair_batch::{BatchSampler, CandidateSets, ChosenClasses, ClassMiner, NPairSampler, Prototypes, Result};
/// # use npair_types::{ChaCha8Rng, ClassId, ClassIndex, Labels, Purpose, Streams};
///
/// /// The classes with the longest prototypes.
/// struct Longest;
///
/// impl ClassMiner for Longest {
///     fn name(&self) -> &str { "longest" }
///     fn choose(&mut self, prototypes: &Prototypes, n: usize, _: &mut ChaCha8Rng) -> Result<ChosenClasses> {
///         let length = |c: usize| prototypes.rows(c).flatten().map(|v| v * v).sum::<f32>();
///         let mut indices: Vec<usize> = (0..prototypes.len()).collect();
///         indices.sort_by(|&a, &b| length(b).total_cmp(&length(a)));
///         indices.truncate(n);
///         Ok(ChosenClasses { indices, violations: Vec::new() })
///     }
/// }
///
/// let index = ClassIndex::from_labels(&Labels::new([4, 4, 7, 7, 9, 9])?);
/// let rng = Streams::new(1).open(Purpose::Sampling, [0, 0]);
/// let mut sampler = NPairSampler::mined(index, 2, CandidateSets::default(), Box::new(Longest), rng)?;
/// let ask = sampler.candidates().unwrap();
/// let lengths: Vec<f32> = ask.classes.iter().map(|c| c.0 as f32).collect(); // what a model would say
/// sampler.supply(Prototypes::new(&ask.classes, &Tensor::from_vec(lengths, (3, 1), &Device::Cpu)?, ask.measure)?)?;
/// assert_eq!(sampler.next_batch()?.labels.classes(), [ClassId(7), ClassId(9)]);
/// # Ok::<(), npair_batch::Error>(())
/// ```
pub trait ClassMiner: Send {
    /// `n` different candidates, by their indices.
    ///
    /// # Errors
    /// [`Error::TooFewClasses`] if there are fewer than `n` candidates; the miner's own.
    fn choose(&mut self, prototypes: &Prototypes, n: usize, rng: &mut ChaCha8Rng) -> Result<ChosenClasses>;

    /// Its name in errors.
    fn name(&self) -> &str;

    /// Everything that changes from choice to choice; by default nothing does.
    ///
    /// # Errors
    /// If the state cannot be written.
    fn save(&self) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// [`Error::State`] if it is no state of this miner.
    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        match state {
            serde_json::Value::Null => Ok(()),
            _ => Err(Error::State(format!("the {} has no state, but one was saved", self.name()))),
        }
    }
}

/// The classes that a miner chose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChosenClasses {
    /// Indices of the chosen candidates, in the order of choice.
    pub indices: Vec<usize>,
    /// How hard each was for those before it when it was chosen, if the miner says so; the first has none, so one entry fewer.
    pub violations: Vec<f32>,
}

impl ChosenClasses {
    /// An error unless these are `n` different ones of `candidates`.
    pub(crate) fn check(&self, miner: &str, n: usize, candidates: usize) -> Result<()> {
        let mut indices = self.indices.clone();
        indices.sort_unstable();
        indices.dedup();
        if self.indices.len() != n || indices.len() != n || indices.last().is_some_and(|&last| last >= candidates) {
            let why = format!("chose {:?}, but {n} different ones of {candidates} candidates are needed", self.indices);
            return Err(Error::Miner { miner: miner.to_owned(), why });
        }
        Ok(())
    }
}
