//! The waves of a soft reduction: what each launches, and the buffers that all of them share.

use super::params::Params;
use super::soft::{Cut, Found, Reference, Soft, Upstream};
use super::{
    ALIGNED, BOX_WIDTH, Chip, Groups, GroupsLaunch, In, Launch, Map, MaskBuffers, Side, Tiles, blocks_of_values, pad,
    type_name,
};
use crate::pass::{Kind, Wanted};
use candle_core::{DType, Result, bail};

/// Rows of a block that puts the tiles' sums together; a tile's rows are a multiple.
const ROWS_OF_A_BLOCK: usize = 32;

/// Set where the matrix is not made, only the exponents that its first columns suggest.
const SUGGESTS: u32 = 4;

/// What all waves read: the sides as products take them, the mask, and how the matrix is cut.
pub(super) struct Waves<'a, C: Chip> {
    chip: &'a C,
    soft: &'a Soft<'a>,
    cut: Cut,
    upstream: Upstream<'a>,
    tiles: Tiles,
    groups: Option<Groups>,
    variant: &'static str,
    dtype: DType,
    pub(super) rows: usize,
    columns: usize,
    width: usize,
    /// Values of a row of a side as products take it.
    stride: usize,
    /// Tiles beside each other.
    across: usize,
    /// Rows that are kept of the matrix at a time.
    lines: usize,
    mask: MaskBuffers<C::Buffer>,
    queries: Side<'a, C::Buffer>,
    gallery: Side<'a, C::Buffer>,
    /// The references (Q), where they are the diagonal's entries.
    diagonal: Option<C::Buffer>,
}

/// What a wave writes for its own later launches.
pub(super) struct Buffers<B> {
    entries: B,
    exponents: B,
    terms: B,
    weights: B,
    factors: B,
    /// The exponents that rows are likely to have.
    suggested: B,
    /// Partial sums of the queries' gradient.
    parts: B,
    /// The queries, each times its factor.
    scaled: B,
}

/// What the waves write for the caller.
pub(super) struct Sums<B> {
    results: B,
    /// What the references get.
    reference: B,
    of_queries: Option<B>,
    of_gallery: Option<B>,
}

impl<B> Buffers<B> {
    pub(super) fn new<C: Chip<Buffer = B>>(waves: &Waves<C>, wanted: Wanted) -> Result<Self> {
        let float = |values: usize| waves.chip.room(DType::F32, values.max(1));
        let (lines, tiles) = (waves.lines, waves.across * waves.lines);
        let if_so = |wanted: bool, values: usize| if wanted { values } else { 1 };
        Ok(Self {
            entries: waves.chip.room(waves.dtype, lines * waves.line())?,
            exponents: float(tiles)?,
            terms: float(tiles)?,
            weights: float(if_so(waves.soft.kind == Kind::SoftplusSum, tiles))?,
            factors: float(lines)?,
            suggested: float(if_so(waves.groups.is_some(), lines))?,
            parts: float(if_so(wanted.queries, waves.cut.parts * lines * waves.stride))?,
            scaled: waves.chip.room(waves.dtype, if_so(wanted.gallery, lines * waves.stride))?,
        })
    }
}

impl<B> Sums<B> {
    pub(super) fn new<C: Chip<Buffer = B>>(waves: &Waves<C>, wanted: Wanted) -> Result<Self> {
        let float = |values: usize| waves.chip.room(DType::F32, values.max(1));
        let of_queries = wanted.queries.then(|| waves.chip.room(waves.dtype, (waves.rows * waves.width).max(1)));
        let of_gallery = wanted.gallery.then(|| float(waves.columns * waves.stride));
        Ok(Self {
            results: float(waves.rows)?,
            reference: float(waves.rows)?,
            of_queries: of_queries.transpose()?,
            of_gallery: of_gallery.transpose()?,
        })
    }
}

impl<'a, C: Chip> Waves<'a, C> {
    pub(super) fn new(soft: &'a Soft<'a>, chip: &'a C, cut: Cut, upstream: Upstream<'a>) -> Result<Self> {
        let ((rows, width), (columns, dtype)) = (soft.queries.dims2()?, (soft.gallery.dim(0)?, soft.queries.dtype()));
        let Some(variant) = chip.variant(dtype, soft.precision) else { bail!("npair: no kernels for {dtype:?}") };
        let tiles = chip.tiles();
        if rows.max(columns) >= 1 << 31 || columns.div_ceil(tiles.rows) > 65_535 {
            bail!("npair: {rows} x {columns} rows are more than a kernel can count");
        }
        Ok(Self {
            chip,
            soft,
            cut,
            upstream,
            tiles,
            groups: chip.groups(dtype, width),
            variant,
            dtype,
            rows,
            columns,
            width,
            stride: width.next_multiple_of(ALIGNED),
            across: columns.div_ceil(tiles.columns).max(1),
            lines: cut.wave.min(rows.next_multiple_of(tiles.rows)),
            mask: MaskBuffers::new(chip, soft.mask)?,
            queries: Side::new(chip, soft.queries)?,
            gallery: Side::new(chip, soft.gallery)?,
            diagonal: if matches!(soft.reference, Reference::Diagonal) { Some(soft.diagonal(chip)?) } else { None },
        })
    }

    /// Entries of a kept row.
    fn line(&self) -> usize {
        self.across * self.tiles.columns
    }

    /// Rows of the wave that starts with `first`.
    fn rows_from(&self, first: usize) -> usize {
        self.cut.wave.min(self.rows - first)
    }

    /// Tiles below each other in the wave that starts with `first`.
    fn down(&self, first: usize) -> usize {
        self.rows_from(first).div_ceil(self.tiles.rows)
    }

    fn params(&self, first: usize) -> Params {
        Params {
            rows: self.rows_from(first) as u32,
            columns: self.columns as u32,
            width: self.width as u32,
            stride: self.stride as u32,
            first_row: first as u32,
            line: self.line() as u32,
            tiles: self.across as u32,
            mask: self.mask.number,
            kind: match self.soft.kind {
                Kind::LogSumExp => 0,
                Kind::Log1pSumExp => 1,
                Kind::SoftplusSum => 2,
            },
            parts: self.cut.parts as u32,
            share: match self.upstream {
                Upstream::Each(share) => share,
                Upstream::Rows(_) => 1.,
            },
            ..Params::default()
        }
    }

    /// What the rows' entries are measured from, from row `first` on.
    fn reference(&self, first: usize) -> In<'_, C::Buffer> {
        let all = match (self.soft.reference, &self.diagonal) {
            (Reference::Given(o), _) => In::Tensor(o, 0),
            (_, diagonal) => In::some(diagonal.as_ref()),
        };
        all.after(first)
    }

    /// The gradient that the diagonal's entries get, where they are the references.
    fn below<'b>(&self, reference: &'b C::Buffer) -> In<'b, C::Buffer> {
        if self.diagonal.is_some() { In::Buffer(reference, 0) } else { In::Nothing }
    }

    /// The matrix's entries, with each tile's exponent and sums.
    pub(super) fn matrix(&self, buffers: &mut Buffers<C::Buffer>, first: usize) -> Result<()> {
        match self.groups {
            Some(groups) if self.soft.kind == Kind::SoftplusSum => self.margins_in_groups(groups, buffers, first),
            Some(groups) => self.matrix_in_groups(groups, buffers, first),
            None => self.matrix_in_tiles(buffers, first),
        }
    }

    fn matrix_in_tiles(&self, buffers: &mut Buffers<C::Buffer>, first: usize) -> Result<()> {
        let matrix = if self.soft.kind == Kind::SoftplusSum { "margins" } else { "matrix" };
        let [row_classes, column_classes] = self.mask.ins();
        let (queries, gallery) = (self.queries.from(first * self.stride), self.gallery.from(0));
        self.start(
            (format!("npair_{matrix}_{}", self.variant), [self.across, self.down(first), 1]),
            vec![&mut buffers.entries, &mut buffers.exponents, &mut buffers.terms, &mut buffers.weights],
            vec![queries, gallery, self.reference(first), row_classes, column_classes],
            self.params(first),
        )
    }

    fn margins_in_groups(&self, groups: Groups, buffers: &mut Buffers<C::Buffer>, first: usize) -> Result<()> {
        let launch = GroupsLaunch {
            name: "margins",
            variant: self.variant,
            tiles: self.across * self.down(first),
            outs: vec![&mut buffers.entries, &mut buffers.exponents, &mut buffers.terms, &mut buffers.weights],
            ins: [&[self.reference(first)], &self.mask.ins()[..]].concat(),
            maps: self.side_maps(),
            params: self.params(first),
        };
        launch.start(self.chip, groups)
    }

    fn matrix_in_groups(&self, groups: Groups, buffers: &mut Buffers<C::Buffer>, first: usize) -> Result<()> {
        let (down, params) = (self.down(first), self.params(first));
        // What exponents the rows are likely to have, from the first columns.
        let suggestion = GroupsLaunch {
            name: "matrix",
            variant: self.variant,
            tiles: down,
            outs: vec![&mut buffers.entries, &mut buffers.suggested, &mut buffers.terms],
            ins: vec![In::Nothing; 3],
            maps: self.side_maps(),
            params: Params { flags: SUGGESTS, ..params },
        };
        suggestion.start(self.chip, groups)?;
        let matrix = GroupsLaunch {
            name: "matrix",
            variant: self.variant,
            tiles: self.across * down,
            outs: vec![&mut buffers.entries, &mut buffers.exponents, &mut buffers.terms],
            ins: [&[In::Buffer(&buffers.suggested, 0)], &self.mask.ins()[..]].concat(),
            maps: self.side_maps(),
            params,
        };
        matrix.start(self.chip, groups)
    }

    /// Both sides as the copy engine takes them for the matrix.
    fn side_maps(&self) -> Vec<Map<'_, C::Buffer>> {
        let gallery = Map::new(self.gallery.from(0), self.columns, self.stride, self.tiles.columns);
        let woven =
            Map { woven: true, ..Map::new(self.gallery.from(0), self.columns, self.stride, self.tiles.columns) };
        vec![Map::new(self.queries.from(0), self.rows, self.stride, self.tiles.rows), gallery, woven]
    }

    /// The kept entries as the copy engine takes them for a gradient.
    fn entries_map<'b>(&self, entries: &'b C::Buffer, first: usize, box_rows: usize) -> Map<'b, C::Buffer> {
        Map::new(In::Buffer(entries, 0), self.down(first) * self.tiles.rows, self.line(), box_rows)
    }

    /// The wave's results, and what gradients multiply its rows by.
    pub(super) fn results(
        &self,
        buffers: &mut Buffers<C::Buffer>,
        sums: &mut Sums<C::Buffer>,
        first: usize,
    ) -> Result<()> {
        let upstream = match self.upstream {
            Upstream::Each(_) => In::Nothing,
            Upstream::Rows(u) => In::Tensor(u, 0),
        };
        self.chip.launch(Launch {
            kernel: "npair_rows".to_owned(),
            grid: [self.down(first) * self.tiles.rows / ROWS_OF_A_BLOCK, 1, 1],
            threads: (ROWS_OF_A_BLOCK * self.tiles.slices) as u32,
            // Two numbers of f64 and one of f32 for each thread.
            shared: ROWS_OF_A_BLOCK * self.tiles.slices * 20,
            outs: vec![&mut sums.results, &mut buffers.factors, &mut sums.reference, &mut buffers.exponents],
            ins: vec![In::Buffer(&buffers.terms, 0), In::Buffer(&buffers.weights, 0), self.reference(first), upstream],
            maps: vec![],
            params: self.params(first),
        })
    }

    /// The gradient of the wave's queries, where it is wanted.
    pub(super) fn of_queries(
        &self,
        buffers: &mut Buffers<C::Buffer>,
        sums: &mut Sums<C::Buffer>,
        first: usize,
    ) -> Result<()> {
        let Some(out) = &mut sums.of_queries else { return Ok(()) };
        let (down, params) = (self.down(first), self.params(first));
        match self.groups {
            None => self.start(
                (self.gradient("queries"), [self.stride.div_ceil(self.narrow()), down, self.cut.parts]),
                vec![&mut buffers.parts],
                vec![In::Buffer(&buffers.entries, 0), In::Buffer(&buffers.exponents, 0), self.gallery.from(0)],
                params,
            )?,
            Some(groups) => GroupsLaunch {
                name: "of_queries",
                variant: self.variant,
                tiles: self.stride.div_ceil(groups.wide) * down * self.cut.parts,
                outs: vec![&mut buffers.parts],
                ins: vec![In::Buffer(&buffers.exponents, 0)],
                maps: vec![
                    self.entries_map(&buffers.entries, first, self.tiles.rows),
                    Map::new(self.gallery.from(0), self.columns, self.stride, BOX_WIDTH),
                ],
                params,
            }
            .start(self.chip, groups)?,
        }
        self.chip.launch(Launch {
            kernel: format!("npair_finish_{}", type_name(self.dtype)),
            grid: blocks_of_values(self.rows_from(first) * self.width),
            threads: 256,
            shared: 0,
            outs: vec![out],
            ins: vec![
                In::Buffer(&buffers.parts, 0),
                In::Buffer(&buffers.factors, 0),
                self.below(&sums.reference),
                In::Tensor(self.soft.gallery, 0),
            ],
            maps: vec![],
            params: Params { line: (down * self.tiles.rows) as u32, ..params },
        })
    }

    /// What the wave adds to the gallery's gradient, where it is wanted.
    pub(super) fn of_gallery(
        &self,
        buffers: &mut Buffers<C::Buffer>,
        sums: &mut Sums<C::Buffer>,
        first: usize,
    ) -> Result<()> {
        let Some(out) = &mut sums.of_gallery else { return Ok(()) };
        let params = self.params(first);
        let (queries, factors) = (In::Tensor(self.soft.queries, 0), In::Buffer(&buffers.factors, 0));
        pad(self.chip, &mut buffers.scaled, queries, factors, self.dtype, params)?;
        let params = Params { flags: u32::from(first == 0), ..params };
        let down = self.columns.div_ceil(self.tiles.rows);
        let (exponents, scaled) = (In::Buffer(&buffers.exponents, 0), In::Buffer(&buffers.scaled, 0));
        match self.groups {
            None => self.start(
                (self.gradient("gallery"), [self.stride.div_ceil(self.narrow()), down, 1]),
                vec![out],
                vec![In::Buffer(&buffers.entries, 0), exponents, scaled],
                params,
            ),
            Some(groups) => GroupsLaunch {
                name: "of_gallery",
                variant: self.variant,
                tiles: self.stride.div_ceil(groups.wide) * down,
                outs: vec![out],
                ins: vec![exponents],
                maps: vec![
                    self.entries_map(&buffers.entries, first, BOX_WIDTH),
                    Map::new(scaled, self.rows_from(first), self.stride, BOX_WIDTH),
                ],
                params,
            }
            .start(self.chip, groups),
        }
    }

    /// What the waves found, as tensors.
    pub(super) fn found(&self, sums: Sums<C::Buffer>) -> Result<Found> {
        let gallery = sums.of_gallery.map(|sum| self.gallery_gradient(&sum, &sums.reference)).transpose()?;
        let side = (self.rows, self.width);
        Ok(Found {
            results: self.chip.tensor(sums.results, self.rows.into())?,
            queries: sums.of_queries.map(|b| self.chip.tensor(b, side.into())).transpose()?,
            gallery,
            reference: self.chip.tensor(sums.reference, self.rows.into())?,
        })
    }

    /// The gallery's gradient in the sides' type: its sums, and what the diagonal's entries give.
    fn gallery_gradient(&self, sum: &C::Buffer, reference: &C::Buffer) -> Result<candle_core::Tensor> {
        let mut out = self.chip.room(self.dtype, (self.columns * self.width).max(1))?;
        self.chip.launch(Launch {
            kernel: format!("npair_finish_{}", type_name(self.dtype)),
            grid: blocks_of_values(self.columns * self.width),
            threads: 256,
            shared: 0,
            outs: vec![&mut out],
            ins: vec![In::Buffer(sum, 0), In::Nothing, self.below(reference), In::Tensor(self.soft.queries, 0)],
            maps: vec![],
            params: Params {
                rows: self.columns as u32,
                width: self.width as u32,
                stride: self.stride as u32,
                line: self.columns as u32,
                parts: 1,
                ..Params::default()
            },
        })?;
        self.chip.tensor(out, (self.columns, self.width).into())
    }

    /// Columns of a gradient's tile. Wide tiles are there for 16-bit sides alone.
    fn narrow(&self) -> usize {
        let wide = self.width > self.tiles.narrow && self.dtype != DType::F32;
        if wide { self.tiles.wide } else { self.tiles.narrow }
    }

    /// The kernel of a side's gradient.
    fn gradient(&self, side: &str) -> String {
        format!("npair_of_{side}_{}_{}", self.variant, self.narrow())
    }

    /// Starts a kernel of tiles: its name and blocks.
    fn start(
        &self,
        (kernel, grid): (String, [usize; 3]),
        outs: Vec<&mut C::Buffer>,
        ins: Vec<In<C::Buffer>>,
        params: Params,
    ) -> Result<()> {
        let (threads, shared) = (self.tiles.threads, self.tiles.shared);
        self.chip.launch(Launch { kernel, grid, threads, shared, outs, ins, maps: vec![], params })
    }
}
