//! Maxima and means over windows.

use super::{Buffer, Chip, In, Kernel, Launch, Params, THREADS, blocks};
use crate::kernel::pool::Window;
use candle_core::{DType, Result, Tensor};

/// Taps of a window that a byte can number.
const TAPS: usize = 256;

/// Whether the kernels can count the places.
pub(crate) fn fits(w: &Window) -> bool {
    w.batch * w.pixels().max(w.map_pixels()) * w.channels < super::MOST
}

/// Whether they can number the taps, too.
pub(crate) fn takes(w: &Window) -> bool {
    w.kernel.0 * w.kernel.1 < TAPS && fits(w)
}

fn params(w: &Window) -> Params {
    Params {
        height: w.image.0 as u32,
        width: w.image.1 as u32,
        kernel_height: w.kernel.0 as u32,
        kernel_width: w.kernel.1 as u32,
        stride_height: w.stride.0 as u32,
        stride_width: w.stride.1 as u32,
        padding_height: w.padding.0 as u32,
        padding_width: w.padding.1 as u32,
        map_height: w.map.0 as u32,
        map_width: w.map.1 as u32,
        ..super::params(w.batch, w.channels)
    }
}

/// A kernel over as many values as it writes; `like` has the type of them all.
fn start(
    chip: &Chip,
    (name, like): (&'static str, &Tensor),
    values: usize,
    outs: &mut [Option<&mut Buffer>],
    ins: &[In<'_>],
    params: Params,
) -> Result<()> {
    let (kernel, each) = Kernel::by_four(name, like.dtype(), params.columns as usize, ins);
    let blocks = blocks(values, each);
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins, params })
}

/// Largest value of every window, and if wanted which tap it stood at, as bytes.
pub(crate) fn max(chip: &Chip, w: &Window, x: &Tensor, wanted: bool) -> Result<(Tensor, Option<Tensor>)> {
    let (x, values) = (x.contiguous()?, w.batch * w.map_pixels() * w.channels);
    let mut out = chip.room_of(x.dtype(), values)?;
    let mut taps = if wanted { Some(chip.room_of(DType::U8, values)?) } else { None };
    let outs = &mut [Some(&mut out), taps.as_mut()];
    start(chip, ("max_pool", &x), values, outs, &[In::Tensor(&x)], params(w))?;
    let shape = (w.batch, w.map.0, w.map.1, w.channels);
    let taps = taps.map(|taps| chip.tensor(taps, shape)).transpose()?;
    Ok((chip.tensor(out, shape)?, taps))
}

/// Its gradient.
pub(crate) fn max_vjp(chip: &Chip, w: &Window, taps: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    of_pixels(chip, ("max_pool_vjp", &grad), w, &[In::Tensor(taps), In::Tensor(&grad)], params(w))
}

fn of_pixels(
    chip: &Chip,
    (name, like): (&'static str, &Tensor),
    w: &Window,
    ins: &[In<'_>],
    params: Params,
) -> Result<Tensor> {
    let values = w.batch * w.pixels() * w.channels;
    let mut dx = chip.room_of(like.dtype(), values)?;
    start(chip, (name, like), values, &mut [Some(&mut dx)], ins, params)?;
    chip.tensor(dx, (w.batch, w.image.0, w.image.1, w.channels))
}

/// Mean of every window; of the padding too if that counts.
pub(crate) fn mean(chip: &Chip, w: &Window, count_padding: bool, x: &Tensor) -> Result<Tensor> {
    let (x, values) = (x.contiguous()?, w.batch * w.map_pixels() * w.channels);
    let mut out = chip.room_of(x.dtype(), values)?;
    let params = Params { flags: u32::from(count_padding), ..params(w) };
    start(chip, ("mean_pool", &x), values, &mut [Some(&mut out)], &[In::Tensor(&x)], params)?;
    chip.tensor(out, (w.batch, w.map.0, w.map.1, w.channels))
}

/// Its gradient.
pub(crate) fn mean_vjp(chip: &Chip, w: &Window, count_padding: bool, grad: &Tensor) -> Result<Tensor> {
    let (grad, params) = (grad.contiguous()?, Params { flags: u32::from(count_padding), ..params(w) });
    of_pixels(chip, ("mean_pool_vjp", &grad), w, &[In::Tensor(&grad)], params)
}
