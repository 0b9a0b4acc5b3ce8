use npair_types::{ChaCha8Rng, Purpose, Streams};

/// What a forward pass is for. It is handed to every layer, so no layer has a hidden switch.
///
/// A forward pass is a pure function of input, parameters and mode with one exception: a training pass that keeps a
/// tape moves the running statistics of batch norm. What dropout does to a row of the batch depends on (seed, step, name
/// of the layer, row) alone, so a step can be replayed, in one go or in pieces, and a resumed run drops what the
/// uninterrupted one would have dropped.
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
        /// The row of the batch that the pass begins with: 0, but for a piece of a batch.
        first_row: usize,
    },
}

impl Mode {
    /// The training mode of forward pass `step`.
    pub fn train(streams: Streams, step: u64) -> Self {
        Self::Train { streams, step, first_row: 0 }
    }

    /// The same for a piece of the batch that begins with its row `row`: the piece drops what the whole batch would drop
    /// there.
    pub fn from_row(self, row: usize) -> Self {
        match self {
            Self::Eval => Self::Eval,
            Self::Train { streams, step, .. } => Self::Train { streams, step, first_row: row },
        }
    }

    /// Whether this is a training pass.
    pub fn is_train(&self) -> bool {
        matches!(self, Self::Train { .. })
    }

    /// The stream of a layer's dropout mask, of which every row of a batch takes `per_row` draws of 64 bits; none in
    /// evaluation.
    pub(crate) fn dropout(&self, layer: u64, per_row: usize) -> Option<ChaCha8Rng> {
        let Self::Train { streams, step, first_row } = *self else { return None };
        let mut rng = streams.open(Purpose::Dropout, [step, layer]);
        // The stream counts words of 32 bits.
        rng.set_word_pos(2 * per_row as u128 * first_row as u128);
        Some(rng)
    }
}
