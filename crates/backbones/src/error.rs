use npair_types::ImageSize;
use std::path::PathBuf;

/// What cannot be built, saved or loaded; one line that names the thing, the cause and the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting outside its legal range.
    #[error("model setting {name} is {got}, but {want}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        got: String,
        /// The legal range.
        want: String,
    },
    /// Images of another shape than the network takes.
    #[error("the images have shape {got:?}, but the network takes (batch, {channels}, {}, {}); resize them", size.height, size.width)]
    Input {
        /// Shape of the images.
        got: Vec<usize>,
        /// Channels that the network takes.
        channels: usize,
        /// Height and width that the network takes.
        size: ImageSize,
    },
    /// Vectors of another width than the network takes.
    #[error(
        "the vectors have shape {got:?}, but the network takes (batch, {width}); set model.input, or give other vectors"
    )]
    Rows {
        /// Shape of the vectors.
        got: Vec<usize>,
        /// Width that the network takes.
        width: usize,
    },
    /// What an extractor returns is not what it should.
    #[error("extractor {name}: the features have shape {got:?}, but {want} is needed; pool or flatten what it returns")]
    Features {
        /// Name of the extractor.
        name: String,
        /// Shape of what it returned.
        got: Vec<usize>,
        /// The shape it should have.
        want: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}; {cure}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
        /// What to do.
        cure: &'static str,
    },
    /// A file whose content is not what it should be.
    #[error("{}: {cause}; {cure}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
        /// What to do.
        cure: &'static str,
    },
    /// Weights that cannot be had or do not fit.
    #[error("{weights}: {cause}; {cure}")]
    Weights {
        /// Where they come from.
        weights: String,
        /// What is wrong.
        cause: String,
        /// What to do.
        cure: String,
    },
    /// An error of a layer.
    #[error(transparent)]
    Layer(#[from] npair_nn::Error),
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
}

impl Error {
    /// Whether it is a setting that is wrong, and not a file or an input.
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Layer(npair_nn::Error::Setting { .. }))
    }
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Layer(error.into())
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Layer(error) => error.into(),
            other => candle_core::Error::msg(other),
        }
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
