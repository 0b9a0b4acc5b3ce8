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

/// Why settings make no run, in one line with the cure.
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
    /// From the engine.
    #[error(transparent)]
    Train(#[from] npair_train::Error),
    /// From the inputs, or from judging.
    #[error(transparent)]
    Evaluate(#[from] npair_evaluate::Error),
    /// From the data.
    #[error(transparent)]
    Data(#[from] npair_data::Error),
    /// From the batches.
    #[error(transparent)]
    Batch(#[from] npair_batch::Error),
    /// From the network.
    #[error(transparent)]
    Model(#[from] npair_backbones::Error),
    /// From the loss.
    #[error(transparent)]
    Loss(#[from] npair_losses::Error),
    /// From the ONNX file of a network.
    #[error(transparent)]
    Onnx(#[from] npair_onnx::Error),
    /// From the page about a run.
    #[error(transparent)]
    Report(#[from] npair_report::Error),
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

// What has no variant of its own came through one that has.
impl From<npair_metrics::Error> for Error {
    fn from(error: npair_metrics::Error) -> Self {
        Self::Evaluate(error.into())
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whose affair it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config { .. } | Self::Setting { .. } => Kind::Usage,
            Self::File { .. } | Self::Types(_) => Kind::Data,
            Self::Device { .. } | Self::Candle(_) | Self::Report(_) | Self::Onnx(_) => Kind::Runtime,
            Self::Train(error) => of_train(error),
            Self::Evaluate(error) => of_evaluate(error),
            Self::Data(error) => of_data(error),
            Self::Batch(error) => of_batch(error),
            Self::Model(error) => of_model(error),
            Self::Loss(error) => of_loss(error),
        }
    }

    /// Whose affair an error of the engine is.
    pub fn kind_of_train(error: &npair_train::Error) -> Kind {
        of_train(error)
    }

    /// Whose affair an error of inputs or judging is.
    pub fn kind_of_evaluate(error: &npair_evaluate::Error) -> Kind {
        of_evaluate(error)
    }

    /// Whose affair an error of data is.
    pub fn kind_of_data(error: &npair_data::Error) -> Kind {
        of_data(error)
    }

    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}

fn of_train(error: &npair_train::Error) -> Kind {
    use npair_train::Error;
    match error {
        Error::Setting { .. } | Error::Mismatch { .. } => Kind::Usage,
        Error::File { .. } | Error::Types(_) => Kind::Data,
        Error::Evaluate(error) => of_evaluate(error),
        Error::Batch(error) => of_batch(error),
        Error::Model(error) => of_model(error),
        Error::Loss(error) => of_loss(error),
        Error::Diverged { .. } | Error::Dead { .. } | Error::Ranks(_) | Error::Layer(_) | Error::Candle(_) => {
            Kind::Runtime
        }
    }
}

fn of_evaluate(error: &npair_evaluate::Error) -> Kind {
    use npair_evaluate::Error;
    match error {
        Error::Setting { .. } | Error::Exists { .. } => Kind::Usage,
        Error::Write { .. } => Kind::Runtime,
        Error::File { .. } | Error::NoSplit { .. } | Error::Types(_) => Kind::Data,
        Error::Data(error) => of_data(error),
        Error::Model(error) => of_model(error),
        Error::Metric(npair_metrics::Error::Setting { .. }) => Kind::Usage,
        Error::Metric(_) => Kind::Data,
        _ => Kind::Runtime,
    }
}

fn of_data(error: &npair_data::Error) -> Kind {
    if matches!(error, npair_data::Error::Setting { .. }) { Kind::Usage } else { Kind::Data }
}

fn of_batch(error: &npair_batch::Error) -> Kind {
    match error {
        npair_batch::Error::Setting { .. } | npair_batch::Error::Range { .. } => Kind::Usage,
        npair_batch::Error::TooFewClasses { .. } => Kind::Data,
        _ => Kind::Runtime,
    }
}

fn of_model(error: &npair_backbones::Error) -> Kind {
    if error.is_setting() { Kind::Usage } else { Kind::Data }
}

fn of_loss(error: &npair_losses::Error) -> Kind {
    if matches!(error, npair_losses::Error::Setting { .. }) { Kind::Usage } else { Kind::Runtime }
}
