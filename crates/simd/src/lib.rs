//! What the CPU kernels share: vector instructions chosen at run time ([`Level`], [`vectorised!`]), the register tile that
//! all products are made of ([`Tile`], [`Kernel`]), right factors packed for it ([`Panels`]), sums of products of lines ([`Lines`]), exponentials that loops can be
//! vectorised over ([`Exp`]), and memory that tasks write in parts ([`Unwritten`], [`Shared`]).
//!
//! All loops sum in an order that depends on shapes alone, so the same machine gives the same bits on any number of threads.

mod aligned;
mod element;
mod exp;
mod fetch;
mod level;
mod lines;
mod pair;
mod panels;
mod parts;
mod quad;
mod shared;
mod tile;
mod vector;
mod winograd;

pub use aligned::Aligned;
pub use element::Element;
pub use exp::Exp;
pub use fetch::fetch;
pub use level::Level;
pub use lines::Lines;
pub use pair::{can_be_multiplied as pairs_can_be_multiplied, pair_neighbours, pair_rows};
pub use panels::{Columns, Panels};
pub use parts::parts;
pub use quad::{can_be_multiplied as quads_can_be_multiplied, quad_rounded};
pub use shared::{Shared, Unwritten, written};
pub use tile::{Epilogue, Kernel, Run, Tile, blocks, steps};
pub use winograd::{PRODUCTS, Patch, TILE_SIDE, Winograd};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
