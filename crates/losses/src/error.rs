use npair_types::ClassId;

/// Why a loss cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor does not fit.
    #[error("{what} has shape {got:?}, but {want} is needed")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The legal shape, in words.
        want: String,
    },
    /// A tensor's numbers are no floating-point numbers.
    #[error("the {what} are of type {got:?}: give f32 or f64, or f16 or bf16, which are computed in f32")]
    DType {
        /// Which tensor.
        what: &'static str,
        /// Its number type.
        got: candle_core::DType,
    },
    /// There is nothing to compare with.
    #[error("{loss} needs at least {least} {what}, got {got}: draw a larger batch")]
    TooFew {
        /// Which loss.
        loss: String,
        /// The things that are counted.
        what: &'static str,
        /// The least number.
        least: usize,
        /// The given number.
        got: usize,
    },
    /// A batch's tuples or its reference are nothing to this loss.
    #[error("{loss} {why}")]
    Unfit {
        /// Which loss.
        loss: String,
        /// The part that does not fit, and the cure.
        why: String,
    },
    /// A setting is outside its range.
    #[error("{what} is {got}, but has to be {range}{}", if .got.is_nan() { ": it has no usual value" } else { "" })]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Its value.
        got: f64,
        /// Its legal range.
        range: &'static str,
    },
    /// Two parts of a sum have one name.
    #[error("there are two losses named {name}: give each a name of its own")]
    Twice {
        /// The name.
        name: String,
    },
    /// The classifier was not made for this class.
    #[error("class {0} is none of the classifier's: make it with all classes of the training split")]
    UnknownClass(ClassId),
    /// From the labels or index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From the similarity matrix; names the first row that is not finite.
    #[error(transparent)]
    Similarity(#[from] npair_similarity::Error),
    /// From the other ranks.
    #[error(transparent)]
    Ranks(#[from] npair_collective::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn too_few(loss: &str, what: &'static str, least: usize, got: usize) -> Self {
        Self::TooFew { loss: loss.to_owned(), what, least, got }
    }
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
