/// Why there is no page, or no map.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to report on.
    #[error("the report has no run: hand in one at least")]
    NoRun,
    /// Two runs go by one name, so that nobody could tell their columns apart.
    #[error("two runs are named {name:?}: give each a name of its own")]
    SameName {
        /// The name.
        name: String,
    },
    /// A number is NaN or infinite.
    #[error("{place} is not finite: leave out what is not defined")]
    NotFinite {
        /// Where it is.
        place: String,
    },
    /// A number is outside its range.
    #[error("{place} is {got}, but has to be {range}")]
    Range {
        /// Where it is.
        place: String,
        /// Its value.
        got: f64,
        /// Its legal range, in words.
        range: &'static str,
    },
    /// Lists that belong together have other lengths, or are not in order.
    #[error("{place}: {cause}")]
    Shape {
        /// Where it is.
        place: String,
        /// What is wrong with it and how it should be.
        cause: &'static str,
    },
    /// A picture is named that is not in the table of pictures.
    #[error("{place} names picture {index}, but the page holds {pictures}: add it to `pictures`")]
    NoPicture {
        /// Who names it.
        place: String,
        /// The picture's place in the table.
        index: usize,
        /// How many there are.
        pictures: usize,
    },
    /// The bytes of a picture are not what they are said to be.
    #[error("picture {index} does not begin as a {kind} file: hand in the bytes of a PNG or JPEG file, and say which")]
    Bytes {
        /// The picture's place in the table.
        index: usize,
        /// What it was said to be.
        kind: &'static str,
    },
    /// A report in JSON cannot be read.
    #[error("the report's JSON cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Rows that are no matrix.
    #[error("{values} values are no rows of width {width}: hand in rows one behind another")]
    Rows {
        /// Number of values.
        values: usize,
        /// The rows' width.
        width: usize,
    },
    /// Too many or too few rows for a map.
    #[error("a map by t-SNE takes from 4 to {most} rows, but there are {rows}: draw a sample")]
    RowCount {
        /// How many there are.
        rows: usize,
        /// The most it takes.
        most: usize,
    },
    /// A setting of t-SNE is outside its range.
    #[error("{what} of t-SNE is {got}, but has to be {range}")]
    Setting {
        /// Which one.
        what: &'static str,
        /// Its value.
        got: f64,
        /// Its legal range, in words.
        range: String,
    },
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
