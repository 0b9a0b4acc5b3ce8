//! Sums over the rows of a matrix: parts by many blocks, then the parts in a fixed order.

use super::{Buffer, Chip, In, Kernel, Launch, Params, THREADS, extents, params};
use candle_core::{Result, Tensor};

/// Blocks that keep a device busy.
const BUSY: usize = 1024;

/// Both sums of every part, and what a kernel that adds up the parts is told.
pub(super) struct Parts {
    pub(super) sums: Buffer,
    pub(super) params: Params,
}

/// What is summed: a gradient, and its products.
#[derive(Default)]
pub(super) struct Summands<'a> {
    /// Of the activation that the gradient is first led back through, and what shows its slope.
    pub(super) kind: u32,
    pub(super) shown: Option<&'a Tensor>,
    /// What the gradient is multiplied by, less a number per channel, or normalized by numbers per row.
    pub(super) along: Option<&'a Tensor>,
    pub(super) center: Option<&'a Tensor>,
    pub(super) rows: Option<[&'a Tensor; 2]>,
}

/// How the blocks share a matrix.
fn shared_out(rows: usize, columns: usize, wide: usize) -> (Params, [usize; 2]) {
    let across = columns.div_ceil(wide).next_power_of_two().min(32);
    let (tiles, slots) = (columns.div_ceil(across * wide), THREADS / across);
    // Some rows for every thread, or a block would do little but begin and end.
    let parts = (BUSY / tiles).clamp(1, rows.div_ceil(8 * slots)).min(1 << 15);
    let share = rows.div_ceil(parts);
    let parts = rows.div_ceil(share);
    let made = Params { parts: parts as u32, share: share as u32, across: across as u32, ..params(rows, columns) };
    (made, [tiles, parts])
}

/// Starts a kernel that writes both sums of every part, and perhaps a second result; the moments have none.
fn by_parts(
    chip: &Chip,
    (kernel, wide): (Kernel, usize),
    blocks: [usize; 2],
    ins: &[In<'_>],
    params: Params,
    keeps: Option<Option<&mut Buffer>>,
) -> Result<Parts> {
    let mut sums = chip.room(2 * params.parts as usize * params.columns as usize)?;
    let mut outs = vec![Some(&mut sums)];
    outs.extend(keeps);
    let (shared, outs) = (THREADS * 8 * wide, &mut outs);
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared, places: &[], outs, ins, params })?;
    Ok(Parts { sums, params })
}

/// Sums of a gradient and of its products, by parts; with `keeps` also the gradient in front of the activation.
pub(super) fn of_gradient(chip: &Chip, grad: &Tensor, of: Summands<'_>, keeps: Option<&mut Buffer>) -> Result<Parts> {
    let (rows, columns) = extents(grad);
    let [mean, inverse] = of.rows.map_or([In::Nothing; 2], |rows| rows.map(In::Tensor));
    let ins = [grad.into(), of.shown.into(), of.along.into(), of.center.into(), mean, inverse];
    let (kernel, wide) = Kernel::by_four("sums", grad.dtype(), columns, &ins);
    let (mut params, blocks) = shared_out(rows, columns, wide);
    params.kind = of.kind;
    by_parts(chip, (kernel, wide), blocks, &ins, params, Some(keeps))
}

/// Sums of a matrix and of its squares, less its first row.
pub(super) fn of_moments(chip: &Chip, x: &Tensor) -> Result<Parts> {
    let (rows, columns) = extents(x);
    let ins = [x.into()];
    let (kernel, wide) = Kernel::by_four("moments", x.dtype(), columns, &ins);
    let (params, blocks) = shared_out(rows, columns, wide);
    by_parts(chip, (kernel, wide), blocks, &ins, params, None)
}

/// Starts a kernel that adds up the parts of every channel.
pub(super) fn whole(
    chip: &Chip,
    kernel: Kernel,
    parts: &Parts,
    outs: &mut [Option<&mut Buffer>],
    more: &[In<'_>],
    params: Params,
) -> Result<()> {
    let ins: Vec<In<'_>> = std::iter::once(In::Buffer(&parts.sums)).chain(more.iter().copied()).collect();
    let blocks = [(params.columns as usize).div_ceil(8), 1];
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: THREADS * 16, places: &[], outs, ins: &ins, params })
}

/// Sum of every channel, (C), in f32.
pub(crate) fn plain(chip: &Chip, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let parts = of_gradient(chip, &x, Summands::default(), None)?;
    first(chip, &parts)
}

/// The first of both sums of every channel.
pub(super) fn first(chip: &Chip, parts: &Parts) -> Result<Tensor> {
    let columns = parts.params.columns as usize;
    let mut out = chip.room(columns)?;
    whole(chip, Kernel::only("whole_sums"), parts, &mut [Some(&mut out), None], &[], parts.params)?;
    chip.tensor(out, columns)
}

/// The second.
pub(super) fn second(chip: &Chip, parts: &Parts) -> Result<Tensor> {
    let columns = parts.params.columns as usize;
    let mut out = chip.room(columns)?;
    whole(chip, Kernel::only("whole_sums"), parts, &mut [None, Some(&mut out)], &[], parts.params)?;
    chip.tensor(out, columns)
}

/// Sum of every channel of the entrywise product, (C), in f32.
pub(crate) fn products(chip: &Chip, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    second(chip, &of_gradient(chip, &a, Summands { along: Some(&b), ..Summands::default() }, None)?)
}
