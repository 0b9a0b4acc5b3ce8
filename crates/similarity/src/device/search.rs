//! Exact search: candidates of every row are gathered while the matrix streams by, and pruned to the k nearest.

use super::params::Params;
use super::{
    ALIGNED, Chip, Groups, GroupsLaunch, In, Launch, Map, MaskBuffers, Precision, Side, Tiles, blocks_of_values,
};
use crate::Mask;
use candle_core::{DType, Result, Tensor, bail};
use npair_types::Measure;

/// Columns of a launch: a row may find all of them nearer than its bar.
const COLUMNS: usize = 4096;

/// Bytes of candidates kept at a time.
const KEPT: usize = 512 << 20;

/// What is searched in what; both sides contiguous on the chip, of one type.
pub(crate) struct Search<'a> {
    pub(crate) queries: &'a Tensor,
    pub(crate) gallery: &'a Tensor,
    /// Terms that make products similarity.
    pub(crate) terms: &'a Terms,
    pub(crate) mask: &'a Mask,
    pub(crate) precision: Precision,
}

/// `similarity = scale q.g + row + column`: what a measure adds to products.
pub(crate) struct Terms {
    pub(crate) scale: f32,
    /// (Q) and (G), f32.
    pub(crate) rows: Option<Tensor>,
    pub(crate) columns: Option<Tensor>,
}

impl Terms {
    /// Those of a measure of sides that are normalised already where it is the cosine.
    pub(crate) fn of(measure: Measure, queries: &Tensor, gallery: &Tensor) -> Result<Self> {
        let squares = |side: &Tensor| side.detach().to_dtype(DType::F32)?.sqr()?.sum(1)?.neg()?.contiguous();
        Ok(match measure {
            Measure::Dot | Measure::Cosine => Self { scale: 1., rows: None, columns: None },
            Measure::SquaredEuclidean => {
                Self { scale: 2., rows: Some(squares(queries)?), columns: Some(squares(gallery)?) }
            }
        })
    }

    pub(crate) fn ins<B>(&self) -> [In<'_, B>; 2] {
        [&self.rows, &self.columns].map(|t| t.as_ref().map_or(In::Nothing, |t| In::Tensor(t, 0)))
    }
}

/// The k nearest of every query, nearest first.
pub(crate) struct Found {
    /// (Q, k), f32; minus infinity where fewer were left.
    pub(crate) similarity: Tensor,
    /// (Q, k), u32; the greatest number where fewer were left.
    pub(crate) places: Tensor,
    /// One more than the last query with an entry that is no finite number; 0 if all are.
    pub(crate) status: Tensor,
}

/// How many candidates of a row are gathered before they are pruned.
pub(crate) struct Cut {
    pub(crate) columns: usize,
    pub(crate) slack: usize,
    /// Queries at a time.
    pub(crate) rows: usize,
}

impl Search<'_> {
    /// The most neighbours that a chip can search.
    pub(crate) fn most<C: Chip>(chip: &C) -> usize {
        let tiles = chip.tiles();
        (tiles.candidates.saturating_sub(Self::columns(tiles.columns, tiles.candidates)) * 2 / 3)
            .min(tiles.candidates / 4)
    }

    fn columns(tile: usize, candidates: usize) -> usize {
        (candidates / 2).min(COLUMNS) / tile * tile
    }

    /// The `k` nearest.
    pub(crate) fn run<C: Chip>(&self, chip: &C, k: usize) -> Result<Found> {
        let tiles = chip.tiles();
        let (columns, slack) =
            (Self::columns(tiles.columns, tiles.candidates), (k / 2).max(256).min(tiles.candidates / 8));
        let bytes = (k + slack + columns) * 8;
        let rows = (KEPT / bytes / tiles.rows).max(1) * tiles.rows;
        self.run_in(chip, k, &Cut { columns, slack, rows })
    }

    /// The same, cut as is said.
    pub(crate) fn run_in<C: Chip>(&self, chip: &C, k: usize, cut: &Cut) -> Result<Found> {
        let blocks = Blocks::new(self, chip, k, cut)?;
        let mut kept = Candidates::new(&blocks)?;
        let (mut near, mut places) = (chip.room(DType::F32, blocks.rows * k)?, chip.room(DType::U32, blocks.rows * k)?);
        for first in (0..blocks.rows).step_by(kept.rows) {
            let now = kept.rows.min(blocks.rows - first);
            fill(chip, &mut kept.counts, now, 0)?;
            fill(chip, &mut kept.bars, now, f32::NEG_INFINITY.to_bits())?;
            for from in (0..blocks.columns).step_by(cut.columns) {
                let to = blocks.columns.min(from + cut.columns);
                blocks.gather(&mut kept, (first, now), (from, to))?;
                blocks.prune(&mut kept, (first, now), to)?;
            }
            blocks.sort(&kept, [&mut near, &mut places], (first, now))?;
        }
        Ok(Found {
            similarity: chip.tensor(near, (blocks.rows, k).into())?,
            places: chip.tensor(places, (blocks.rows, k).into())?,
            status: chip.tensor(kept.status, 1.into())?,
        })
    }
}

/// What all launches of a search read: the sides as products take them, the mask, and how many candidates are kept.
struct Blocks<'a, C: Chip> {
    chip: &'a C,
    search: &'a Search<'a>,
    cut: &'a Cut,
    k: usize,
    tiles: Tiles,
    groups: Option<Groups>,
    variant: &'static str,
    rows: usize,
    columns: usize,
    width: usize,
    /// Values of a row of a side as products take it.
    stride: usize,
    /// Candidates of a query for which there is room.
    capacity: usize,
    mask: MaskBuffers<C::Buffer>,
    queries: Side<'a, C::Buffer>,
    gallery: Side<'a, C::Buffer>,
}

/// The candidates of a block of queries.
struct Candidates<B> {
    /// Queries of a block.
    rows: usize,
    keys: B,
    counts: B,
    /// What a candidate has to be nearer than.
    bars: B,
    status: B,
}

impl<B> Candidates<B> {
    fn new<C: Chip<Buffer = B>>(blocks: &Blocks<C>) -> Result<Self> {
        let (chip, rows) = (blocks.chip, blocks.cut.rows.min(blocks.rows));
        let mut status = chip.room(DType::U32, 1)?;
        fill(chip, &mut status, 1, 0)?;
        Ok(Self {
            rows,
            keys: chip.room(DType::I64, rows * blocks.capacity)?,
            counts: chip.room(DType::U32, rows)?,
            bars: chip.room(DType::F32, rows)?,
            status,
        })
    }
}

impl<'a, C: Chip> Blocks<'a, C> {
    fn new(search: &'a Search<'a>, chip: &'a C, k: usize, cut: &'a Cut) -> Result<Self> {
        let (queries, gallery) = (search.queries, search.gallery);
        let ((rows, width), (columns, dtype)) = (queries.dims2()?, (gallery.dim(0)?, queries.dtype()));
        let Some(variant) = chip.variant(dtype, search.precision) else { bail!("npair: no kernels for {dtype:?}") };
        let (tiles, capacity) = (chip.tiles(), k + cut.slack + cut.columns);
        if capacity > tiles.candidates || rows.max(columns) >= 1 << 31 {
            bail!("npair: {k} neighbours of {columns} rows are more than a kernel can count");
        }
        Ok(Self {
            chip,
            search,
            cut,
            k,
            tiles,
            groups: chip.groups(dtype, width),
            variant,
            rows,
            columns,
            width,
            stride: width.next_multiple_of(ALIGNED),
            capacity,
            mask: MaskBuffers::new(chip, search.mask)?,
            queries: Side::new(chip, queries)?,
            gallery: Side::new(chip, gallery)?,
        })
    }

    /// Parameters of a block of `now` queries from `first` on.
    fn params(&self, (first, now): (usize, usize)) -> Params {
        Params {
            rows: now as u32,
            width: self.width as u32,
            stride: self.stride as u32,
            first_row: first as u32,
            mask: self.mask.number,
            k: self.k as u32,
            capacity: self.capacity as u32,
            line: (self.k + self.cut.slack) as u32,
            scale: self.search.terms.scale,
            ..Params::default()
        }
    }

    /// Adds the columns `from..to` that are nearer than the bars.
    fn gather(
        &self,
        kept: &mut Candidates<C::Buffer>,
        block: (usize, usize),
        (from, to): (usize, usize),
    ) -> Result<()> {
        let [row_terms, column_terms] = self.search.terms.ins();
        let [row_classes, column_classes] = self.mask.ins();
        let (across, down) = ((to - from).div_ceil(self.tiles.columns), block.1.div_ceil(self.tiles.rows));
        let params = Params { columns: to as u32, first_column: from as u32, ..self.params(block) };
        let outs = vec![&mut kept.keys, &mut kept.counts, &mut kept.status];
        let bars = In::Buffer(&kept.bars, 0);
        let marks = [row_terms, column_terms, row_classes, column_classes];
        match self.groups {
            None => self.chip.launch(Launch {
                kernel: format!("npair_candidates_{}", self.variant),
                grid: [across, down, 1],
                threads: self.tiles.threads,
                shared: self.tiles.shared,
                outs,
                ins: [&[bars, self.queries.from(block.0 * self.stride), self.gallery.from(0)], &marks[..]].concat(),
                maps: vec![],
                params,
            }),
            Some(groups) => GroupsLaunch {
                name: "candidates",
                variant: self.variant,
                tiles: across * down,
                outs,
                ins: [&[bars], &marks[..]].concat(),
                maps: vec![
                    Map::new(self.queries.from(0), self.rows, self.stride, self.tiles.rows),
                    Map::new(self.gallery.from(0), self.columns, self.stride, self.tiles.columns),
                ],
                params,
            }
            .start(self.chip, groups),
        }
    }

    /// Keeps the nearest: after the last column `k` exactly.
    fn prune(&self, kept: &mut Candidates<C::Buffer>, block: (usize, usize), to: usize) -> Result<()> {
        let line = if to == self.columns { self.k } else { self.k + self.cut.slack };
        self.chip.launch(Launch {
            kernel: "npair_prune".to_owned(),
            grid: [block.1.min(self.tiles.pruning), 1, 1],
            threads: 256,
            shared: self.capacity * 8 + 260 * 4,
            outs: vec![&mut kept.keys, &mut kept.counts, &mut kept.bars],
            ins: vec![],
            maps: vec![],
            params: Params { line: line as u32, ..self.params(block) },
        })
    }

    /// Writes a block's neighbours, nearest first.
    fn sort(
        &self,
        kept: &Candidates<C::Buffer>,
        [near, places]: [&mut C::Buffer; 2],
        block: (usize, usize),
    ) -> Result<()> {
        self.chip.launch(Launch {
            kernel: "npair_sorted".to_owned(),
            grid: [block.1, 1, 1],
            threads: 256,
            shared: self.k.next_power_of_two() * 8,
            outs: vec![near, places],
            ins: vec![In::Buffer(&kept.keys, 0), In::Buffer(&kept.counts, 0)],
            maps: vec![],
            params: self.params(block),
        })
    }
}

/// Words that are all the same.
pub(crate) fn fill<C: Chip>(chip: &C, out: &mut C::Buffer, words: usize, word: u32) -> Result<()> {
    chip.launch(Launch {
        kernel: "npair_fill".to_owned(),
        grid: blocks_of_values(words),
        threads: 256,
        shared: 0,
        outs: vec![out],
        ins: vec![],
        maps: vec![],
        params: Params { rows: words as u32, columns: 1, flags: word, ..Params::default() },
    })
}
