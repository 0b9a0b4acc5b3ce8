//! Pieces of HTML.

mod escape;
mod number;
mod table;

pub use escape::esc;
pub use number::{interval, number, percent, percent_interval, plural, points, score};
pub use table::{Cell, Table};
