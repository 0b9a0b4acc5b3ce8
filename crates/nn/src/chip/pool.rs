//! Maxima and means over windows.

use super::{Buffer, Chip, In, Launch, Params, THREADS, blocks, by_four};
use crate::kernel::pool::Window;
use candle_core::{DType, Result, Tensor};

/// Taps of a window that a byte can number.
const TAPS: usize = 256;

/// Whether the kernels know such windows.
pub(crate) fn takes(w: &Window) -> bool {
    w.kernel.0 * w.kernel.1 < TAPS && w.batch * w.pixels().max(w.map_pixels()) * w.channels < super::MOST
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

fn start(
    chip: &Chip,
    kernels: [&'static str; 2],
    values: usize,
    outs: &mut [Option<&mut Buffer>],
    ins: &[In<'_>],
    params: Params,
) -> Result<()> {
    let (kernel, wide) = by_four(params.columns as usize, ins, kernels);
    chip.launch(Launch {
        kernel,
        blocks: blocks(values, wide),
        threads: THREADS,
        shared: 0,
        places: &[],
        outs,
        ins,
        params,
    })
}

/// Largest value of every window, and if wanted which tap it stood at, as bytes.
pub(crate) fn max(chip: &Chip, w: &Window, x: &Tensor, wanted: bool) -> Result<(Tensor, Option<Tensor>)> {
    let (x, values) = (x.contiguous()?, w.batch * w.map_pixels() * w.channels);
    let mut out = chip.room(values)?;
    let mut taps = if wanted { Some(chip.room_of(DType::U8, values)?) } else { None };
    let outs = &mut [Some(&mut out), taps.as_mut()];
    start(chip, ["npair_max_pool_1", "npair_max_pool_4"], values, outs, &[In::Tensor(&x)], params(w))?;
    let shape = (w.batch, w.map.0, w.map.1, w.channels);
    let taps = taps.map(|taps| chip.tensor(taps, shape)).transpose()?;
    Ok((chip.tensor(out, shape)?, taps))
}

/// Its gradient.
pub(crate) fn max_vjp(chip: &Chip, w: &Window, taps: &Tensor, grad: &Tensor) -> Result<Tensor> {
    of_pixels(
        chip,
        ["npair_max_pool_vjp_1", "npair_max_pool_vjp_4"],
        w,
        &[In::Tensor(taps), In::Tensor(&grad.contiguous()?)],
        params(w),
    )
}

fn of_pixels(chip: &Chip, kernels: [&'static str; 2], w: &Window, ins: &[In<'_>], params: Params) -> Result<Tensor> {
    let values = w.batch * w.pixels() * w.channels;
    let mut dx = chip.room(values)?;
    start(chip, kernels, values, &mut [Some(&mut dx)], ins, params)?;
    chip.tensor(dx, (w.batch, w.image.0, w.image.1, w.channels))
}

/// Mean of every window; of the padding too if that counts.
pub(crate) fn mean(chip: &Chip, w: &Window, count_padding: bool, x: &Tensor) -> Result<Tensor> {
    let (x, values) = (x.contiguous()?, w.batch * w.map_pixels() * w.channels);
    let mut out = chip.room(values)?;
    let params = Params { flags: u32::from(count_padding), ..params(w) };
    start(chip, ["npair_mean_pool_1", "npair_mean_pool_4"], values, &mut [Some(&mut out)], &[In::Tensor(&x)], params)?;
    chip.tensor(out, (w.batch, w.map.0, w.map.1, w.channels))
}

/// Its gradient.
pub(crate) fn mean_vjp(chip: &Chip, w: &Window, count_padding: bool, grad: &Tensor) -> Result<Tensor> {
    let params = Params { flags: u32::from(count_padding), ..params(w) };
    of_pixels(chip, ["npair_mean_pool_vjp_1", "npair_mean_pool_vjp_4"], w, &[In::Tensor(&grad.contiguous()?)], params)
}
