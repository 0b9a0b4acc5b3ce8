use std::path::{Path, PathBuf};

/// What stops a run, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that is out of range.
    #[error("{setting}: {why}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What does not fit, and what would.
        why: String,
    },
    /// Parts that do not go together.
    #[error("{parts} do not go together: {why}")]
    Mismatch {
        /// The parts by name.
        parts: String,
        /// What does not fit, and what would.
        why: String,
    },
    /// A file of a run cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause and the cure.
        why: String,
    },
    /// Training diverged.
    #[error(
        "step {step}: {what} is not finite; lower optimizer.learning_rate or set optimizer.clip_norm. \
         The last checkpoint is unharmed"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// What was not finite.
        what: String,
    },
    /// Variables that the first step does not teach.
    #[error(
        "step {step}: no gradient that could teach them reaches {}: the loss does not depend on them, or a part of the network is \
         cut off; freeze them (model.freeze) or excuse them (training.allow_dead)",
        listed(names)
    )]
    Dead {
        /// The step.
        step: u64,
        /// Names of the variables, with what is wrong.
        names: Vec<String>,
    },
    /// From the inputs, or from judging.
    #[error(transparent)]
    Evaluate(#[from] npair_evaluate::Error),
    /// From the other ranks.
    #[error(transparent)]
    Ranks(#[from] npair_collective::Error),
    /// From the batches.
    #[error(transparent)]
    Batch(#[from] npair_batch::Error),
    /// From the model.
    #[error(transparent)]
    Model(#[from] npair_backbones::Error),
    /// From a layer.
    #[error(transparent)]
    Layer(#[from] npair_nn::Error),
    /// From the loss.
    #[error(transparent)]
    Loss(#[from] npair_losses::Error),
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    const LISTED: usize = 12;
    let more = names.len().saturating_sub(LISTED);
    let first = names[..names.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

// What has no variant of its own came through one that has.
impl From<npair_data::Error> for Error {
    fn from(error: npair_data::Error) -> Self {
        Self::Evaluate(error.into())
    }
}

impl From<npair_metrics::Error> for Error {
    fn from(error: npair_metrics::Error) -> Self {
        Self::Evaluate(error.into())
    }
}

impl From<npair_similarity::Error> for Error {
    fn from(error: npair_similarity::Error) -> Self {
        Self::Evaluate(error.into())
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}
