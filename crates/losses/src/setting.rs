//! Settings in their legal range, or the error that names setting, value and range.
//!
//! ```
//! use npair_losses::setting;
//! let said = setting::above_zero("the temperature", -1.).unwrap_err().to_string();
//! assert_eq!(said, "the temperature is -1, but has to be a finite number above 0");
//! ```

use crate::{Error, Result};

/// A finite number above 0.
///
/// # Errors
/// [`Error::Setting`].
pub fn above_zero(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite() && got > 0., "a finite number above 0")
}

/// A finite number from 0.
///
/// # Errors
/// [`Error::Setting`].
pub fn from_zero(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite() && got >= 0., "a finite number from 0")
}

/// Any finite number.
///
/// # Errors
/// [`Error::Setting`].
pub fn finite(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite(), "a finite number")
}

/// A number with a range of its own: whether it is legal, and the range in words.
///
/// # Errors
/// [`Error::Setting`].
pub fn within(what: &'static str, got: f64, legal: bool, range: &'static str) -> Result<f64> {
    if legal { Ok(got) } else { Err(Error::Setting { what, got, range }) }
}

/// A whole number from `least` on, which `range` says in words.
///
/// # Errors
/// [`Error::Setting`].
pub fn at_least(what: &'static str, got: usize, least: usize, range: &'static str) -> Result<usize> {
    if got >= least { Ok(got) } else { Err(Error::Setting { what, got: got as f64, range }) }
}
