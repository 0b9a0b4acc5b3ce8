/// A fault of labels or of an index set; every message names the value and the legal range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was given where at least one entry is needed.
    #[error("{what} is empty: give at least {least}")]
    Empty {
        /// The empty thing.
        what: &'static str,
        /// The least number of entries.
        least: usize,
    },
    /// Two lists that belong together differ in length.
    #[error("{what} has {got} entries, but {want} are needed")]
    Length {
        /// Which list.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The length it needs.
        want: usize,
    },
    /// A label is no class number.
    #[error("label {value} at position {at} is no class number: labels are whole numbers from 0 to {}", u32::MAX)]
    Label {
        /// Where.
        at: usize,
        /// The offending value.
        value: i64,
    },
    /// An index points outside the batch.
    #[error("{what} {at} points at example {index}, but the batch has {batch}")]
    OutOfBatch {
        /// Which kind of tuple.
        what: &'static str,
        /// Which tuple.
        at: usize,
        /// The offending index.
        index: usize,
        /// Size of the batch.
        batch: usize,
    },
    /// A tuple's members have the wrong classes.
    #[error("{what} {at}: {why}")]
    Classes {
        /// Which kind of tuple.
        what: &'static str,
        /// Which tuple.
        at: usize,
        /// The reason.
        why: String,
    },
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
