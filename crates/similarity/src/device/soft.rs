//! Soft reductions and their gradients: a wave of rows at a time, each product taken once.

use super::params::Params;
use super::{Chip, In, Launch, Map, MaskBuffers, Precision, Side, blocks_of_values, pad, start_groups, type_name};
use crate::Mask;
use crate::pass::{Kind, Wanted};
use candle_core::{DType, Result, Tensor, bail};

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
        let ((rows, width), (columns, dtype)) = (self.queries.dims2()?, (self.gallery.dim(0)?, self.queries.dtype()));
        let Some(variant) = chip.variant(dtype, self.precision) else { bail!("npair: no kernels for {dtype:?}") };
        let (tiles, stride) = (chip.tiles(), width.next_multiple_of(super::ALIGNED));
        if rows.max(columns) >= 1 << 31 || columns.div_ceil(tiles.rows) > 65_535 {
            bail!("npair: {rows} x {columns} rows are more than a kernel can count");
        }
        let groups = chip.groups(dtype, width);
        let across = columns.div_ceil(tiles.columns).max(1);
        let (lines, line) = (cut.wave.min(rows.next_multiple_of(tiles.rows)), across * tiles.columns);
        let float = |values: usize| chip.room(DType::F32, values.max(1));
        let mask = MaskBuffers::new(chip, self.mask)?;
        let (queries, gallery) = (Side::new(chip, self.queries)?, Side::new(chip, self.gallery)?);
        let diagonal = match self.reference {
            Reference::Diagonal => Some(self.diagonal(chip)?),
            _ => None,
        };
        let reference = match (self.reference, &diagonal) {
            (Reference::Given(o), _) => In::Tensor(o, 0),
            (_, diagonal) => In::some(diagonal.as_ref()),
        };
        let (mut results, mut below) = (float(rows)?, float(rows)?);
        let mut entries = chip.room(dtype, lines * line)?;
        let (mut exponents, mut terms, mut factors) = (float(across * lines)?, float(across * lines)?, float(lines)?);
        let mut weights = float(if self.kind == Kind::SoftplusSum { across * lines } else { 1 })?;
        let mut suggested = float(if groups.is_some() { lines } else { 1 })?;
        let mut of_queries = wanted.queries.then(|| chip.room(dtype, (rows * width).max(1))).transpose()?;
        let mut parts = float(if wanted.queries { cut.parts * lines * stride } else { 1 })?;
        let mut of_gallery = wanted.gallery.then(|| float(columns * stride)).transpose()?;
        let mut scaled = chip.room(dtype, if wanted.gallery { lines * stride } else { 1 })?;
        // Wide tiles are there for 16-bit sides alone.
        let wide = width > tiles.narrow && dtype != DType::F32;
        let narrow = if wide { tiles.wide } else { tiles.narrow };
        let gradient = |side: &str| format!("npair_of_{side}_{variant}_{narrow}");
        for first in (0..rows).step_by(cut.wave) {
            let now = cut.wave.min(rows - first);
            let down = now.div_ceil(tiles.rows);
            let params = Params {
                rows: now as u32,
                columns: columns as u32,
                width: width as u32,
                stride: stride as u32,
                first_row: first as u32,
                line: line as u32,
                tiles: across as u32,
                mask: mask.number,
                kind: match self.kind {
                    Kind::LogSumExp => 0,
                    Kind::Log1pSumExp => 1,
                    Kind::SoftplusSum => 2,
                },
                parts: cut.parts as u32,
                share: match upstream {
                    Upstream::Each(share) => share,
                    Upstream::Rows(_) => 1.,
                },
                ..Params::default()
            };
            let [row_classes, column_classes] = mask.ins();
            let entries_map = |entries, box_rows| Map::new(In::Buffer(entries, 0), down * tiles.rows, line, box_rows);
            match groups {
                None => {
                    let matrix = if self.kind == Kind::SoftplusSum { "margins" } else { "matrix" };
                    let sides = [queries.from(first * stride), gallery.from(0)];
                    start(
                        chip,
                        (format!("npair_{matrix}_{variant}"), [across, down, 1], tiles.threads, tiles.shared),
                        vec![&mut entries, &mut exponents, &mut terms, &mut weights],
                        vec![sides[0], sides[1], reference.after(first), row_classes, column_classes],
                        params,
                    )?;
                }
                Some(groups) => {
                    let maps = || {
                        vec![
                            Map::new(queries.from(0), rows, stride, tiles.rows),
                            Map::new(gallery.from(0), columns, stride, tiles.columns),
                            Map { woven: true, ..Map::new(gallery.from(0), columns, stride, tiles.columns) },
                        ]
                    };
                    let classes = [row_classes, column_classes];
                    if self.kind == Kind::SoftplusSum {
                        let outs = vec![&mut entries, &mut exponents, &mut terms, &mut weights];
                        let ins = [&[reference.after(first)], &classes[..]].concat();
                        start_groups(chip, groups, ("margins", variant, across * down), outs, ins, maps(), params)?;
                    } else {
                        // What exponents the rows are likely to have, from the first columns.
                        let outs = vec![&mut entries, &mut suggested, &mut terms];
                        let ins = vec![In::Nothing; 3];
                        let suggests = Params { flags: SUGGESTS, ..params };
                        start_groups(chip, groups, ("matrix", variant, down), outs, ins, maps(), suggests)?;
                        let outs = vec![&mut entries, &mut exponents, &mut terms];
                        let ins = [&[In::Buffer(&suggested, 0)], &classes[..]].concat();
                        start_groups(chip, groups, ("matrix", variant, across * down), outs, ins, maps(), params)?;
                    }
                }
            }
            let upstream = match upstream {
                Upstream::Each(_) => In::Nothing,
                Upstream::Rows(u) => In::Tensor(u, 0),
            };
            start(
                chip,
                (
                    "npair_rows".to_owned(),
                    [down * tiles.rows / ROWS_OF_A_BLOCK, 1, 1],
                    (ROWS_OF_A_BLOCK * tiles.slices) as u32,
                    // Two numbers of f64 and one of f32 for each thread.
                    ROWS_OF_A_BLOCK * tiles.slices * 20,
                ),
                vec![&mut results, &mut factors, &mut below, &mut exponents],
                vec![In::Buffer(&terms, 0), In::Buffer(&weights, 0), reference.after(first), upstream],
                params,
            )?;
            let below_in = |below| if diagonal.is_some() { In::Buffer(below, 0) } else { In::Nothing };
            if let Some(out) = &mut of_queries {
                match groups {
                    None => start(
                        chip,
                        (gradient("queries"), [stride.div_ceil(narrow), down, cut.parts], tiles.threads, tiles.shared),
                        vec![&mut parts],
                        vec![In::Buffer(&entries, 0), In::Buffer(&exponents, 0), gallery.from(0)],
                        params,
                    )?,
                    Some(groups) => start_groups(
                        chip,
                        groups,
                        ("of_queries", variant, stride.div_ceil(groups.wide) * down * cut.parts),
                        vec![&mut parts],
                        vec![In::Buffer(&exponents, 0)],
                        vec![
                            entries_map(&entries, tiles.rows),
                            Map::new(gallery.from(0), columns, stride, super::BOX_WIDTH),
                        ],
                        params,
                    )?,
                }
                start(
                    chip,
                    (format!("npair_finish_{}", type_name(dtype)), blocks_of_values(now * width), 256, 0),
                    vec![out],
                    vec![In::Buffer(&parts, 0), In::Buffer(&factors, 0), below_in(&below), In::Tensor(self.gallery, 0)],
                    Params { line: (down * tiles.rows) as u32, ..params },
                )?;
            }
            if let Some(sums) = &mut of_gallery {
                pad(chip, &mut scaled, In::Tensor(self.queries, 0), In::Buffer(&factors, 0), dtype, params)?;
                let params = Params { flags: u32::from(first == 0), ..params };
                match groups {
                    None => start(
                        chip,
                        (
                            gradient("gallery"),
                            [stride.div_ceil(narrow), columns.div_ceil(tiles.rows), 1],
                            tiles.threads,
                            tiles.shared,
                        ),
                        vec![sums],
                        vec![In::Buffer(&entries, 0), In::Buffer(&exponents, 0), In::Buffer(&scaled, 0)],
                        params,
                    )?,
                    Some(groups) => start_groups(
                        chip,
                        groups,
                        ("of_gallery", variant, stride.div_ceil(groups.wide) * columns.div_ceil(tiles.rows)),
                        vec![sums],
                        vec![In::Buffer(&exponents, 0)],
                        vec![
                            entries_map(&entries, super::BOX_WIDTH),
                            Map::new(In::Buffer(&scaled, 0), now, stride, super::BOX_WIDTH),
                        ],
                        params,
                    )?,
                }
            }
        }
        let of_gallery = match of_gallery {
            None => None,
            Some(sums) => {
                let mut out = chip.room(dtype, (columns * width).max(1))?;
                chip.launch(Launch {
                    kernel: format!("npair_finish_{}", type_name(dtype)),
                    grid: blocks_of_values(columns * width),
                    threads: 256,
                    shared: 0,
                    outs: vec![&mut out],
                    ins: vec![
                        In::Buffer(&sums, 0),
                        In::Nothing,
                        if diagonal.is_some() { In::Buffer(&below, 0) } else { In::Nothing },
                        In::Tensor(self.queries, 0),
                    ],
                    maps: vec![],
                    params: Params {
                        rows: columns as u32,
                        width: width as u32,
                        stride: stride as u32,
                        line: columns as u32,
                        parts: 1,
                        ..Params::default()
                    },
                })?;
                Some(chip.tensor(out, (columns, width).into())?)
            }
        };
        Ok(Found {
            results: chip.tensor(results, rows.into())?,
            queries: of_queries.map(|b| chip.tensor(b, (rows, width).into())).transpose()?,
            gallery: of_gallery,
            reference: chip.tensor(below, rows.into())?,
        })
    }

    fn diagonal<C: Chip>(&self, chip: &C) -> Result<C::Buffer> {
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

/// Rows of a block that puts the tiles' sums together; a tile's rows are a multiple.
const ROWS_OF_A_BLOCK: usize = 32;

/// Set where the matrix is not made, only the exponents that its first columns suggest.
const SUGGESTS: u32 = 4;

/// Starts a kernel: its name, blocks, threads of a block and shared memory.
fn start<C: Chip>(
    chip: &C,
    (kernel, grid, threads, shared): (String, [usize; 3], u32, usize),
    outs: Vec<&mut C::Buffer>,
    ins: Vec<In<C::Buffer>>,
    params: Params,
) -> Result<()> {
    chip.launch(Launch { kernel, grid, threads, shared, outs, ins, maps: vec![], params })
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
