//! The nearest and the farthest entry of every row under a mask: hardest negatives and positives.

use super::params::Params;
use super::search::{Search, fill};
use super::{Chip, GroupsLaunch, In, Launch, Map, MaskBuffers, Side};
use candle_core::{DType, Result, Tensor, bail};

/// One entry of every row of the matrix, on the device of its sides.
#[derive(Debug, Clone)]
pub struct Extremes {
    /// Its similarity (Q): f32, or f64 for sides of f64; minus infinity where the mask leaves none, a NaN
    /// where an entry of the row is no finite number.
    pub similarity: Tensor,
    /// Its place in the gallery (Q), u32; `u32::MAX` where the similarity is none. The first of equally near ones.
    pub places: Tensor,
}

/// Set for the farthest.
const FARTHEST: u32 = 1;

impl Search<'_> {
    /// The nearest of every query under the mask, or the farthest.
    pub(crate) fn extremes<C: Chip>(&self, chip: &C, farthest: bool) -> Result<Extremes> {
        let ((rows, width), (columns, dtype)) = (self.queries.dims2()?, (self.gallery.dim(0)?, self.queries.dtype()));
        let Some(variant) = chip.variant(dtype, self.precision) else { bail!("npair: no kernels for {dtype:?}") };
        let (tiles, stride) = (chip.tiles(), width.next_multiple_of(super::ALIGNED));
        if rows.max(columns) >= 1 << 31 || rows.div_ceil(tiles.rows) > 65_535 {
            bail!("npair: {rows} x {columns} rows are more than a kernel can count");
        }
        let mask = MaskBuffers::new(chip, self.mask)?;
        let (queries, gallery) = (Side::new(chip, self.queries)?, Side::new(chip, self.gallery)?);
        let mut best = chip.room(DType::I64, rows)?;
        let (mut similarity, mut places) = (chip.room(DType::F32, rows)?, chip.room(DType::U32, rows)?);
        fill(chip, &mut best, 2 * rows, 0)?;
        let params = Params {
            rows: rows as u32,
            columns: columns as u32,
            width: width as u32,
            stride: stride as u32,
            mask: mask.number,
            scale: self.terms.scale,
            flags: if farthest { FARTHEST } else { 0 },
            ..Params::default()
        };
        let ([row_terms, column_terms], [row_classes, column_classes]) = (self.terms.ins(), mask.ins());
        let (across, down) = (columns.div_ceil(tiles.columns), rows.div_ceil(tiles.rows));
        let marks = [row_terms, column_terms, row_classes, column_classes];
        let outs = vec![&mut best];
        match chip.groups(dtype, width) {
            None => chip.launch(Launch {
                kernel: format!("npair_extremes_{variant}"),
                grid: [across.min(tiles.beside), down, 1],
                threads: tiles.threads,
                shared: tiles.shared,
                outs,
                ins: [&[queries.from(0), gallery.from(0)], &marks[..]].concat(),
                maps: vec![],
                params,
            })?,
            Some(groups) => {
                let maps = vec![
                    Map::new(queries.from(0), rows, stride, tiles.rows),
                    Map::new(gallery.from(0), columns, stride, tiles.columns),
                ];
                let (name, tiles, ins) = ("extremes", across * down, marks.to_vec());
                GroupsLaunch { name, variant, tiles, outs, ins, maps, params }.start(chip, groups)?;
            }
        }
        chip.launch(Launch {
            kernel: "npair_of_keys".to_owned(),
            grid: [rows.div_ceil(256), 1, 1],
            threads: 256,
            shared: 0,
            outs: vec![&mut similarity, &mut places],
            ins: vec![In::Buffer(&best, 0)],
            maps: vec![],
            params,
        })?;
        Ok(Extremes { similarity: chip.tensor(similarity, rows.into())?, places: chip.tensor(places, rows.into())? })
    }
}
