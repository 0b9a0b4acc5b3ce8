//! What tells whether two examples are of one class, learned from a run's validation split and kept in its folder.

use crate::{Config, Error, Result, Run};
use npair_evaluate::{Splits, write_file};
use npair_metrics::{Embeddings, VerificationPairs, Verifier};
use npair_train::Which;
use npair_types::{Purpose, Streams};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of a run's or model's folder that holds it.
pub const THRESHOLDS: &str = "thresholds.json";

/// The version of the file that this build writes and reads.
const VERSION: u32 = 1;

/// A verifier, and what it was learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedVerifier {
    version: u32,
    /// The step after which the checkpoint was made whose embeddings were compared, where that is known.
    pub step: Option<u64>,
    /// The examples whose pairs were compared.
    pub set: String,
    /// Their number.
    pub examples: usize,
    /// Their classes.
    pub classes: usize,
    /// The thresholds and the probability of a match.
    pub verifier: Verifier,
}

impl LearnedVerifier {
    /// From the embeddings of a set of classes that were not trained on.
    ///
    /// # Errors
    /// If there are no pairs of one class, or none of two.
    pub fn learn(
        config: &Config,
        set: &str,
        embeddings: &Embeddings,
        rates: &[f64],
        step: Option<u64>,
    ) -> Result<Self> {
        let mut rng = Streams::new(config.seed).open(Purpose::Evaluation, [8, 0]);
        let (measure, most) = (config.evaluation.measure, config.evaluation.pairs);
        let pairs = VerificationPairs::of(embeddings, measure, most, &mut rng).map_err(npair_evaluate::Error::from)?;
        let verifier = Verifier::learn(measure, &pairs, rates).map_err(npair_evaluate::Error::from)?;
        let classes = embeddings.labels().classes().len();
        Ok(Self { version: VERSION, step, set: set.to_owned(), examples: embeddings.len(), classes, verifier })
    }

    /// That of a folder, of a run or a model; none if there is none.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is damaged or of another version.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(THRESHOLDS);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(&path, error)),
        };
        let cure = "remove it: it is learned again from the validation split";
        let read: Self = Self::parse(&text).map_err(|e| Error::file(&path, format!("{e}; {cure}")))?;
        if read.version != VERSION {
            return Err(Error::file(&path, format!("is of version {}, not {VERSION}; {cure}", read.version)));
        }
        read.verifier.check().map_err(|why| Error::file(&path, format!("{why}; {cure}")))?;
        Ok(Some(read))
    }

    fn parse(text: &str) -> std::result::Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Whether bytes of unknown origin are such a file, as fuzzing asks.
    #[doc(hidden)]
    pub fn accepts(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok_and(|text| Self::parse(text).is_ok_and(|read| read.verifier.check().is_ok()))
    }

    /// That of a run's checkpoint, if it is kept and knows these rates and this measure.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn of_run(run: &Run, which: Which, config: &Config, rates: &[f64]) -> Result<Option<Self>> {
        let knows = |read: &Self| {
            let has = |far: &f64| read.verifier.thresholds.iter().any(|threshold| threshold.far == *far);
            read.step == run.step_of(which)
                && read.verifier.measure == config.evaluation.measure
                && rates.iter().all(has)
        };
        Ok(Self::read(run.folder())?.filter(knows))
    }

    /// Writes it to a folder.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::file(folder, e))?;
        Ok(write_file(&folder.join(THRESHOLDS), &text)?)
    }
}

/// Whether a run's splits have classes to learn thresholds from: unseen ones that no score is taken of.
pub fn learns_thresholds(splits: &Splits) -> bool {
    splits.val.as_ref().is_some_and(|val| {
        let index = val.class_index();
        index.len() > 1 && !index.with_at_least(2).is_empty()
    })
}
