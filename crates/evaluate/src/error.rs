use std::path::{Path, PathBuf};

/// Why something cannot be embedded or judged, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings or arguments that do not fit.
    #[error("{setting}: {why}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What does not fit, and what would.
        why: String,
    },
    /// A file of embeddings cannot be read or written.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause and the cure.
        why: String,
    },
    /// A file cannot be written.
    #[error("{}: {why}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause and the cure.
        why: String,
    },
    /// A file that would be overwritten.
    #[error("{}: is there already: choose another name, or replace it with --force", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no such split.
    #[error("there is no {split} split here: {why}")]
    NoSplit {
        /// "val", "test", ...
        split: &'static str,
        /// What would make one.
        why: &'static str,
    },
    /// A number that should be finite.
    #[error("{what} is not finite; train with a lower learning rate, or take another checkpoint")]
    NotFinite {
        /// What.
        what: String,
    },
    /// Batches that cannot be loaded ahead.
    #[error("loading ahead: {why}")]
    Loader {
        /// The cause.
        why: String,
    },
    /// From the data.
    #[error(transparent)]
    Data(#[from] npair_data::Error),
    /// From the network.
    #[error(transparent)]
    Model(#[from] npair_backbones::Error),
    /// From the scores.
    #[error(transparent)]
    Metric(#[from] npair_metrics::Error),
    /// From the similarity matrix.
    #[error(transparent)]
    Matrix(#[from] npair_similarity::Error),
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From the other ranks.
    #[error(transparent)]
    Ranks(#[from] npair_collective::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Of a file that could not be written.
    pub fn unwritten(path: &Path, error: &std::io::Error) -> Self {
        let why = format!("cannot be written: {error}; check the folder, its permissions and the space left");
        Self::Write { path: path.to_owned(), why }
    }

    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }
}
