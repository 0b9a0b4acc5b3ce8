//! The kernels of the CPU on tensors.

mod host;
mod norm;

use super::*;
use crate::kernel::conv::{self, Affine};
use crate::kernel::gem::Gem;
use crate::kernel::resample::Resample;
use crate::kernel::{Element, activation, by_dtype, column_sums, columns, gate, gelu, linear, pool, row, tokens, zip};
use host::{shaped, slice, tensor, values, with, with_some};

/// Kernels of our own, with the same bits for any number of threads. For tensors on the CPU.
#[derive(Debug, Clone, Copy)]
pub struct Cpu;

/// What an error of a number type calls it; layers look at theirs before they ask for anything.
const NAME: &str = "npair-nn";

/// Entries of a gradient nearer to 0 than this are taken as 0.
const TINY: f64 = 1e-30;

/// The last extent.
fn width(x: &Tensor) -> usize {
    x.dims().last().copied().unwrap_or(1)
}

/// The extents of `x` with another last one.
fn with_width(x: &Tensor, width: usize) -> Vec<usize> {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = width;
    }
    dims
}

fn maps(g: &Geometry) -> (usize, usize, usize, usize) {
    (g.batch, g.map.0, g.map.1, g.outputs)
}

/// Between the embeddings of two grids; none if they are the same.
fn resample<T: Element>(grids: Grids) -> Option<Resample<T>> {
    (!grids.are_one()).then(|| Resample::new(grids.stored, grids.image))
}

impl Backend for Cpu {
    fn add(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        by_dtype!(a.dtype(), NAME, T => with(a, |x: &[T]| with(b, |y| shaped(zip(x, y, |x, y| x + y), a))))
    }

    /// Pairs that lie far apart have gradients like e^-90; on its way through a network such a number becomes subnormal, and
    /// arithmetic on those takes a hundred times as long. No sum in f32 would notice.
    fn flush_to_zero(&self, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        by_dtype!(grad.dtype(), NAME, T => with(&grad, |g: &[T]| {
            let tiny = TINY as T;
            shaped(zip(g, g, |g, _| if -tiny < g && g < tiny { 0. } else { g }), &grad)
        }))
    }

    fn activate(&self, activation: Activation, x: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| shaped(activation::apply(activation, v), x)))
    }

    fn activate_vjp(&self, activation: Activation, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| {
            shaped(activation::apply_vjp(activation, v, g), x)
        })))
    }

    fn activate_vjp_and_sum(&self, activation: Activation, x: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| {
            let (out, sums) = activation::apply_vjp_and_sum(activation, v, g, width(x));
            Ok((shaped(out, x)?, tensor(sums, width(x))?))
        })))
    }

    fn gelu(&self, x: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| shaped(gelu::gelu(v), x)))
    }

    fn gelu_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| shaped(gelu::gelu_vjp(v, g), x))))
    }

    fn gelu_vjp_and_sum(&self, x: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| {
            let (out, sums) = gelu::gelu_vjp_and_sum(v, g, width(x));
            Ok((shaped(out, x)?, tensor(sums, width(x))?))
        })))
    }

    fn softmax(&self, x: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| shaped(row::softmax(v, width(x)), x)))
    }

    fn softmax_vjp(&self, out: &Tensor, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(out.dtype(), NAME, T => with(out, |p: &[T]| with(grad, |g| {
            shaped(row::softmax_vjp(p, width(out), g), out)
        })))
    }

    fn sum_rows(&self, x: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| tensor(column_sums(width(x), v), width(x))))
    }

    fn sum_products(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        by_dtype!(a.dtype(), NAME, T => with(a, |x: &[T]| with(b, |y| {
            tensor(row::column_products(x, y, width(a)), width(a))
        })))
    }

    fn scale_channels(&self, x: &Tensor, factors: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(factors, |f| shaped(row::scale(v, f), x))))
    }

    fn scale_images(&self, x: &Tensor, factors: &[f64]) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| shaped(row::scale_rows(v, factors), x)))
    }

    fn gate(&self, x: &Tensor, factors: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(factors, |f| shaped(gate::forward(v, f, width(x)), x))))
    }

    fn gate_factors_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (batch, _, _, channels) = x.dims4()?;
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| {
            tensor(gate::factors_gradient(v, g, batch, channels), (batch, 1, 1, channels))
        })))
    }

    fn linear(&self, x: &Tensor, weight: &Tensor, after: Epilogue) -> Result<Tensor> {
        let map = linear_map(x, weight)?;
        let Epilogue { scale, bias, plus, activation, packed } = after;
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(weight, |w| {
            with_some(scale, |scale| with_some(bias, |bias| with_some(plus, |plus| {
                tensor(map.forward(v, w, Affine { scale, bias, plus, activation, packed }), with_width(x, map.outputs))
            })))
        })))
    }

    fn linear_weight_vjp(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (inputs, outputs) = (width(x), width(grad));
        let map = linear::Affine { rows: x.elem_count() / inputs, inputs, outputs };
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| {
            tensor(map.weight_gradient(v, g), (outputs, inputs))
        })))
    }

    fn linear_input_vjp(&self, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = weight.dims2()?;
        let map = linear::Affine { rows: grad.elem_count() / outputs, inputs, outputs };
        by_dtype!(grad.dtype(), NAME, T => with(weight, |w: &[T]| with(grad, |g| {
            tensor(map.input_gradient(w, g), with_width(grad, inputs))
        })))
    }

    fn conv(&self, g: &Geometry, x: &Tensor, weight: &Tensor, after: Epilogue) -> Result<Tensor> {
        let Epilogue { scale, bias, plus, activation, packed } = after;
        by_dtype!(x.dtype(), NAME, T => with(x, |x: &[T]| with(weight, |w| {
            with_some(scale, |scale| with_some(bias, |bias| with_some(plus, |plus| {
                tensor(conv::forward(g, x, w, Affine { scale, bias, plus, activation, packed }), maps(g))
            })))
        })))
    }

    fn conv_with_moments(
        &self,
        g: &Geometry,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Moments>)> {
        by_dtype!(x.dtype(), NAME, T => with(x, |x: &[T]| with(weight, |w| with_some(bias, |bias| {
            let affine = Affine { bias, ..Affine::NOTHING };
            let (out, moments) = conv::forward_with_moments(g, x, w, affine, true);
            Ok((tensor(out, maps(g))?, moments))
        }))))
    }

    fn conv_weight_vjp(&self, g: &Geometry, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |x: &[T]| with(grad, |d| {
            tensor(conv::weight_gradient(g, x, d), (g.outputs, g.group_inputs(), g.kernel.0, g.kernel.1))
        })))
    }

    fn conv_input_vjp(&self, g: &Geometry, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(grad.dtype(), NAME, T => with(weight, |w: &[T]| with(grad, |d| {
            tensor(conv::input_gradient(g, w, d), (g.batch, g.image.0, g.image.1, g.inputs))
        })))
    }

    fn sum_outputs(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let outputs = a.dim(0)?;
        by_dtype!(a.dtype(), NAME, T => with(a, |a: &[T]| with(b, |b| {
            tensor(row::dots(a, b, outputs).into_iter().map(|sum| sum as T).collect::<Vec<T>>(), outputs)
        })))
    }

    fn scale_outputs(&self, weight: &Tensor, factors: &Tensor) -> Result<Tensor> {
        by_dtype!(weight.dtype(), NAME, T => with(weight, |w: &[T]| with(factors, |f| shaped(row::times(w, f), weight))))
    }

    fn batch_norm(&self, x: &Tensor, norm: &BatchNorm, call: BatchNormCall) -> Result<(Tensor, BatchNormVjp)> {
        by_dtype!(x.dtype(), NAME, T => norm::batch_norm::<T>(x, norm, call))
    }

    fn fold(&self, norm: &BatchNorm, bias: Option<&Tensor>, like: &Tensor) -> Result<(Tensor, Tensor)> {
        norm::fold(norm, bias, like)
    }

    fn fold_vjp(&self, norm: &BatchNorm, conv: Folded, weight: &Tensor, shift: &Tensor) -> Result<Tensor> {
        by_dtype!(weight.dtype(), NAME, T => norm::fold_vjp::<T>(norm, conv, weight, shift))
    }

    fn layer_norm(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        epsilon: f64,
    ) -> Result<(Tensor, Box<dyn LayerNormVjp>)> {
        by_dtype!(x.dtype(), NAME, T => norm::layer_norm::<T>(x, weight, bias, epsilon))
    }

    fn response_norm(&self, norm: Response, x: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| shaped(norm.forward(v, width(x)), x)))
    }

    fn response_norm_vjp(&self, norm: Response, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| with(grad, |g| shaped(norm.backward(v, width(x), g), x))))
    }

    fn max_pool(&self, w: &Window, x: &Tensor, wanted: bool) -> Result<(Tensor, Option<Vjp>)> {
        let (window, shape, image) = (*w, (w.batch, w.map.0, w.map.1, w.channels), x.shape().clone());
        by_dtype!(x.dtype(), NAME, T => with(x, |x: &[T]| {
            if !wanted {
                return Ok((tensor(pool::max_values(&window, x), shape)?, None));
            }
            let (out, indices) = pool::max(&window, x);
            let vjp: Vjp = Box::new(move |grad| {
                with(grad, |g: &[T]| tensor(pool::max_gradient(&window, &indices, g), image))
            });
            Ok((tensor(out, shape)?, Some(vjp)))
        }))
    }

    fn mean_pool(&self, w: &Window, count_padding: bool, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |x: &[T]| tensor(pool::mean(w, x, count_padding), shape)))
    }

    fn mean_pool_vjp(&self, w: &Window, count_padding: bool, grad: &Tensor) -> Result<Tensor> {
        let image = (w.batch, w.image.0, w.image.1, w.channels);
        by_dtype!(grad.dtype(), NAME, T => with(grad, |g: &[T]| tensor(pool::mean_gradient(w, g, count_padding), image)))
    }

    fn adaptive_pool(&self, pool: &Adaptive, x: &Tensor) -> Result<Tensor> {
        let map = (pool.batch, pool.map.0, pool.map.1, pool.channels);
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| tensor(pool.forward(v), map)))
    }

    fn adaptive_pool_vjp(&self, pool: &Adaptive, grad: &Tensor) -> Result<Tensor> {
        let image = (pool.batch, pool.image.0, pool.image.1, pool.channels);
        by_dtype!(grad.dtype(), NAME, T => with(grad, |g: &[T]| tensor(pool.backward(g), image)))
    }

    fn gem(&self, name: &str, x: &Tensor, power: &Tensor, epsilon: f64) -> crate::Result<(Tensor, Box<dyn GemVjp>)> {
        let power: f64 = values(power)?.iter().sum();
        if power.is_nan() || power <= 0. {
            let what = format!("the exponent has become {power}, but has to be above 0: lower its learning rate");
            return Err(crate::Error::Setting { layer: name.to_owned(), what });
        }
        let (batch, h, w, channels) = x.dims4()?;
        let gem = Gem { pixels: h * w, channels, power, least: epsilon };
        let out: Result<Tensor> =
            by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| tensor(gem.forward(v), (batch, channels))));
        let out = out?;
        Ok((out.clone(), Box::new(Means { gem, x: x.clone(), out })))
    }

    fn concat(&self, parts: &[&Tensor]) -> Result<Tensor> {
        let [first, ..] = parts else { candle_core::bail!("npair-nn: nothing to put side by side") };
        let total = parts.iter().map(|part| width(part)).sum();
        let rows = first.elem_count().checked_div(width(first)).unwrap_or(0);
        by_dtype!(first.dtype(), NAME, T => {
            let storages: Vec<_> = parts.iter().map(|part| part.storage_and_layout()).collect();
            let slices = storages.iter().zip(parts).map(|((s, layout), part)| Ok((slice::<T>(s, layout)?, width(part))));
            tensor(columns::concat(&slices.collect::<Result<Vec<_>>>()?, rows), with_width(first, total))
        })
    }

    fn columns(&self, x: &Tensor, from: usize, count: usize) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| {
            tensor(columns::slice(v, width(x), from, count), with_width(x, count))
        }))
    }

    fn transpose(&self, x: &Tensor, (rows, cols): (usize, usize), shape: &[usize]) -> Result<Tensor> {
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| tensor(columns::transpose(v, rows, cols), shape)))
    }

    fn attention(&self, heads: Heads, qkv: &Tensor) -> Result<(Tensor, Vjp)> {
        let shape = (heads.batch, heads.tokens, heads.heads * heads.width);
        let kept = qkv.clone();
        by_dtype!(qkv.dtype(), NAME, T => {
            let (out, rows) = with(qkv, |v: &[T]| Ok(heads.attend(v)))?;
            let out = tensor(out, shape)?;
            let result = out.clone();
            let vjp: Vjp = Box::new(move |grad| {
                with(&kept, |v: &[T]| with(&result, |y| with(grad, |g| {
                    shaped(heads.attend_vjp(v, y, &rows, g), &kept)
                })))
            });
            Ok((out, vjp))
        })
    }

    fn class_token(&self, grids: Grids, x: &Tensor, class: &Tensor, positions: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        by_dtype!(x.dtype(), NAME, T => with(x, |x: &[T]| with(class, |class: &[T]| with(positions, |positions: &[T]| {
            let (of_class, of_patches) = positions.split_at(width);
            let resampled = resample::<T>(grids).map(|r| r.forward(of_patches, width));
            let head: Vec<T> = class.iter().zip(of_class).map(|(&c, &p)| c + p).collect();
            let made = tokens::prepend(x, &head, resampled.as_deref().unwrap_or(of_patches));
            tensor(made, (batch, 1 + tokens, width))
        }))))
    }

    fn sum_images(&self, grad: &Tensor) -> Result<Tensor> {
        let (_, tokens, width) = grad.dims3()?;
        by_dtype!(grad.dtype(), NAME, T => with(grad, |g: &[T]| {
            tensor(column_sums(tokens * width, g), (1, tokens, width))
        }))
    }

    fn positions_vjp(&self, grids: Grids, sum: &Tensor) -> Result<Tensor> {
        let (width, stored) = (width(sum), 1 + grids.stored * grids.stored);
        by_dtype!(sum.dtype(), NAME, T => with(sum, |sums: &[T]| {
            let (of_class, of_patches) = sums.split_at(width);
            match resample(grids) {
                None => tensor(sums.to_vec(), (1, stored, width)),
                Some(r) => tensor([of_class, &r.backward(of_patches, width)].concat(), (1, stored, width)),
            }
        }))
    }

    fn without_first(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, count, width) = x.dims3()?;
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| {
            tensor(tokens::without_first(v, width, count * width), (batch, count - 1, width))
        }))
    }

    fn first(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, count, width) = x.dims3()?;
        by_dtype!(x.dtype(), NAME, T => with(x, |v: &[T]| {
            tensor(tokens::first(v, width, count * width), (batch, width))
        }))
    }

    fn first_vjp(&self, grad: &Tensor, count: usize) -> Result<Tensor> {
        let (batch, width) = grad.dims2()?;
        by_dtype!(grad.dtype(), NAME, T => with(grad, |g: &[T]| {
            tensor(tokens::first_vjp(g, width, count * width), (batch, count, width))
        }))
    }
}

fn linear_map(x: &Tensor, weight: &Tensor) -> Result<linear::Affine> {
    let (outputs, inputs) = weight.dims2()?;
    Ok(linear::Affine { rows: x.elem_count() / inputs, inputs, outputs })
}

/// What the gradients of a generalized mean need.
struct Means {
    gem: Gem,
    x: Tensor,
    out: Tensor,
}

impl GemVjp for Means {
    fn power(&self, grad: &Tensor) -> Result<Tensor> {
        let dtype = self.x.dtype();
        by_dtype!(dtype, NAME, T => with(&self.x, |v: &[T]| with(&self.out, |y| with(grad, |g| {
            tensor(vec![self.gem.power_gradient(v, y, g)], 1)?.to_dtype(dtype)
        }))))
    }

    fn input(&self, grad: &Tensor) -> Result<Tensor> {
        by_dtype!(self.x.dtype(), NAME, T => with(&self.x, |v: &[T]| with(&self.out, |y| with(grad, |g| {
            shaped(self.gem.input_gradient(v, y, g), &self.x)
        }))))
    }
}
