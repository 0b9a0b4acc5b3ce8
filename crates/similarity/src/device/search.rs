//! Exact search: candidates of every row are gathered while the matrix streams by, and pruned to the k nearest.

use super::params::Params;
use super::{Chip, In, Launch, Map, MaskBuffers, Precision, Side, blocks_of_values, start_groups};
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
        let ((rows, width), (columns, dtype)) = (self.queries.dims2()?, (self.gallery.dim(0)?, self.queries.dtype()));
        let Some(variant) = chip.variant(dtype, self.precision) else { bail!("npair: no kernels for {dtype:?}") };
        let (tiles, stride) = (chip.tiles(), width.next_multiple_of(super::ALIGNED));
        let capacity = k + cut.slack + cut.columns;
        if capacity > tiles.candidates || rows.max(columns) >= 1 << 31 {
            bail!("npair: {k} neighbours of {columns} rows are more than a kernel can count");
        }
        let mask = MaskBuffers::new(chip, self.mask)?;
        let (queries, gallery) = (Side::new(chip, self.queries)?, Side::new(chip, self.gallery)?);
        let groups = chip.groups(dtype, width);
        let block = cut.rows.min(rows);
        let mut keys = chip.room(DType::I64, block * capacity)?;
        let (mut counts, mut bars) = (chip.room(DType::U32, block)?, chip.room(DType::F32, block)?);
        let mut status = chip.room(DType::U32, 1)?;
        let (mut near, mut places) = (chip.room(DType::F32, rows * k)?, chip.room(DType::U32, rows * k)?);
        fill(chip, &mut status, 1, 0)?;
        for start in (0..rows).step_by(block) {
            let now = block.min(rows - start);
            let params = Params {
                rows: now as u32,
                width: width as u32,
                stride: stride as u32,
                first_row: start as u32,
                mask: mask.number,
                k: k as u32,
                capacity: capacity as u32,
                line: (k + cut.slack) as u32,
                scale: self.terms.scale,
                ..Params::default()
            };
            fill(chip, &mut counts, now, 0)?;
            fill(chip, &mut bars, now, f32::NEG_INFINITY.to_bits())?;
            for from in (0..columns).step_by(cut.columns) {
                let to = columns.min(from + cut.columns);
                let [row_terms, column_terms] = self.terms.ins();
                let [row_classes, column_classes] = mask.ins();
                let (across, down) = ((to - from).div_ceil(tiles.columns), now.div_ceil(tiles.rows));
                let params_here = Params { columns: to as u32, first_column: from as u32, ..params };
                let outs = vec![&mut keys, &mut counts, &mut status];
                let above = In::Buffer(&bars, 0);
                match groups {
                    None => chip.launch(Launch {
                        kernel: format!("npair_candidates_{variant}"),
                        grid: [across, down, 1],
                        threads: tiles.threads,
                        shared: tiles.shared,
                        outs,
                        ins: vec![
                            above,
                            queries.from(start * stride),
                            gallery.from(0),
                            row_terms,
                            column_terms,
                            row_classes,
                            column_classes,
                        ],
                        maps: vec![],
                        params: params_here,
                    })?,
                    Some(groups) => {
                        let ins = vec![above, row_terms, column_terms, row_classes, column_classes];
                        let maps = vec![
                            Map::new(queries.from(0), rows, stride, tiles.rows),
                            Map::new(gallery.from(0), columns, stride, tiles.columns),
                        ];
                        start_groups(
                            chip,
                            groups,
                            ("candidates", variant, across * down),
                            outs,
                            ins,
                            maps,
                            params_here,
                        )?;
                    }
                }
                // At the end to k exactly.
                let line = if to == columns { k } else { k + cut.slack };
                chip.launch(Launch {
                    kernel: "npair_prune".to_owned(),
                    grid: [now.min(tiles.pruning), 1, 1],
                    threads: 256,
                    shared: capacity * 8 + 260 * 4,
                    outs: vec![&mut keys, &mut counts, &mut bars],
                    ins: vec![],
                    maps: vec![],
                    params: Params { line: line as u32, ..params },
                })?;
            }
            chip.launch(Launch {
                kernel: "npair_sorted".to_owned(),
                grid: [now, 1, 1],
                threads: 256,
                shared: k.next_power_of_two() * 8,
                outs: vec![&mut near, &mut places],
                ins: vec![In::Buffer(&keys, 0), In::Buffer(&counts, 0)],
                maps: vec![],
                params,
            })?;
        }
        Ok(Found {
            similarity: chip.tensor(near, (rows, k).into())?,
            places: chip.tensor(places, (rows, k).into())?,
            status: chip.tensor(status, 1.into())?,
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
