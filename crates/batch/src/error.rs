/// Why a batch cannot be formed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data set has too few classes with enough examples.
    #[error(
        "a batch needs {need} classes with at least {least} examples each, the data has {have}: \
         take a smaller batch or more data"
    )]
    TooFewClasses {
        /// Classes per batch.
        need: usize,
        /// Examples needed of each.
        least: usize,
        /// Classes that have them.
        have: usize,
    },
    /// A setting is outside its range.
    #[error("{what} is {got}, but has to be at least {least}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Its value.
        got: usize,
        /// Its least value.
        least: usize,
    },
    /// A number is outside its range.
    #[error("{what} is {got}, but has to be {range}")]
    Range {
        /// Which setting.
        what: &'static str,
        /// Its value.
        got: f64,
        /// Its legal range.
        range: &'static str,
    },
    /// Embeddings to mine in are no matrix.
    #[error("the embeddings have shape {got:?}, but a matrix (B, D) with a row per label is needed")]
    Embeddings {
        /// Their shape.
        got: Vec<usize>,
    },
    /// Embeddings to mine in are whole numbers.
    #[error("the embeddings are of type {got:?}: give f32 or f64, or f16 or bf16, which are read as f32")]
    DType {
        /// Their number type.
        got: candle_core::DType,
    },
    /// Prototypes do not fit the candidates.
    #[error("prototypes have shape {got:?}, but {want} is needed")]
    Prototypes {
        /// Their shape.
        got: Vec<usize>,
        /// The needed shape, in words.
        want: String,
    },
    /// The groups are not those of the classes.
    #[error("{got} groups were given for {classes} classes: give one for every class of the index, in its order")]
    Groups {
        /// Number of groups given.
        got: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A prototype has a NaN or an infinity.
    #[error(
        "the prototype of candidate class {class} is not finite: look for a diverged model (lower the learning rate)"
    )]
    NotFinite {
        /// The class.
        class: npair_types::ClassId,
    },
    /// A mining sampler was asked for a batch before it had prototypes.
    #[error(
        "class mining has no prototypes yet: embed the examples of `candidates()` and hand them to `supply()` first"
    )]
    NoPrototypes,
    /// A class miner's choice is none.
    #[error("{miner} {why}")]
    Miner {
        /// Which miner.
        miner: String,
        /// The fault of its choice.
        why: String,
    },
    /// A saved state is not this sampler's.
    #[error("the saved sampler state does not fit: {0}; it was written by another sampler, version or data set")]
    State(String),
    /// From the index sets.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From the similarity matrix; names the first row that is not finite.
    #[error(transparent)]
    Similarity(#[from] npair_similarity::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
