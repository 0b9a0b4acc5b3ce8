use std::path::{Path, PathBuf};

/// Why an index cannot be used or changed, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings or arguments that do not fit.
    #[error("{setting}: {why}")]
    Setting {
        /// Name of the setting or argument.
        setting: &'static str,
        /// What does not fit, and what would.
        why: String,
    },
    /// A file of the index cannot be read, or holds what no index writes.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause and the cure.
        why: String,
    },
    /// A file is not there: perhaps a writer has just taken it away.
    #[error("{}: is not there: open the index anew, or copy the whole folder again", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written; the index on disk is as it was before.
    #[error("{}: cannot be written: {why}; check the folder, its permissions and the space left", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        why: String,
    },
    /// There is something already.
    #[error("{}: is there already: {cure}", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
        /// What to do instead.
        cure: &'static str,
    },
    /// Another program changes the index.
    #[error("{}: another program is changing this index: wait until it is done", path.display())]
    Locked {
        /// The file of the lock.
        path: PathBuf,
    },
    /// From the scores.
    #[error(transparent)]
    Metric(#[from] npair_metrics::Error),
    /// From the similarity matrix.
    #[error(transparent)]
    Matrix(#[from] npair_similarity::Error),
    /// From labels.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), why: why.to_string() }
    }

    /// Of a file whose contents are wrong.
    pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::file(path, format!("{what}: take a copy of the folder from before, or build the index again"))
    }

    /// Of a file that could not be opened or read.
    pub(crate) fn unread(path: &Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { path: path.to_owned() },
            std::io::ErrorKind::UnexpectedEof => Self::damaged(path, "ends too early"),
            _ => Self::file(path, format!("cannot be read: {error}")),
        }
    }

    /// Of a file that could not be written.
    pub(crate) fn unwritten(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Write { path: path.to_owned(), why: error.to_string() }
    }

    pub(crate) fn setting(setting: &'static str, why: impl Into<String>) -> Self {
        Self::Setting { setting, why: why.into() }
    }
}
