//! Examples that look like something else than they are said to be.

mod alike;
mod label;

pub use alike::{AlikePair, alike_across_classes};
pub use label::{SuspectLabel, suspect_labels};
