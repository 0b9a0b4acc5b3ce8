//! Norms on the CPU.

use super::host::{shaped, tensor, values, with, with_some};
use super::{Backend, BatchNorm, BatchNormCall, BatchNormGradients, BatchNormVjp, Cpu, LayerNormVjp, width};
use crate::kernel::norm::{self, Affine, After, Backward, Mask, Moments};
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
    let BatchNormCall { batch, shortcut, relu } = call;
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
        with_some(shortcut, |shortcut| shaped(norm::apply(channels, v, &affine, After { shortcut, relu }), x))
    })?;
    let (inverse, kept) = (moments.inverse_deviation(norm.epsilon), x.clone());
    // With a shortcut the ReLU is undone by its own result; without, by what it was made of.
    let result = (relu && shortcut.is_some()).then(|| out.clone());
    let mask = if relu && shortcut.is_none() { Mask::Normalized } else { Mask::Nowhere };
    let vjp = move |grad: Tensor, wants_input: bool| {
        let grad = match result {
            Some(out) => Cpu.relu_vjp(&out, &grad)?,
            None => grad,
        };
        let found = with(&kept, |x: &[T]| {
            with(&grad, |grad| Ok(norm::gradient(x, grad, &affine, &inverse, Backward { mask, of_batch, wants_input })))
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

    fn input(&self, grad: &Tensor) -> Result<Tensor> {
        with(&self.x, |v: &[T]| {
            with(&self.weight, |w| with(grad, |g| shaped(row::normalize_vjp(v, w, &self.moments, g), &self.x)))
        })
    }
}
