//! Maxima and means over windows of images (B, H, W, C).

use super::table::{self, Key, NOTHING};
use crate::chip;
use crate::kernel::adaptive::{self, Adaptive};
use crate::kernel::pool::Window;
use candle_core::{DType, Device, Result, Tensor};

fn key(what: &'static str, w: &Window, more: usize) -> Key {
    let pairs = [w.image, w.kernel, w.stride, w.padding, w.map];
    let mut extents: Vec<usize> = pairs.iter().flat_map(|p| [p.0, p.1]).collect();
    extents.push(more);
    Key::new(what, &extents)
}

/// The pixels of all windows, tap by tap: (taps, windows). What lies outside is the first pixel of the window once more,
/// which changes no maximum.
fn pixels(w: &Window, device: &Device) -> Result<Tensor> {
    table::indices(key("pool pixels", w, 0), device, || {
        let mut made = Vec::with_capacity(w.kernel.0 * w.kernel.1 * w.map_pixels());
        for tap in 0..w.kernel.0 * w.kernel.1 {
            for window in 0..w.map_pixels() {
                let (i, j) = (window / w.map.1, window % w.map.1);
                let (rows, columns) = w.of(i, j);
                let y = (i * w.stride.0 + tap / w.kernel.1).checked_sub(w.padding.0).filter(|y| *y < rows.1);
                let x = (j * w.stride.1 + tap % w.kernel.1).checked_sub(w.padding.1).filter(|x| *x < columns.1);
                let (y, x) = y.zip(x).unwrap_or((rows.0, columns.0));
                made.push((y * w.image.1 + x) as u32);
            }
        }
        made
    })
}

/// The windows that every pixel lies in: (n, pixels), and n, the most that one lies in.
fn over(w: &Window, device: &Device) -> Result<(Tensor, usize)> {
    let along = |extent: usize, kernel: usize, stride: usize, padding: usize, map: usize| -> Vec<Vec<usize>> {
        (0..extent)
            .map(|at| Window::over(at, kernel, stride, padding, map).into_iter().map(|o| o.0).collect())
            .collect()
    };
    let rows = along(w.image.0, w.kernel.0, w.stride.0, w.padding.0, w.map.0);
    let columns = along(w.image.1, w.kernel.1, w.stride.1, w.padding.1, w.map.1);
    let most = |v: &[Vec<usize>]| v.iter().map(Vec::len).max().unwrap_or(0);
    let (down, across) = (most(&rows), most(&columns));
    let ids = table::indices(key("pool windows", w, 0), device, || {
        let mut made = Vec::with_capacity(down * across * w.pixels());
        for slot in 0..down * across {
            for pixel in 0..w.pixels() {
                let row = rows[pixel / w.image.1].get(slot / across);
                let column = columns[pixel % w.image.1].get(slot % across);
                made.push(row.zip(column).map_or(NOTHING, |(i, j)| (i * w.map.1 + j) as u32));
            }
        }
        made
    })?;
    Ok((ids, down * across))
}

/// Largest value of every window, (B, H', W', C), and with `wanted` the pixel that it stood at, (B, windows, C), or from kernels of
/// ours its tap, as a byte: the first of several; a NaN counts as larger than everything.
pub(crate) fn max(w: &Window, x: &Tensor, wanted: bool) -> Result<(Tensor, Option<Tensor>)> {
    if let Some(chip) = chip::of(x)?.filter(|_| chip::pool::takes(w)) {
        return chip::pool::max(&chip, w, x, wanted);
    }
    let (windows, c) = (w.map_pixels(), w.channels);
    let x = x.reshape((w.batch, w.pixels(), c))?;
    let all = pixels(w, x.device())?;
    let tap = |at: usize| all.narrow(0, at * windows, windows);
    let index = |ids: &Tensor| ids.reshape((1, windows, 1))?.broadcast_as((w.batch, windows, c));
    let mut out = x.index_select(&tap(0)?, 1)?;
    let mut indices = if wanted { Some(index(&tap(0)?)?.contiguous()?) } else { None };
    for at in 1..w.kernel.0 * w.kernel.1 {
        let ids = tap(at)?;
        let values = x.index_select(&ids, 1)?;
        // At most one of the two.
        let better = values.gt(&out)?.add(&values.ne(&values)?)?;
        indices = indices.map(|old| better.where_cond(&index(&ids)?, &old)).transpose()?;
        out = better.where_cond(&values, &out)?;
    }
    Ok((out.reshape((w.batch, w.map.0, w.map.1, c))?, indices))
}

/// Gradient of [`max`]: every pixel asks the windows that it lies in whether it was their maximum.
pub(crate) fn max_gradient(w: &Window, indices: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(grad)?.filter(|_| indices.dtype() == DType::U8) {
        return chip::pool::max_vjp(&chip, w, indices, grad);
    }
    let (pixels, c) = (w.pixels(), w.channels);
    let shape = (w.batch, w.image.0, w.image.1, c);
    let grad = grad.reshape((w.batch, w.map_pixels(), c))?;
    let (all, slots) = over(w, grad.device())?;
    let here = table::indices(Key::new("count", &[pixels]), grad.device(), || (0..pixels as u32).collect())?;
    let here = here.reshape((1, pixels, 1))?;
    let zero = Tensor::zeros((w.batch, pixels, c), grad.dtype(), grad.device())?;
    let mut sum: Option<Tensor> = None;
    for slot in 0..slots {
        let ids = all.narrow(0, slot * pixels, pixels)?;
        let mine = indices.index_select(&ids, 1)?.broadcast_eq(&here)?;
        let part = mine.where_cond(&grad.index_select(&ids, 1)?, &zero)?;
        sum = Some(match sum {
            None => part,
            Some(sum) => sum.add(&part)?,
        });
    }
    sum.unwrap_or(zero).reshape(shape)
}

/// The product with a matrix along each of the two axes of images: (B, H, W, C), (H', H), (W', W) to (B, H', W', C).
pub(super) fn along_both(x: &Tensor, rows: &Tensor, columns: &Tensor) -> Result<Tensor> {
    let ((b, h, w, c), (down, across)) = (x.dims4()?, (rows.dim(0)?, columns.dim(0)?));
    let rows = rows.unsqueeze(0)?.broadcast_as((b, down, h))?;
    let lines = rows.matmul(&x.reshape((b, h, w * c))?)?.reshape((b * down, w, c))?;
    let columns = columns.unsqueeze(0)?.broadcast_as((b * down, across, w))?;
    columns.matmul(&lines)?.reshape((b, down, across, c))
}

/// Means over windows of a fixed size, (B, H', W', C); of the padding too if that counts.
pub(crate) fn mean(w: &Window, count_padding: bool, x: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(x)?.filter(|_| chip::pool::fits(w)) {
        return chip::pool::mean(&chip, w, count_padding, x);
    }
    wide(x, |x| Mean::over_windows(w, count_padding, x)?.of(x))
}

/// Gradient of [`mean`].
pub(crate) fn mean_gradient(w: &Window, count_padding: bool, grad: &Tensor) -> Result<Tensor> {
    if let Some(chip) = chip::of(grad)?.filter(|_| chip::pool::fits(w)) {
        return chip::pool::mean_vjp(&chip, w, count_padding, grad);
    }
    wide(grad, |grad| Mean::over_windows(w, count_padding, grad)?.vjp(grad, w.batch, w.channels))
}

/// What is done to values in bf16 in f32.
fn wide(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::BF16 => f(&x.to_dtype(DType::F32)?)?.to_dtype(DType::BF16),
        _ => f(x),
    }
}

/// Windows of a fixed size, side by side, that are those of an adaptive pool, where its map divides the image.
fn side_by_side(pool: &Adaptive) -> Option<Window> {
    let Adaptive { batch, channels, image, map, .. } = *pool;
    let even = image.0.is_multiple_of(map.0) && image.1.is_multiple_of(map.1);
    let kernel = (image.0 / map.0, image.1 / map.1);
    even.then_some(Window { batch, channels, image, kernel, stride: kernel, padding: (0, 0), map })
}

/// Means over as many windows as asked for, (B, H', W', C).
pub(crate) fn adaptive_mean(pool: &Adaptive, x: &Tensor) -> Result<Tensor> {
    match side_by_side(pool).zip(chip::of(x)?) {
        Some((w, chip)) if chip::pool::fits(&w) => chip::pool::mean(&chip, &w, false, x),
        // Shares of a mean are rounded all one way: not to 8 bits.
        _ => wide(x, |x| Mean::adaptive(pool, x)?.of(x)),
    }
}

/// Gradient of [`adaptive_mean`].
pub(crate) fn adaptive_mean_gradient(pool: &Adaptive, grad: &Tensor) -> Result<Tensor> {
    match side_by_side(pool).zip(chip::of(grad)?) {
        Some((w, chip)) if chip::pool::fits(&w) => chip::pool::mean_vjp(&chip, &w, false, grad),
        _ => wide(grad, |grad| Mean::adaptive(pool, grad)?.vjp(grad, pool.batch, pool.channels)),
    }
}

/// Weights of a mean along both axes; the share of a window is that of its rows times that of its columns.
pub(crate) struct Mean {
    rows: Tensor,
    columns: Tensor,
}

impl Mean {
    /// Means over windows of a fixed size.
    fn over_windows(w: &Window, count_padding: bool, like: &Tensor) -> Result<Self> {
        let axis = |what, kernel: usize, stride: usize, padding: usize, extent: usize, map: usize| {
            let key = Key::new(what, &[kernel, stride, padding, extent, map, usize::from(count_padding)]);
            table::weights(key, (map, extent), like.dtype(), like.device(), || {
                let mut made = vec![0.; map * extent];
                for (at, weights) in made.chunks_exact_mut(extent).enumerate() {
                    let (start, end) = (at * stride, (at * stride + kernel).min(extent + 2 * padding));
                    let inside = start.saturating_sub(padding)..(start + kernel - padding).min(extent);
                    let count = if count_padding { end - start } else { inside.len() };
                    weights[inside].fill(1. / count as f64);
                }
                made
            })
        };
        Ok(Self {
            rows: axis("mean", w.kernel.0, w.stride.0, w.padding.0, w.image.0, w.map.0)?,
            columns: axis("mean", w.kernel.1, w.stride.1, w.padding.1, w.image.1, w.map.1)?,
        })
    }

    /// Means over as many windows as asked for.
    fn adaptive(pool: &Adaptive, like: &Tensor) -> Result<Self> {
        let axis = |extent: usize, map: usize| {
            let key = Key::new("adaptive mean", &[extent, map]);
            table::weights(key, (map, extent), like.dtype(), like.device(), || {
                let mut made = vec![0.; map * extent];
                for (at, weights) in made.chunks_exact_mut(extent).enumerate() {
                    let window = adaptive::window(at, map, extent);
                    let count = window.len();
                    weights[window].fill(1. / count as f64);
                }
                made
            })
        };
        Ok(Self { rows: axis(pool.image.0, pool.map.0)?, columns: axis(pool.image.1, pool.map.1)? })
    }

    /// (B, H, W, C) to (B, H', W', C).
    pub(crate) fn of(&self, x: &Tensor) -> Result<Tensor> {
        along_both(x, &self.rows, &self.columns)
    }

    /// The gradient: (B, H', W', C) or as many values to (B, H, W, C).
    pub(crate) fn vjp(&self, grad: &Tensor, batch: usize, channels: usize) -> Result<Tensor> {
        let grad = grad.reshape((batch, self.rows.dim(0)?, self.columns.dim(0)?, channels))?;
        along_both(&grad, &self.rows.t()?, &self.columns.t()?)
    }
}
