/// What is wrong with the two sides of a similarity matrix.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sides do not fit together.
    #[error("{what}: {got}, but {want} is needed")]
    Shape {
        /// Which argument.
        what: &'static str,
        /// Its shape, in words.
        got: String,
        /// The legal shape.
        want: String,
    },
    /// An embedding has a NaN or an infinity.
    #[error(
        "row {row} of the {side} is not finite: look for a diverged model (lower the learning rate) or a damaged file"
    )]
    NotFinite {
        /// "queries", "gallery" or "reference".
        side: &'static str,
        /// The first bad row.
        row: usize,
    },
    /// All entries are finite, but their products overflow.
    #[error("row {row} of the similarity matrix overflows: the embeddings are too large for {dtype}")]
    Overflow {
        /// The first bad row.
        row: usize,
        /// Name of the number type.
        dtype: &'static str,
    },
    /// The number type has no path here.
    #[error("{what} needs floats, both sides of one type, not {dtype}: convert with to_dtype")]
    DType {
        /// Which operation.
        what: &'static str,
        /// The given type.
        dtype: String,
    },
    /// From labels and index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
