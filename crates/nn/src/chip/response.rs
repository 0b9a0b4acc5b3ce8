//! Local response norm.

use super::{Chip, In, Kernel, Launch, Params, THREADS, blocks, extents, params};
use crate::kernel::response::Response;
use candle_core::{Result, Tensor};

fn start(chip: &Chip, name: &'static str, norm: Response, x: &Tensor, ins: &[In<'_>]) -> Result<Tensor> {
    let (rows, columns) = extents(x);
    let (before, after) = norm.reach();
    let mut params = Params { before: before as u32, after: after as u32, ..params(rows, columns) };
    params.numbers[..3].copy_from_slice(&[norm.k as f32, (norm.alpha / norm.size as f64) as f32, norm.beta as f32]);
    let (kernel, mut out) = (Kernel::of(name, x.dtype()), chip.room_of(x.dtype(), x.elem_count())?);
    let (blocks, outs) = (blocks(x.elem_count(), 1), &mut [Some(&mut out)]);
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins, params })?;
    chip.tensor(out, x.shape())
}

/// `x_c / s_c^beta`.
pub(crate) fn forward(chip: &Chip, norm: Response, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    start(chip, "response", norm, &x, &[In::Tensor(&x)])
}

/// Its gradient.
pub(crate) fn backward(chip: &Chip, norm: Response, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (x, grad) = (x.contiguous()?, grad.contiguous()?);
    start(chip, "response_vjp", norm, &x, &[In::Tensor(&x), In::Tensor(&grad)])
}
