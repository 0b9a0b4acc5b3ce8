use crate::{Error, Result};
use npair_types::Measure;
use serde::{Deserialize, Serialize};

/// The widest vectors of an index.
pub(crate) const WIDEST: usize = 65_536;

/// What an index is made for; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexSettings {
    /// Values of a vector (D), from 1 to 65,536.
    pub width: usize,
    /// What two vectors are compared by.
    pub measure: Measure,
}

impl IndexSettings {
    /// Vectors of `width` values, compared by `measure`.
    pub fn new(width: usize, measure: Measure) -> Self {
        Self { width, measure }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if (1..=WIDEST).contains(&self.width) {
            return Ok(());
        }
        Err(Error::setting("width", format!("is {}, but has to be from 1 to {WIDEST}", self.width)))
    }
}
