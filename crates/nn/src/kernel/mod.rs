//! The arithmetic of the layers on plain slices; nothing here knows candle's graph or the tape.

pub(crate) mod columns;
pub(crate) mod conv;
mod element;
mod fill;
pub(crate) mod linear;
pub(crate) mod matrix;
pub(crate) mod norm;
mod parts;
pub(crate) mod pool;
pub(crate) mod product;
mod shared;
pub(crate) mod simd;
mod sums;

pub(crate) use element::{Element, by_dtype};
pub(crate) use fill::{fill_by_chunks, write_by_chunks, zip};
pub(crate) use parts::parts;
pub(crate) use shared::{Shared, Unwritten, written};
pub(crate) use sums::column_sums;
