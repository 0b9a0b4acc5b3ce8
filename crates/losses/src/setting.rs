use crate::{Error, Result};

/// A setting that is a finite number above 0, or the error that says so.
pub(crate) fn above_zero(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite() && got > 0., "a finite number above 0")
}

/// A setting that is a finite number from 0.
pub(crate) fn from_zero(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite() && got >= 0., "a finite number from 0")
}

/// Any finite number.
pub(crate) fn finite(what: &'static str, got: f64) -> Result<f64> {
    within(what, got, got.is_finite(), "a finite number")
}

/// A setting with a range of its own.
pub(crate) fn within(what: &'static str, got: f64, legal: bool, range: &'static str) -> Result<f64> {
    if legal { Ok(got) } else { Err(Error::Setting { what, got, range }) }
}
