//! Convolution: windows are gathered into a matrix, one gather and one product for each of the results.

use super::{like, pointwise, taps};
use crate::backend::Epilogue;
use crate::chip::{
    self,
    pointwise::{Tail, kind},
};
use crate::kernel::conv::Geometry;
use crate::precision::product;
use candle_core::{Result, Tensor};

/// Values that a matrix of windows has at most: a batch is cut into images for that. candle's kernels count in 32 bits, and
/// half a gigabyte of windows keeps any device busy.
const MOST: usize = if cfg!(test) { 1 << 12 } else { 1 << 27 };

/// Groups of images (first, number) whose windows, `each` values an image, fit.
fn pieces(batch: usize, each: usize) -> impl Iterator<Item = (usize, usize)> {
    let step = (MOST / each.max(1)).max(1);
    (0..batch).step_by(step).map(move |from| (from, step.min(batch - from)))
}

/// (images, pixels, groups x channels) as (groups, images, pixels, channels), in their order.
fn by_group(x: &Tensor, groups: usize) -> Result<Tensor> {
    let (images, pixels, channels) = x.dims3()?;
    if groups == 1 {
        return x.contiguous()?.reshape((1, images, pixels, channels));
    }
    x.reshape((images, pixels, groups, channels / groups))?.permute((2, 0, 1, 3))?.contiguous()
}

/// The reverse: (groups, rows, channels) to (rows, groups x channels).
fn together(x: &Tensor) -> Result<Tensor> {
    let (groups, rows, channels) = x.dims3()?;
    if groups == 1 {
        return x.reshape((rows, channels));
    }
    x.permute((1, 0, 2))?.reshape((rows, groups * channels))
}

/// (groups, windows, entries of a window) of images (groups, images, pixels, channels).
fn windows(g: &Geometry, x: &Tensor) -> Result<Tensor> {
    let (groups, images, pixels, channels) = x.dims4()?;
    if taps::are_pixels(g) {
        return x.reshape((groups, images * pixels, channels));
    }
    let ids = taps::windows(g, x.device())?;
    x.reshape((groups * images, pixels, channels))?.index_select(&ids, 1)?.reshape((
        groups,
        images * g.map_pixels(),
        g.patch(),
    ))
}

/// The weights (O, C / groups, kh, kw) as (groups, entries of a window, outputs of a group).
fn columns(g: &Geometry, w: &Tensor) -> Result<Tensor> {
    let taps = g.kernel.0 * g.kernel.1;
    let w = w.reshape((g.groups, g.group_outputs(), g.group_inputs(), taps))?;
    if taps == 1 {
        return w.squeeze(3)?.transpose(1, 2);
    }
    w.permute((0, 3, 2, 1))?.reshape((g.groups, g.patch(), g.group_outputs()))
}

fn flat(x: &Tensor, pixels: usize, channels: usize) -> Result<Tensor> {
    x.reshape((x.elem_count() / (pixels * channels), pixels, channels))
}

/// Whether a convolution, and the gradient of its input, is one product of what is there already, which the
/// host starts sooner than cuDNN's. The weights' gradient is a sum over all pixels, which cuDNN cuts into parts, and stays with it.
fn is_a_product(g: &Geometry) -> bool {
    taps::are_pixels(g) && g.groups == 1
}

/// Output maps (B, H', W', O).
pub(crate) fn forward(g: &Geometry, x: &Tensor, w: &Tensor, after: Epilogue) -> Result<Tensor> {
    let shape = (g.batch, g.map.0, g.map.1, g.outputs);
    // Kernels count in 32 bits.
    let chip = chip::of(x)?.filter(|_| g.batch * g.map_pixels() * g.outputs < chip::MOST);
    let tail = Tail { bias: after.bias, plus: after.plus, kind: kind(after.activation), ..Tail::default() };
    if let Some(chip) = chip.as_ref().filter(|_| !is_a_product(g))
        && let Some(mut maps) = chip::conv::forward(chip, g, x, w)?
    {
        Tail { scale: after.scale, ..tail }.in_place(
            chip,
            &mut maps,
            x.dtype(),
            (g.batch * g.map_pixels(), g.outputs),
        )?;
        return chip.tensor(maps, shape);
    }
    let w = like(w, x)?;
    let scaled = match after.scale {
        Some(scale) => w.broadcast_mul(&like(scale, x)?.reshape((g.outputs, 1, 1, 1))?)?,
        None => w,
    };
    let (w, x) = (columns(g, &scaled)?, flat(x, g.pixels(), g.inputs)?);
    let mut parts = Vec::new();
    for (from, count) in pieces(g.batch, g.map_pixels() * g.patch() * g.groups) {
        let windows = windows(g, &by_group(&x.narrow(0, from, count)?, g.groups)?)?;
        parts.push(together(&product(&windows, &w)?)?);
    }
    if parts.is_empty() {
        return Tensor::zeros(shape, x.dtype(), x.device());
    }
    let mut out = Tensor::cat(&parts, 0)?.reshape(shape)?;
    if let Some(chip) = &chip {
        return tail.of(chip, &out);
    }
    if let Some(bias) = after.bias {
        out = out.broadcast_add(&bias.detach())?;
    }
    if let Some(plus) = after.plus {
        out = out.add(plus)?;
    }
    pointwise::activate(after.activation, &out)
}

/// Gradient of the weights from that of the maps.
pub(crate) fn weight_gradient(g: &Geometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)?
        && let Some(found) = chip::conv::weight_gradient(&chip, g, x, grad)?
    {
        return Ok(found);
    }
    let (x, grad) = (flat(x, g.pixels(), g.inputs)?, flat(grad, g.map_pixels(), g.outputs)?);
    let mut sum: Option<Tensor> = None;
    for (from, count) in pieces(g.batch, g.map_pixels() * g.patch() * g.groups) {
        let windows = windows(g, &by_group(&x.narrow(0, from, count)?, g.groups)?)?;
        let grad = by_group(&grad.narrow(0, from, count)?, g.groups)?.flatten(1, 2)?;
        let part = product(&windows.transpose(1, 2)?, &grad)?;
        sum = Some(match sum {
            None => part,
            Some(sum) => sum.add(&part)?,
        });
    }
    let shape = (g.outputs, g.group_inputs(), g.kernel.0, g.kernel.1);
    let Some(sum) = sum else { return Tensor::zeros(shape, x.dtype(), x.device()) };
    let taps = g.kernel.0 * g.kernel.1;
    sum.reshape((g.groups, taps, g.group_inputs(), g.group_outputs()))?.permute((0, 3, 2, 1))?.reshape(shape)
}

/// Gradient of the input from that of the maps, (B, H, W, C).
pub(crate) fn input_gradient(g: &Geometry, w: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(grad)?.filter(|_| !is_a_product(g))
        && let Some(found) = chip::conv::input_gradient(&chip, g, w, grad)?
    {
        return Ok(found);
    }
    let shape = (g.batch, g.image.0, g.image.1, g.inputs);
    let grad = flat(grad, g.map_pixels(), g.outputs)?;
    let taps = g.kernel.0 * g.kernel.1;
    // (groups, taps, outputs of a group, inputs of a group)
    let w = like(w, &grad)?.reshape((g.groups, g.group_outputs(), g.group_inputs(), taps))?;
    let w = w.permute((0, 3, 1, 2))?.contiguous()?;
    let mut parts = Vec::new();
    for (from, count) in pieces(g.batch, g.pixels() * taps.div_ceil(g.stride.0 * g.stride.1) * g.outputs) {
        parts.push(piece_of_input(g, &w, &by_group(&grad.narrow(0, from, count)?, g.groups)?)?);
    }
    if parts.is_empty() {
        return Tensor::zeros(shape, grad.dtype(), grad.device());
    }
    Tensor::cat(&parts, 0)?.reshape(shape)
}

/// The same of some images: (groups, images, map pixels, channels) to (images x pixels, channels).
fn piece_of_input(g: &Geometry, w: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (groups, images, pixels, outputs) = grad.dims4()?;
    let (inputs, of) = (g.group_inputs(), grad.reshape((groups * images, pixels, outputs))?);
    if taps::are_pixels(g) {
        return together(&product(&of.reshape((groups, images * pixels, outputs))?, &w.squeeze(1)?)?);
    }
    let (phases, order) = taps::phases(g, grad.device())?;
    let mut parts = Vec::new();
    for phase in phases {
        let windows = of.index_select(&phase.windows, 1)?;
        let windows = windows.reshape((groups, images * phase.pixels, phase.taps * outputs))?;
        let w = match &phase.chosen {
            Some(taps) => w.index_select(taps, 1)?,
            None => w.clone(),
        };
        let made = product(&windows, &w.reshape((groups, phase.taps * outputs, inputs))?)?;
        parts.push(made.reshape((groups * images, phase.pixels, inputs))?);
    }
    if parts.is_empty() {
        return Tensor::zeros((images * g.pixels(), g.inputs), grad.dtype(), grad.device());
    }
    let mut all = Tensor::cat(&parts, 1)?;
    if let Some(order) = order {
        all = all.index_select(&order, 1)?;
    }
    together(&all.reshape((groups, images * g.pixels(), inputs))?)
}
