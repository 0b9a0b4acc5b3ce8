//! The arithmetic of the layers on plain slices; nothing here knows candle's graph or the tape.

pub(crate) mod activation;
pub(crate) mod adaptive;
pub(crate) mod attention;
pub(crate) mod columns;
pub(crate) mod conv;
mod element;
mod fill;
pub(crate) mod gate;
pub(crate) mod gelu;
pub(crate) mod gem;
pub(crate) mod linear;
pub(crate) mod matrix;
pub(crate) mod norm;
mod normal;
pub(crate) mod packed;
pub(crate) mod pool;
pub(crate) mod resample;
pub(crate) mod response;
pub(crate) mod row;
mod sums;
pub(crate) mod tokens;

pub(crate) use element::{Element, by_dtype};
pub(crate) use fill::{fill_by_chunks, write_by_chunks, zip};
pub(crate) use normal::Normal;
pub(crate) use npair_simd::{Shared, Unwritten, parts, written};
pub(crate) use sums::column_sums;
