//! Losses of tuplets: a query and its positive against several negatives of its own.

mod n_tuplet;
mod tuplet_margin;

pub use n_tuplet::{NTuplet, NTupletSettings};
pub use tuplet_margin::{TupletMargin, TupletMarginSettings};
