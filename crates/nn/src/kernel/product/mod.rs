//! The one product that all convolutions are made of: a tile of rows times a panel of columns, where the rows of the
//! left factor lie anywhere in memory.

mod aligned;
mod panels;
mod tile;

pub(crate) use aligned::Aligned;
pub(crate) use panels::{Columns, Panels};
pub(crate) use tile::{Epilogue, Kernel, Run, Tile, blocks, plain, single, steps, widest};
