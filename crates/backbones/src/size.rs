//! The legal sizes of images.

use crate::{Error, Result};
use npair_types::ImageSize;

/// No network here needs more, and a wrong file should not ask for all memory.
const LARGEST: u32 = 4096;

/// That a network takes images of this size: each side from `least` pixels on, a multiple of `step`.
pub(crate) fn check(name: &'static str, size: ImageSize, least: u32, step: u32) -> Result<()> {
    let fits = |side: u32| (least..=LARGEST).contains(&side) && side.is_multiple_of(step);
    if fits(size.height) && fits(size.width) {
        return Ok(());
    }
    let steps = if step == 1 { String::new() } else { format!(" in steps of {step}") };
    let want = format!("{least} to {LARGEST} pixels a side{steps} are possible");
    Err(Error::Setting { name, got: size.to_string(), want })
}
