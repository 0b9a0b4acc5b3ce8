//! Where values stand: transposes, columns, heads of attention.

use super::{Chip, In, Kernel, Launch, Params, THREADS, blocks, extents, params};
use crate::kernel::attention::Heads;
use candle_core::{DType, Result, Shape, Tensor};

/// The transpose of each of the matrices (rows, columns) that stand one after the other, in a shape.
pub(crate) fn transposed(
    chip: &Chip,
    x: &Tensor,
    (rows, columns): (usize, usize),
    shape: impl Into<Shape>,
) -> Result<Tensor> {
    let x = x.contiguous()?;
    let params = Params { parts: (x.elem_count() / (rows * columns)) as u32, ..params(rows, columns) };
    let mut out = chip.room_of(x.dtype(), x.elem_count())?;
    let (blocks, outs, ins) = (blocks(x.elem_count(), 1), &mut [Some(&mut out)], &[In::Tensor(&x)]);
    let kernel = Kernel::of("transposed", x.dtype());
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins, params })?;
    chip.tensor(out, shape)
}

/// Four at a time, where lines and places allow it.
fn lines(name: &'static str, dtype: DType, wide: [usize; 3], ins: &[In<'_>]) -> (Kernel, usize) {
    Kernel::by_four(name, dtype, if wide.iter().all(|n| n.is_multiple_of(4)) { 4 } else { 1 }, ins)
}

/// Entries `from..from + columns` of the last axis.
pub(crate) fn columns(chip: &Chip, x: &Tensor, from: usize, columns: usize) -> Result<Tensor> {
    let x = x.contiguous()?;
    let (rows, width) = extents(&x);
    let ins = [In::Tensor(&x)];
    let (kernel, each) = lines("columns", x.dtype(), [width, from, columns], &ins);
    let params = Params { width: width as u32, before: from as u32, ..params(rows, columns) };
    let mut out = chip.room_of(x.dtype(), rows * columns)?;
    let (blocks, outs) = (blocks(rows * columns, each), &mut [Some(&mut out)]);
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
    let mut shape = x.dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = columns;
    }
    chip.tensor(out, shape)
}

/// Values side by side along the last axis.
pub(crate) fn concat(chip: &Chip, parts: &[&Tensor]) -> Result<Tensor> {
    let widths: Vec<usize> = parts.iter().map(|part| extents(part).1).collect();
    let (rows, width) = (extents(parts[0]).0, widths.iter().sum::<usize>());
    let mut out = chip.room_of(parts[0].dtype(), rows * width)?;
    let mut before = 0;
    for (part, &columns) in parts.iter().zip(&widths) {
        let part = part.contiguous()?;
        let ins = [In::Tensor(&part)];
        let (kernel, each) = lines("beside", part.dtype(), [width, before, columns], &ins);
        let params = Params { width: width as u32, before: before as u32, ..params(rows, columns) };
        let (blocks, outs) = (blocks(rows * columns, each), &mut [Some(&mut out)]);
        chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
        before += columns;
    }
    let mut shape = parts[0].dims().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = width;
    }
    chip.tensor(out, shape)
}

fn of_heads(heads: Heads, kinds: usize) -> Params {
    let Heads { batch, tokens, heads, width } = heads;
    let of = params(kinds * batch * heads * tokens, width);
    Params { parts: kinds as u32, before: heads as u32, height: tokens as u32, ..of }
}

/// (B, T, kinds, heads, width) as (kinds, B heads, T, width).
pub(crate) fn split_heads(chip: &Chip, heads: Heads, kinds: usize, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let ins = [In::Tensor(&x)];
    let (kernel, each) = Kernel::by_four("heads", x.dtype(), heads.width, &ins);
    let mut out = chip.room_of(x.dtype(), x.elem_count())?;
    let (blocks, outs, params) = (blocks(x.elem_count(), each), &mut [Some(&mut out)], of_heads(heads, kinds));
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
    chip.tensor(out, (kinds, heads.batch * heads.heads, heads.tokens, heads.width))
}

/// (B heads, T, width) of every kind, one or three, as (B, T, kinds heads width).
pub(crate) fn join_heads(chip: &Chip, heads: Heads, kinds: &[&Tensor]) -> Result<Tensor> {
    let own = kinds.iter().map(|kind| kind.contiguous()).collect::<Result<Vec<_>>>()?;
    let ins: Vec<In<'_>> = (0..3).map(|at| own.get(at).map_or(In::Nothing, In::Tensor)).collect();
    let (kernel, each) = Kernel::by_four("joined_heads", kinds[0].dtype(), heads.width, &ins);
    let values = kinds.len() * kinds[0].elem_count();
    let mut out = chip.room_of(kinds[0].dtype(), values)?;
    let (blocks, outs, params) = (blocks(values, each), &mut [Some(&mut out)], of_heads(heads, kinds.len()));
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
    chip.tensor(out, (heads.batch, heads.tokens, kinds.len() * heads.heads * heads.width))
}
