//! What is done to every value, and to every channel.

use super::sums::{self, Summands};
use super::{Buffer, Chip, In, Kernel, Launch, Params, THREADS, blocks, extents, params};
use crate::kernel::activation::Activation;
use candle_core::{DType, Result, Tensor};

pub(crate) use super::sums::{plain as sum_rows, products as sum_products};

/// The number that kernels know the exact GELU by.
pub(crate) const GELU: u32 = 7;

/// The number that kernels know an activation by.
pub(crate) fn kind(activation: Activation) -> u32 {
    match activation {
        Activation::None => 0,
        Activation::Relu => 1,
        Activation::Relu6 => 2,
        Activation::HardSwish => 3,
        Activation::HardSigmoid => 4,
        Activation::QuickGelu => 5,
        Activation::TanhGelu => 6,
    }
}

/// What a tail does to every value: less `center`, times `scale`, plus `bias` (of its channel), plus `plus`, then the activation.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tail<'a> {
    pub(crate) center: Option<&'a Tensor>,
    pub(crate) scale: Option<&'a Tensor>,
    pub(crate) bias: Option<&'a Tensor>,
    pub(crate) plus: Option<&'a Tensor>,
    pub(crate) kind: u32,
}

impl Tail<'_> {
    /// Of a tensor.
    pub(crate) fn of(&self, chip: &Chip, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        if self.is_nothing() {
            return Ok(x);
        }
        let mut out = chip.room_of(x.dtype(), x.elem_count())?;
        self.start(chip, &mut out, x.dtype(), In::Tensor(&x), extents(&x))?;
        chip.tensor(out, x.shape())
    }

    /// Of what was just written, in its place.
    pub(crate) fn in_place(
        &self,
        chip: &Chip,
        values: &mut Buffer,
        dtype: DType,
        extents: (usize, usize),
    ) -> Result<()> {
        if self.is_nothing() { Ok(()) } else { self.start(chip, values, dtype, In::Nothing, extents) }
    }

    fn is_nothing(&self) -> bool {
        [self.center, self.scale, self.bias, self.plus].iter().all(Option::is_none) && self.kind == 0
    }

    pub(super) fn start(
        &self,
        chip: &Chip,
        out: &mut Buffer,
        dtype: DType,
        x: In<'_>,
        (rows, columns): (usize, usize),
    ) -> Result<()> {
        let detached = |t: Option<&Tensor>| t.map(|t| t.detach().contiguous()).transpose();
        let own = [detached(self.center)?, detached(self.scale)?, detached(self.bias)?, detached(self.plus)?];
        let [center, scale, bias, plus] = [0, 1, 2, 3].map(|at| In::from(own[at].as_ref()));
        let ins = [x, center, scale, bias, plus];
        let (kernel, wide) = Kernel::by_four("tail", dtype, columns, &ins);
        let params = Params { kind: self.kind, ..params(rows, columns) };
        let blocks = blocks(rows * columns, wide);
        chip.launch(Launch {
            kernel,
            blocks,
            threads: THREADS,
            shared: 0,
            places: &[],
            outs: &mut [Some(out)],
            ins: &ins,
            params,
        })
    }
}

/// An activation of every value.
pub(crate) fn activate(chip: &Chip, kind: u32, x: &Tensor) -> Result<Tensor> {
    Tail { kind, ..Tail::default() }.of(chip, x)
}

/// A gradient led back through it.
pub(crate) fn activate_vjp(chip: &Chip, kind: u32, shown: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (shown, grad) = (shown.contiguous()?, grad.contiguous()?);
    let (rows, columns) = extents(&grad);
    let mut out = chip.room_of(grad.dtype(), grad.elem_count())?;
    let ins = [In::Tensor(&shown), In::Tensor(&grad)];
    let (kernel, wide) = Kernel::by_four("act_vjp", grad.dtype(), columns, &ins);
    let params = Params { kind, ..params(rows, columns) };
    let (blocks, outs) = (blocks(rows * columns, wide), &mut [Some(&mut out)]);
    chip.launch(Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs, ins: &ins, params })?;
    chip.tensor(out, grad.shape())
}

/// The same, and the sum of every channel.
pub(crate) fn activate_vjp_and_sum(chip: &Chip, kind: u32, shown: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    let (shown, grad) = (shown.contiguous()?, grad.contiguous()?);
    let mut kept = chip.room_of(grad.dtype(), grad.elem_count())?;
    let of = Summands { kind, shown: Some(&shown), ..Summands::default() };
    let parts = sums::of_gradient(chip, &grad, of, Some(&mut kept))?;
    Ok((chip.tensor(kept, grad.shape())?, sums::first(chip, &parts)?))
}
