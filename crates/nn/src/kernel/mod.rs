//! The arithmetic of the layers on plain slices; nothing here knows candle's graph.

mod aligned;
pub(crate) mod block;
pub(crate) mod conv;
mod element;
pub(crate) mod matrix;
pub(crate) mod norm;
mod parts;
pub(crate) mod pool;
pub(crate) mod simd;

pub(crate) use aligned::aligned;
pub(crate) use element::{Element, by_dtype};
pub(crate) use parts::parts;
