use crate::Device;
use std::path::{Path, PathBuf};

/// When something went wrong, and so whose affair it is; the command's exit code follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A setting or an argument: exit code 2.
    Usage,
    /// Pictures, embeddings, checkpoints: exit code 3.
    Data,
    /// The run itself, and its device: exit code 4.
    Runtime,
}

/// What stops a run, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be read.
    #[error("{place}: {why}")]
    Config {
        /// File or argument.
        place: String,
        /// What does not fit, and what would.
        why: String,
    },
    /// Settings that do not go together.
    #[error("{setting}: {why}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
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
    /// A device that cannot be used.
    #[error("{device}: {why}")]
    Device {
        /// The device.
        device: Device,
        /// The cause and the cure.
        why: String,
    },
    /// The split has no such side.
    #[error("there is no {side} split here: {why}")]
    NoSide {
        /// "val", "test", ...
        side: &'static str,
        /// What would make one.
        why: &'static str,
    },
    /// Training diverged.
    #[error(
        "step {step}: {what} is not finite; lower optimiser.learning_rate or set optimiser.clip_norm. \
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
    /// From the data.
    #[error(transparent)]
    Data(#[from] npair_data::Error),
    /// From the batches.
    #[error(transparent)]
    Batch(#[from] npair_batch::Error),
    /// From the network.
    #[error(transparent)]
    Model(#[from] npair_backbones::Error),
    /// From a layer.
    #[error(transparent)]
    Layer(#[from] npair_nn::Error),
    /// From the loss.
    #[error(transparent)]
    Loss(#[from] npair_losses::Error),
    /// From the scores.
    #[error(transparent)]
    Metric(#[from] npair_metrics::Error),
    /// From the similarity matrix.
    #[error(transparent)]
    Matrix(#[from] npair_similarity::Error),
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

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whose affair it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config { .. } | Self::Setting { .. } => Kind::Usage,
            Self::Data(npair_data::Error::Setting { .. })
            | Self::Batch(npair_batch::Error::Setting { .. } | npair_batch::Error::Range { .. }) => Kind::Usage,
            Self::Loss(npair_losses::Error::Setting { .. }) | Self::Metric(npair_metrics::Error::Setting { .. }) => {
                Kind::Usage
            }
            Self::Model(npair_backbones::Error::Setting { .. }) => Kind::Usage,
            Self::Data(_) | Self::File { .. } | Self::NoSide { .. } | Self::Types(_) | Self::Model(_) => Kind::Data,
            Self::Batch(npair_batch::Error::TooFewClasses { .. }) | Self::Metric(_) => Kind::Data,
            _ => Kind::Runtime,
        }
    }

    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}
