/// What is wrong with a picture, a data set, a split or a setting; one line that names the thing, the cause and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("{file} cannot be read: {why}; {cure}")]
    Read {
        /// Path of the file, or of the archive and its entry.
        file: String,
        /// What the system says.
        why: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// A file's content is no picture that can be decoded.
    #[error("{file} is no readable picture: {why}; replace or remove it, or skip what is bad")]
    Decode {
        /// Path of the file, or of the archive and its entry.
        file: String,
        /// What the decoder says.
        why: String,
    },
    /// A file is, or claims to be, larger than this crate is willing to decode.
    #[error("{file} is too large: {why}; scale it down or remove it, or skip what is bad")]
    TooLarge {
        /// Path of the file, or of the archive and its entry.
        file: String,
        /// How large, and the limit.
        why: String,
    },
    /// Pixels that do not make a picture.
    #[error("no picture: {why}")]
    Picture {
        /// What does not fit.
        why: String,
    },
    /// An example's number is beyond the end.
    #[error("{dataset} has no example {example}: its examples are 0 to {}", len.saturating_sub(1))]
    NoExample {
        /// Name of the data set.
        dataset: String,
        /// The number asked for.
        example: usize,
        /// Number of examples.
        len: usize,
    },
    /// A data set that cannot be learned from: nothing in it, or a single class.
    #[error("{place} {why}; {cure}")]
    Dataset {
        /// Path or name of the data set.
        place: String,
        /// What is missing.
        why: String,
        /// What to do about it.
        cure: String,
    },
    /// A zip archive that is damaged, hostile or of an unknown kind.
    #[error("{file} is no usable zip archive: {why}; fetch it again or unpack it yourself and give the folder")]
    Zip {
        /// Path of the archive.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A split that cannot be made.
    #[error("{dataset} cannot be split: {why}")]
    Split {
        /// Name of the data set.
        dataset: String,
        /// What does not work out, and what would.
        why: String,
    },
    /// A setting outside its legal range.
    #[error("{key} = {value} is not possible: {why}")]
    Setting {
        /// Name of the setting.
        key: String,
        /// The value given.
        value: String,
        /// The legal range.
        why: String,
    },
    /// A background thread panicked on one example.
    #[error(
        "{file}: loading it panicked ({why}); this is a fault of the program or of a decoder, remove the file to go on"
    )]
    Panicked {
        /// Which example, as the data set describes it.
        file: String,
        /// The panic's message.
        why: String,
    },
    /// A prefetcher was used out of order.
    #[error("prefetch: {why}")]
    Prefetch {
        /// What was done wrong.
        why: String,
    },
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
}

impl Error {
    /// A reading error with the cure that fits its kind.
    pub(crate) fn read(file: impl std::fmt::Display, error: &std::io::Error) -> Self {
        let cure = match error.kind() {
            std::io::ErrorKind::PermissionDenied => "give yourself the right to read it (chmod u+r, u+rx for a folder)",
            std::io::ErrorKind::NotFound => "check the path",
            _ => "check the disk and the path",
        };
        Self::Read { file: file.to_string(), why: error.to_string(), cure }
    }

    pub(crate) fn setting(key: &str, value: impl std::fmt::Display, why: impl Into<String>) -> Self {
        Self::Setting { key: key.to_owned(), value: value.to_string(), why: why.into() }
    }

    pub(crate) fn dataset(place: impl std::fmt::Display, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Dataset { place: place.to_string(), why: why.into(), cure: cure.into() }
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
