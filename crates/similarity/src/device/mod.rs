//! The matrix on a GPU: what is launched with which buffers, whatever runs it.
//!
//! A [`Chip`] gives room and launches kernels by name: a CUDA stream, a Metal queue, or, in tests, the same kernels as
//! fibers of the CPU. The kernels are those of `npair-similarity-cuda` and `npair-similarity-metal`, which have the same
//! names, buffers and [`Params`].

// A build without a GPU's feature checks the plan of launches and tests it, but starts nothing.
#![cfg_attr(not(any(feature = "cuda", all(feature = "metal", target_os = "macos"), test)), allow(dead_code))]

mod attached;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(test)]
mod emulated;
mod extremes;
#[cfg(any(feature = "cuda", all(feature = "metal", target_os = "macos"), test))]
mod kernels;
#[cfg(all(feature = "metal", target_os = "macos"))]
mod metal;
mod on;
mod params;
mod precision;
#[cfg(test)]
mod sanitized;
mod search;
mod soft;
#[cfg(test)]
mod tests;
mod waves;

pub(crate) use attached::{mean, per_row};
pub use extremes::Extremes;
pub(crate) use on::{Sides, find_extremes, find_nearest, takes};
pub use precision::Precision;

use candle_core::{DType, Result, Shape, Tensor};
use params::Params;

/// What runs kernels.
pub(crate) trait Chip {
    /// Memory of it.
    type Buffer;

    /// How its kernels cut the matrix.
    fn tiles(&self) -> Tiles;

    /// The part of kernels' names for sides of this type.
    fn variant(&self, dtype: DType, precision: Precision) -> Option<&'static str>;

    /// Room for so many values, which are anything.
    fn room(&self, dtype: DType, values: usize) -> Result<Self::Buffer>;

    /// A copy of numbers of the host.
    fn numbers(&self, values: &[u32]) -> Result<Self::Buffer>;

    /// Starts a kernel, after those that were started before.
    fn launch(&self, launch: Launch<'_, Self::Buffer>) -> Result<()>;

    /// How it multiplies sides of this type and width by a copy engine and groups of warps, where it can.
    fn groups(&self, dtype: DType, width: usize) -> Option<Groups> {
        let _ = (dtype, width);
        None
    }

    /// A buffer as a tensor.
    fn tensor(&self, buffer: Self::Buffer, shape: Shape) -> Result<Tensor>;
}

/// How kernels cut the matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiles {
    /// Rows of a tile.
    pub(crate) rows: usize,
    /// Columns of a tile.
    pub(crate) columns: usize,
    /// Columns of a gradient's tile, for sides up to that width, and for wider ones.
    pub(crate) narrow: usize,
    pub(crate) wide: usize,
    /// Threads of a block of the products.
    pub(crate) threads: u32,
    /// Bytes of shared memory of a block of the products.
    pub(crate) shared: usize,
    /// Most candidates of a row while searching: they are sorted out in shared memory.
    pub(crate) candidates: usize,
    /// Most blocks beside each other that look for extremes of the same rows.
    pub(crate) beside: usize,
    /// Threads that share a row when the tiles' sums are put together.
    pub(crate) slices: usize,
    /// Most blocks that prune a search's candidates.
    pub(crate) pruning: usize,
}

/// Kernels that take their factors through the chip's copy engine: `npair_wgmma_*`, whose tiles are those of [`Tiles`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Groups {
    /// Blocks that run at the same time, and take one tile after the other.
    pub(crate) blocks: usize,
    pub(crate) threads: u32,
    pub(crate) shared: usize,
    /// Columns of a gradient's tile.
    pub(crate) wide: usize,
    /// Bytes of the matrix that are kept at a time.
    pub(crate) kept: usize,
}

/// A factor as the copy engine takes it: rows of so many values of 16 bits, without gaps, in boxes of [`BOX_WIDTH`] values by so many
/// rows.
pub(crate) struct Map<'a, B> {
    pub(crate) of: In<'a, B>,
    pub(crate) rows: usize,
    pub(crate) stride: usize,
    pub(crate) box_rows: usize,
    /// Whether the rows of a box come in the order in which a thread has eight neighbours: of every 32, row 8 t + 2 q + c is the
    /// (8 q + 2 t + c)-th. Such boxes have all their rows.
    pub(crate) woven: bool,
}

/// Values of a line of a box.
pub(crate) const BOX_WIDTH: usize = 64;

impl<'a, B> Map<'a, B> {
    pub(crate) fn new(of: In<'a, B>, rows: usize, stride: usize, box_rows: usize) -> Self {
        Self { of, rows, stride, box_rows, woven: false }
    }
}

/// One start of a kernel: its arguments are the buffers written, the buffers read, and the parameters.
pub(crate) struct Launch<'a, B> {
    pub(crate) kernel: String,
    pub(crate) grid: [usize; 3],
    pub(crate) threads: u32,
    pub(crate) shared: usize,
    pub(crate) outs: Vec<&'a mut B>,
    pub(crate) ins: Vec<In<'a, B>>,
    /// What stands between the buffers and the parameters.
    pub(crate) maps: Vec<Map<'a, B>>,
    pub(crate) params: Params,
}

impl<B> Launch<'_, B> {
    /// Which buffers are not there, by their place among all.
    pub(crate) fn absent(&self) -> u32 {
        let ins = self.ins.iter().enumerate().filter(|(_, i)| matches!(i, In::Nothing));
        ins.map(|(at, _)| 1 << (self.outs.len() + at)).sum()
    }
}

/// What a kernel reads.
pub(crate) enum In<'a, B> {
    /// A contiguous tensor on the chip, from a value on.
    Tensor(&'a Tensor, usize),
    /// A buffer, from a value on.
    Buffer(&'a B, usize),
    /// Nothing: the kernel knows from the parameters that it is not to look, or compares with null.
    Nothing,
}

impl<B> Clone for In<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B> Copy for In<'_, B> {}

impl<'a, B> In<'a, B> {
    /// From a value further on.
    pub(crate) fn after(self, values: usize) -> Self {
        match self {
            Self::Tensor(t, from) => Self::Tensor(t, from + values),
            Self::Buffer(b, from) => Self::Buffer(b, from + values),
            Self::Nothing => Self::Nothing,
        }
    }

    /// The buffer if there is one.
    pub(crate) fn some(buffer: Option<&'a B>) -> Self {
        buffer.map_or(Self::Nothing, |b| Self::Buffer(b, 0))
    }
}

/// One start of a kernel that takes its factors through the copy engine.
pub(crate) struct GroupsLaunch<'a, B> {
    /// What it computes, and the part of its name that says the sides' type.
    pub(crate) name: &'static str,
    pub(crate) variant: &'static str,
    /// How many tiles there are in all.
    pub(crate) tiles: usize,
    pub(crate) outs: Vec<&'a mut B>,
    pub(crate) ins: Vec<In<'a, B>>,
    pub(crate) maps: Vec<Map<'a, B>>,
    pub(crate) params: Params,
}

impl<B> GroupsLaunch<'_, B> {
    pub(crate) fn start<C: Chip<Buffer = B>>(self, chip: &C, groups: Groups) -> Result<()> {
        let Self { name, variant, tiles, outs, ins, maps, params } = self;
        let (kernel, grid) = (format!("npair_wgmma_{name}_{variant}"), [groups.blocks.min(tiles), 1, 1]);
        chip.launch(Launch { kernel, grid, threads: groups.threads, shared: groups.shared, outs, ins, maps, params })
    }
}

/// Blocks for kernels with a thread per value, which go on until all are done.
pub(crate) fn blocks_of_values(values: usize) -> [usize; 3] {
    [values.div_ceil(256).clamp(1, 1 << 16), 1, 1]
}

/// The part of kernels' names that says the type of values.
pub(crate) fn type_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        _ => "f32",
    }
}

/// A side whose rows have room for whole copies: eight values.
pub(crate) const ALIGNED: usize = 8;

/// A side as products take it: as it is, or padded to whole copies.
pub(crate) enum Side<'a, B> {
    AsItIs(&'a Tensor),
    Padded(B),
}

impl<'a, B> Side<'a, B> {
    pub(crate) fn new<C: Chip<Buffer = B>>(chip: &C, tensor: &'a Tensor) -> Result<Self> {
        let (rows, width) = tensor.dims2()?;
        let stride = width.next_multiple_of(ALIGNED);
        if stride == width {
            return Ok(Self::AsItIs(tensor));
        }
        let mut room = chip.room(tensor.dtype(), (rows * stride).max(1))?;
        let params = Params { rows: rows as u32, width: width as u32, stride: stride as u32, ..Params::default() };
        pad(chip, &mut room, In::Tensor(tensor, 0), In::Nothing, tensor.dtype(), params)?;
        Ok(Self::Padded(room))
    }

    pub(crate) fn from(&self, value: usize) -> In<'_, B> {
        match self {
            Self::AsItIs(t) => In::Tensor(t, value),
            Self::Padded(b) => In::Buffer(b, value),
        }
    }
}

/// Rows from `first_row` on, padded, each times its factor if there are factors.
pub(crate) fn pad<C: Chip>(
    chip: &C,
    out: &mut C::Buffer,
    rows: In<C::Buffer>,
    factors: In<C::Buffer>,
    dtype: DType,
    params: Params,
) -> Result<()> {
    chip.launch(Launch {
        kernel: format!("npair_padded_{}", type_name(dtype)),
        grid: blocks_of_values(params.rows as usize * params.stride as usize),
        threads: 256,
        shared: 0,
        outs: vec![out],
        ins: vec![rows, factors],
        maps: vec![],
        params,
    })
}

/// A mask as kernels take it: its number, and the classes of rows and columns.
pub(crate) struct MaskBuffers<B> {
    pub(crate) number: u32,
    rows: Option<B>,
    columns: Option<B>,
}

impl<B> MaskBuffers<B> {
    pub(crate) fn new<C: Chip<Buffer = B>>(chip: &C, mask: &crate::Mask) -> Result<Self> {
        use crate::Mask::{All, OffDiagonal, OtherClass, SameClass, SameClassOffDiagonal};
        let upload = |classes: &[npair_types::ClassId]| {
            let numbers: Vec<u32> = classes.iter().map(|c| c.0).collect();
            chip.numbers(&numbers).map(Some)
        };
        let (number, classes) = match mask {
            All => (0, None),
            OffDiagonal => (1, None),
            SameClass(r, c) => (2, Some((r, c))),
            SameClassOffDiagonal(r, c) => (3, Some((r, c))),
            OtherClass(r, c) => (4, Some((r, c))),
        };
        let (rows, columns) = match classes {
            Some((r, c)) => (upload(r)?, upload(c)?),
            None => (None, None),
        };
        Ok(Self { number, rows, columns })
    }

    /// Classes of rows and of columns.
    pub(crate) fn ins(&self) -> [In<'_, B>; 2] {
        [In::some(self.rows.as_ref()), In::some(self.columns.as_ref())]
    }
}
