//! Soft-max and layer norm: a warp for every row.

use super::sums::{self, Summands};
use super::{Buffer, Chip, In, Kernel, Launch, Params, THREADS, extents, params};
use crate::backend::LayerNormVjp;
use candle_core::{Result, Tensor};

fn start(chip: &Chip, kernel: Kernel, outs: &mut [Option<&mut Buffer>], ins: &[In<'_>], params: Params) -> Result<()> {
    let blocks = [(params.rows as usize).div_ceil(THREADS / 32), 1];
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins, params })
}

/// Soft-max of `factor` times every row.
pub(crate) fn softmax(chip: &Chip, x: &Tensor, factor: f64) -> Result<Tensor> {
    let x = x.contiguous()?;
    let mut out = chip.room_of(x.dtype(), x.elem_count())?;
    start(chip, Kernel::of("softmax", x.dtype()), &mut [Some(&mut out)], &[In::Tensor(&x)], scaled(&x, factor))?;
    chip.tensor(out, x.shape())
}

/// Its gradient, from its result.
pub(crate) fn softmax_vjp(chip: &Chip, out: &Tensor, grad: &Tensor, factor: f64) -> Result<Tensor> {
    let (out, grad) = (out.contiguous()?, grad.contiguous()?);
    let mut dx = chip.room_of(out.dtype(), out.elem_count())?;
    let ins = [In::Tensor(&out), In::Tensor(&grad)];
    start(chip, Kernel::of("softmax_vjp", out.dtype()), &mut [Some(&mut dx)], &ins, scaled(&out, factor))?;
    chip.tensor(dx, out.shape())
}

fn scaled(x: &Tensor, factor: f64) -> Params {
    let (rows, columns) = extents(x);
    let mut made = params(rows, columns);
    made.numbers[0] = factor as f32;
    made
}

/// What the gradients of a layer norm need.
pub(crate) struct Normalized {
    chip: Chip,
    x: Tensor,
    gamma: Tensor,
    mean: Tensor,
    inverse: Tensor,
}

/// `(x - mean) / sqrt(variance + epsilon) gamma + beta` of every row.
pub(crate) fn normalize(
    chip: &Chip,
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, Normalized)> {
    let (x, gamma, beta) = (x.contiguous()?, gamma.detach().contiguous()?, beta.detach().contiguous()?);
    let (rows, _) = extents(&x);
    let (mut out, mut mean, mut inverse) =
        (chip.room_of(x.dtype(), x.elem_count())?, chip.room(rows)?, chip.room(rows)?);
    let ins = [In::Tensor(&x), In::Tensor(&gamma), In::Tensor(&beta)];
    let outs = &mut [Some(&mut out), Some(&mut mean), Some(&mut inverse)];
    start(chip, Kernel::of("layer_norm", x.dtype()), outs, &ins, scaled(&x, epsilon))?;
    let (out, mean, inverse) = (chip.tensor(out, x.shape())?, chip.tensor(mean, rows)?, chip.tensor(inverse, rows)?);
    Ok((out, Normalized { chip: chip.clone(), x, gamma, mean, inverse }))
}

impl LayerNormVjp for Normalized {
    fn weight(&self, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        let of = Summands { along: Some(&self.x), rows: Some([&self.mean, &self.inverse]), ..Summands::default() };
        sums::second(&self.chip, &sums::of_gradient(&self.chip, &grad, of, None)?)
    }

    fn input(&self, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        let mut dx = self.chip.room_of(grad.dtype(), grad.elem_count())?;
        let ins = [&grad, &self.x, &self.gamma, &self.mean, &self.inverse].map(In::Tensor);
        let (rows, columns) = extents(&self.x);
        start(
            &self.chip,
            Kernel::of("layer_norm_vjp", grad.dtype()),
            &mut [Some(&mut dx)],
            &ins,
            params(rows, columns),
        )?;
        self.chip.tensor(dx, grad.shape())
    }
}
