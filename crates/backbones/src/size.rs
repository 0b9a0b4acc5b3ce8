//! The legal sizes of images.

use crate::{Error, Result};

/// No network here needs more, and a wrong file should not ask for all memory.
const LARGEST: usize = 4096;

/// That a network takes images of `size` x `size` pixels: from `least` on, a multiple of `step`.
pub(crate) fn check(name: &'static str, size: usize, least: usize, step: usize) -> Result<()> {
    if (least..=LARGEST).contains(&size) && size.is_multiple_of(step) {
        return Ok(());
    }
    let steps = if step == 1 { String::new() } else { format!(" in steps of {step}") };
    let want = format!("{least} to {LARGEST} pixels a side{steps} are possible");
    Err(Error::Setting { name, got: size.to_string(), want })
}
