//! Norms on the CPU.

use super::host::{shaped, tensor, values, with, with_some};
use super::{Backend, BatchNorm, BatchNormCall, BatchNormGradients, BatchNormVjp, Cpu, Folded, LayerNormVjp, width};
use crate::kernel::activation::Activation;
use crate::kernel::norm::{self, Affine, After, Backward, Moments};
use crate::kernel::{Element, row};
use candle_core::{Device, Result, Tensor};

fn running(norm: &BatchNorm) -> Result<Moments> {
    Ok(Moments { mean: values(norm.mean)?, variance: values(norm.variance)? })
}

pub(super) fn batch_norm<T: Element>(
    x: &Tensor,
    norm: &BatchNorm,
    call: BatchNormCall,
) -> Result<(Tensor, BatchNormVjp)> {
    let BatchNormCall { batch, shortcut, activation } = call;
    let (channels, of_batch) = (width(x), batch.is_some());
    let moments = match batch {
        Some(batch) => {
            let moments = match batch.known {
                Some(known) => known,
                None => with(x, |x: &[T]| Ok(norm::moments(channels, x)))?,
            };
            if let Some(momentum) = batch.momentum {
                follow(norm, &moments, x.elem_count() / channels, momentum)?;
            }
            moments
        }
        None => running(norm)?,
    };
    let affine =
        with(norm.weight, |gamma: &[T]| with(norm.bias, |beta| Ok(Affine::new(&moments, norm.epsilon, gamma, beta))))?;
    let out = with(x, |v: &[T]| {
        with_some(shortcut, |shortcut| shaped(norm::apply(channels, v, &affine, After { shortcut, activation }), x))
    })?;
    let (inverse, kept) = (moments.inverse_deviation(norm.epsilon), x.clone());
    // With a shortcut the activation's slope is seen in its own result; without, in what it was made of.
    let result = (activation != Activation::None && shortcut.is_some()).then(|| out.clone());
    let own = if shortcut.is_none() { activation } else { Activation::None };
    let vjp = move |grad: Tensor, wants_input: bool| {
        let grad = match result {
            Some(out) => Cpu.activate_vjp(activation, &out, &grad)?,
            None => grad,
        };
        let found = with(&kept, |x: &[T]| {
            let how = Backward { activation: own, of_batch, wants_input };
            with(&grad, |grad| Ok(norm::gradient(x, grad, &affine, &inverse, how)))
        })?;
        Ok(BatchNormGradients {
            shortcut: grad,
            weight: tensor(found.gamma, channels)?,
            bias: tensor(found.beta, channels)?,
            input: found.input.map(|input| shaped(input, &kept)).transpose()?,
        })
    };
    Ok((out, Box::new(vjp)))
}

/// Moves the running statistics towards those of a batch with `count` values per channel.
fn follow(norm: &BatchNorm, batch: &Moments, count: usize, momentum: f64) -> Result<()> {
    let n = count as f64;
    let old = running(norm)?;
    let step = |old: &[f64], new: &[f64], factor: f64| -> Vec<f64> {
        old.iter().zip(new).map(|(o, v)| (1. - momentum) * o + momentum * v * factor).collect()
    };
    let mean = step(&old.mean, &batch.mean, 1.);
    let variance = step(&old.variance, &batch.variance, n / (n - 1.));
    for (var, values) in [(norm.mean, mean), (norm.variance, variance)] {
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?.to_dtype(var.dtype())?)?;
    }
    Ok(())
}

pub(super) fn fold(norm: &BatchNorm, bias: Option<&Tensor>, like: &Tensor) -> Result<(Tensor, Tensor)> {
    let (gamma, beta, running) = (values(norm.weight)?, values(norm.bias)?, running(norm)?);
    let scale: Vec<f64> = running.inverse_deviation(norm.epsilon).iter().zip(gamma).map(|(i, g)| i * g).collect();
    let mut shift: Vec<f64> = beta.iter().zip(&running.mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    if let Some(bias) = bias {
        for ((s, b), f) in shift.iter_mut().zip(values(bias)?).zip(&scale) {
            *s += b * f;
        }
    }
    let row = |v: Vec<f64>| Tensor::new(v, like.device())?.to_dtype(like.dtype());
    Ok((row(scale)?, row(shift)?))
}

/// The result is `scale (w x + bias - mean) + beta` with `scale = inverse gamma`, and the gradient of a row of the folded
/// weight `scale w` is the sum of the result's gradients g times x: so that of gamma, `inverse` times the sum of
/// `g (w x + bias - mean)`, follows from it without the maps.
pub(super) fn fold_vjp<T: Element>(norm: &BatchNorm, conv: Folded, weight: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let inverse = running(norm)?.inverse_deviation(norm.epsilon);
    let (mean, shift) = (values(norm.mean)?, values(shift)?);
    let bias = conv.bias.map(values).transpose()?;
    let along = with(weight, |d: &[T]| with(conv.weight, |w| Ok(row::dots(w, d, inverse.len()))))?;
    let gamma = |(o, along): (usize, f64)| {
        let center = mean[o] - bias.as_ref().map_or(0., |bias| bias[o]);
        T::from_f64(inverse[o] * (along - center * shift[o]))
    };
    let gamma: Vec<T> = along.into_iter().enumerate().map(gamma).collect();
    tensor(gamma, inverse.len())
}

/// What the gradients of a layer norm need.
struct Rows<T> {
    x: Tensor,
    weight: Tensor,
    moments: Vec<row::Moments<T>>,
}

pub(super) fn layer_norm<T: Element>(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, Box<dyn LayerNormVjp>)> {
    let (out, moments) = with(x, |v: &[T]| {
        with(weight, |w| {
            with(bias, |b| {
                let (out, moments) = row::normalize(v, w, b, epsilon);
                Ok((shaped(out, x)?, moments))
            })
        })
    })?;
    Ok((out, Box::new(Rows { x: x.clone(), weight: weight.clone(), moments })))
}

impl<T: Element> LayerNormVjp for Rows<T> {
    fn weight(&self, grad: &Tensor) -> Result<Tensor> {
        let width = width(&self.x);
        with(&self.x, |v: &[T]| with(grad, |g| tensor(row::normalize_scale_vjp(v, width, &self.moments, g), width)))
    }

    fn all(&self, grad: &Tensor) -> Result<Option<[Tensor; 3]>> {
        let width = width(&self.x);
        with(&self.x, |v: &[T]| {
            with(&self.weight, |w| {
                with(grad, |g| {
                    let [input, scale, shift] = row::normalize_all_vjp(v, w, &self.moments, g);
                    Ok(Some([shaped(input, &self.x)?, tensor(scale, width)?, tensor(shift, width)?]))
                })
            })
        })
    }

    fn input(&self, grad: &Tensor) -> Result<Tensor> {
        with(&self.x, |v: &[T]| {
            with(&self.weight, |w| with(grad, |g| shaped(row::normalize_vjp(v, w, &self.moments, g), &self.x)))
        })
    }
}
