/// Why a score is not defined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rank or a count is outside its range.
    #[error("{what} is {got}, but has to be {range}")]
    Setting {
        /// Which one.
        what: &'static str,
        /// Its value.
        got: usize,
        /// Its legal range, in words.
        range: String,
    },
    /// No query has a positive, so there is nothing to average.
    #[error("none of the {queries} queries has another example of its class: the score is not defined")]
    NoPositive {
        /// Number of queries.
        queries: usize,
    },
    /// Verification needs pairs of both kinds.
    #[error("{same} pairs of one class and {other} of two: verification needs both kinds")]
    OneKindOfPair {
        /// Pairs of one class.
        same: usize,
        /// Pairs of two classes.
        other: usize,
    },
    /// Open-set identification needs probes whose identity is unknown.
    #[error("all {probes} probes are of identities in the gallery: a false accept rate is not defined")]
    NoImpostor {
        /// Number of probes.
        probes: usize,
    },
    /// A rate is outside [0, 1].
    #[error("{what} is {got}, but has to be from 0 to 1")]
    Rate {
        /// Which one.
        what: &'static str,
        /// Its value.
        got: f64,
    },
    /// No threshold was learned for so low a false accept rate.
    #[error("no threshold for a false accept rate of {far}, only for {known}: learn one, or allow a higher rate")]
    NoThreshold {
        /// The rate.
        far: f64,
        /// Those that were learned.
        known: String,
    },
    /// A score is NaN or infinite.
    #[error("score {at} is not finite")]
    NotFinite {
        /// Its place.
        at: usize,
    },
    /// From labels.
    #[error(transparent)]
    Types(#[from] npair_types::Error),
    /// From the similarity matrix.
    #[error(transparent)]
    Similarity(#[from] npair_similarity::Error),
    /// From candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
