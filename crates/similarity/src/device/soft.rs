//! Soft reductions and their gradients: a wave of rows at a time, each product taken once.

use super::params::Params;
use super::waves::{Buffers, Sums, Waves};
use super::{Chip, In, Launch, Precision, type_name};
use crate::Mask;
use crate::pass::{Kind, Wanted};
use candle_core::{DType, Result, Tensor};

/// Bytes of the matrix that are kept at a time: enough rows that passing over the gallery's gradient costs little.
const KEPT: usize = 512 << 20;

/// Blocks of a gradient that keep all multiprocessors of a large chip busy.
const BUSY: usize = 264;

/// What a row's entries are measured from.
#[derive(Clone, Copy)]
pub(crate) enum Reference<'a> {
    /// 0.
    Zero,
    /// A number per row (Q), f32.
    Given(&'a Tensor),
    /// The row's entry on the diagonal, whose gradient is one of the matrix.
    Diagonal,
}

/// What the results' gradients are multiplied by.
#[derive(Clone, Copy)]
pub(crate) enum Upstream<'a> {
    /// The same for every row.
    Each(f32),
    /// A number per row (Q), f32.
    Rows(&'a Tensor),
}

/// The reduction of every row of `queries gallery^T` under a mask; both sides contiguous on the chip, of one type.
pub(crate) struct Soft<'a> {
    pub(crate) kind: Kind,
    pub(crate) mask: &'a Mask,
    pub(crate) queries: &'a Tensor,
    pub(crate) gallery: &'a Tensor,
    pub(crate) reference: Reference<'a>,
    pub(crate) precision: Precision,
}

/// What was found.
pub(crate) struct Found {
    /// A number per row (Q), f32.
    pub(crate) results: Tensor,
    /// Gradients in the sides' type, where wanted.
    pub(crate) queries: Option<Tensor>,
    pub(crate) gallery: Option<Tensor>,
    /// What the references get (Q), f32.
    pub(crate) reference: Tensor,
}

/// How the matrix is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Rows of a wave, in whole tiles.
    pub(crate) wave: usize,
    /// Parts of the sums of the queries' gradient.
    pub(crate) parts: usize,
}

impl Soft<'_> {
    /// Runs it.
    pub(crate) fn run<C: Chip>(&self, chip: &C, wanted: Wanted, upstream: Upstream) -> Result<Found> {
        let tiles = chip.tiles();
        let (rows, columns) = (self.queries.dim(0)?, self.gallery.dim(0)?);
        let bytes = columns.next_multiple_of(tiles.columns) * self.queries.dtype().size_in_bytes();
        let kept = chip.groups(self.queries.dtype(), self.queries.dim(1)?).map_or(KEPT, |g| g.kept);
        let most = (kept / bytes.max(1) / tiles.rows).max(1);
        // Waves of nearly the same number of tiles.
        let all = rows.div_ceil(tiles.rows).max(1);
        let wave = all.div_ceil(all.div_ceil(most));
        let across = self.queries.dim(1)?.div_ceil(tiles.wide);
        let parts = (BUSY / (wave * across)).clamp(1, columns.div_ceil(tiles.columns).clamp(1, 16));
        self.run_in(chip, Cut { wave: wave * tiles.rows, parts }, wanted, upstream)
    }

    /// The same, cut as is said.
    pub(crate) fn run_in<C: Chip>(&self, chip: &C, cut: Cut, wanted: Wanted, upstream: Upstream) -> Result<Found> {
        let waves = Waves::new(self, chip, cut, upstream)?;
        let (mut buffers, mut sums) = (Buffers::new(&waves, wanted)?, Sums::new(&waves, wanted)?);
        for first in (0..waves.rows).step_by(cut.wave) {
            waves.matrix(&mut buffers, first)?;
            waves.results(&mut buffers, &mut sums, first)?;
            waves.of_queries(&mut buffers, &mut sums, first)?;
            waves.of_gallery(&mut buffers, &mut sums, first)?;
        }
        waves.found(sums)
    }

    /// The diagonal's entries (Q), f32.
    pub(super) fn diagonal<C: Chip>(&self, chip: &C) -> Result<C::Buffer> {
        let (rows, width) = self.queries.dims2()?;
        let mut out = chip.room(DType::F32, rows.max(1))?;
        chip.launch(Launch {
            kernel: format!("npair_diagonal_{}", type_name(self.queries.dtype())),
            grid: [(rows * 32).div_ceil(256).max(1), 1, 1],
            threads: 256,
            shared: 0,
            outs: vec![&mut out],
            ins: vec![In::Tensor(self.queries, 0), In::Tensor(self.gallery, 0)],
            maps: vec![],
            params: Params { rows: rows as u32, width: width as u32, ..Params::default() },
        })?;
        Ok(out)
    }
}

/// The mean of results per row, a scalar of f32.
pub(crate) fn mean_of<C: Chip>(chip: &C, results: &Tensor) -> Result<Tensor> {
    let rows = results.dim(0)?;
    let mut out = chip.room(DType::F32, 1)?;
    chip.launch(Launch {
        kernel: "npair_mean".to_owned(),
        grid: [1, 1, 1],
        threads: 256,
        shared: 256 * 8,
        outs: vec![&mut out],
        ins: vec![In::Tensor(results, 0)],
        maps: vec![],
        params: Params { rows: rows as u32, share: (1. / rows as f64) as f32, ..Params::default() },
    })?;
    chip.tensor(out, ().into())
}
