/// What a layer or the parameter store refuses; every message names the thing, the cause and the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input whose shape does not fit the layer.
    #[error("{layer}: the input has shape {got:?}, but {want}")]
    Input {
        /// Full name of the layer, or its kind if it has none.
        layer: String,
        /// Shape of the input.
        got: Vec<usize>,
        /// What the layer takes.
        want: String,
    },
    /// A setting outside its legal range.
    #[error("{layer}: {what}")]
    Setting {
        /// Full name of the layer, or its kind if it has none.
        layer: String,
        /// The setting, its value and the legal range.
        what: String,
    },
    /// The device has no f64.
    #[error("{layer}: {device} cannot compute in f64; use f32")]
    Device {
        /// Full name of the layer, or its kind if it has none.
        layer: String,
        /// Where the input lies.
        device: String,
    },
    /// The layers compute in f32 and f64 only.
    #[error("{layer}: cannot compute in {dtype}; use f32 or f64")]
    DType {
        /// Full name of the layer, or its kind if it has none.
        layer: String,
        /// The number type of the input.
        dtype: String,
    },
    /// Two parameters of one name.
    #[error("parameter {name} exists already; give every layer a name of its own")]
    Duplicate {
        /// The full name.
        name: String,
    },
    /// Tensors that are not those of the network.
    #[error("the tensors are not those of this network: {0}; load them into the architecture they were saved from")]
    Mismatch(String),
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            other => candle_core::Error::msg(other),
        }
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
