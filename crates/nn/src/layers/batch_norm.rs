use super::input;
use crate::kernel::norm::{Moments, Planes};
use crate::op::{Normalisation, Statistics};
use crate::params::{Init, Path};
use crate::{Error, Layer, Mode, Result};
use candle_core::{DType, Device, Tensor, Var};
use std::sync::{Arc, OnceLock};

/// Settings of a batch norm; [`Default`] gives PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormConfig {
    /// What is added to the variance; 1e-5.
    pub epsilon: f64,
    /// Weight of a batch in the running statistics; 0.1.
    pub momentum: f64,
    /// Whether a ReLU follows, in the same pass over memory; no.
    pub relu: bool,
    /// Whether the running statistics are used, and left alone, in training too; no.
    pub frozen: bool,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1, relu: false, frozen: false }
    }
}

/// Batch normalisation of images.
///
/// ```text
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias        per channel
/// ```
/// In training, mean and variance are those of the batch (the variance divided by n), and the running statistics move
/// by `momentum` towards the batch's (the variance divided by n - 1). In evaluation, and always if frozen, they are the
/// running statistics, constants for the gradient.
///
/// # Shapes    (B, C, H, W); the result has the input's.
/// # Gradient  to input, weight and bias, through the batch's statistics in training.
/// # Numerics  statistics are joined in f64 from blocks centred on their own means.
/// # Errors    [`Error::Input`] if the channels differ, or a channel has a single value in training.
/// # Source    Ioffe and Szegedy, ICML 2015, algorithm 1.
#[derive(Debug, Clone)]
pub struct BatchNorm2d {
    name: String,
    config: BatchNormConfig,
    weight: Tensor,
    bias: Tensor,
    mean: Var,
    variance: Var,
}

/// Where a training pass leaves the statistics of its batch.
type Cell = Arc<OnceLock<Moments>>;

impl BatchNorm2d {
    /// Epsilon, and weight and bias as two rows.
    pub(super) fn rows(&self) -> Result<(f64, Tensor)> {
        Ok((self.config.epsilon, Tensor::stack(&[&self.weight, &self.bias], 0)?))
    }

    /// A layer for `channels` channels: `weight` (1) and `bias` (0), and the buffers `running_mean` (0) and
    /// `running_var` (1), below `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range, [`Error::Duplicate`] if the names are taken.
    pub fn new(path: &Path, channels: usize, config: BatchNormConfig) -> Result<Self> {
        let name = input::label(path.name(), "batch_norm");
        let legal = channels > 0 && config.epsilon > 0. && (0. ..=1.).contains(&config.momentum);
        if !legal {
            let what = format!("{channels} channels, {config:?}: channels and epsilon above 0, momentum in [0, 1]");
            return Err(Error::Setting { layer: name, what });
        }
        Ok(Self {
            name,
            config,
            weight: path.trainable("weight", channels, Init::Ones)?,
            bias: path.trainable("bias", channels, Init::Zeros)?,
            mean: path.buffer("running_mean", channels, 0.)?,
            variance: path.buffer("running_var", channels, 1.)?,
        })
    }

    fn running(&self) -> Result<Moments> {
        let values = |var: &Var| var.to_dtype(DType::F64)?.to_vec1::<f64>();
        Ok(Moments { mean: values(&self.mean)?, variance: values(&self.variance)? })
    }

    /// Where a pass over `count` values per channel takes its statistics from, and where those of a batch will be.
    pub(super) fn statistics(&self, mode: &Mode, count: usize, dims: &[usize]) -> Result<(Statistics, Cell)> {
        let cell = Cell::default();
        if !mode.is_train() || self.config.frozen {
            return Ok((Statistics::Given(self.running()?), cell));
        }
        if count < 2 {
            let want = "training needs at least two values per channel: take a larger batch, or freeze the layer";
            return Err(Error::Input { layer: self.name.clone(), got: dims.to_vec(), want: want.to_owned() });
        }
        Ok((Statistics::Batch(cell.clone()), cell))
    }

    /// Moves the running statistics towards those of a batch with `count` values per channel, if there was one.
    pub(super) fn follow(&self, cell: &Cell, count: usize) -> Result<()> {
        let Some(batch) = cell.get() else { return Ok(()) };
        let (n, momentum) = (count as f64, self.config.momentum);
        let old = self.running()?;
        let step = |old: &[f64], new: &[f64], factor: f64| -> Vec<f64> {
            old.iter().zip(new).map(|(o, v)| (1. - momentum) * o + momentum * v * factor).collect()
        };
        let mean = step(&old.mean, &batch.mean, 1.);
        let variance = step(&old.variance, &batch.variance, n / (n - 1.));
        for (var, values) in [(&self.mean, mean), (&self.variance, variance)] {
            var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?.to_dtype(var.dtype())?)?;
        }
        Ok(())
    }
}

impl Layer for BatchNorm2d {
    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (x, [batch, channels, h, w]) = input::images(&self.name, x, Some(self.weight.elem_count()))?;
        let planes = Planes { batch, channels, pixels: h * w };
        let (statistics, cell) = self.statistics(mode, planes.count(), x.dims())?;
        let op = Normalisation { planes, statistics, epsilon: self.config.epsilon, relu: self.config.relu };
        let out = x.apply_op3(&self.weight, &self.bias, op)?;
        self.follow(&cell, planes.count())?;
        Ok(out)
    }
}
