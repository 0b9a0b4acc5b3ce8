//! The one product that all convolutions are made of: a tile of rows times a panel of columns, where the rows of the
//! left factor lie anywhere in memory.

mod panels;
mod tile;

pub(crate) use panels::{Columns, Panels};
pub(crate) use tile::{Epilogue, Kernel, Run, Tile, plain, single, widest};
