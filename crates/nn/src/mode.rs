use npair_types::{ChaCha8Rng, Purpose, Streams};

/// What a forward pass is for. It is handed to every layer, so no layer has a hidden switch.
///
/// A forward pass is a pure function of input, parameters and mode with one exception: a training pass moves the
/// running statistics of batch norm. A dropout mask depends on (seed, step, name of the layer) alone, so a step can be
/// replayed and a resumed run drops what the uninterrupted one would have dropped.
///
/// ```
/// # use npair_nn::Mode; use npair_types::Streams;
/// assert!(Mode::train(Streams::new(1), 40).is_train());
/// assert!(!Mode::Eval.is_train());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Running statistics, no dropout.
    Eval,
    /// Batch statistics, dropout.
    Train {
        /// The run's streams, of which the dropout masks are drawn.
        streams: Streams,
        /// Number of the forward pass in the run; give every micro-batch of a step one of its own.
        step: u64,
    },
}

impl Mode {
    /// The training mode of forward pass `step`.
    pub fn train(streams: Streams, step: u64) -> Self {
        Self::Train { streams, step }
    }

    /// Whether this is a training pass.
    pub fn is_train(&self) -> bool {
        matches!(self, Self::Train { .. })
    }

    /// The stream of a layer's dropout mask; none in evaluation.
    pub(crate) fn dropout(&self, layer: u64) -> Option<ChaCha8Rng> {
        match self {
            Self::Eval => None,
            Self::Train { streams, step } => Some(streams.open(Purpose::Dropout, [*step, layer])),
        }
    }
}
