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

impl BatchNorm2d {
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

    /// Moves the running statistics towards those of a batch with `count` values per channel.
    fn follow(&self, batch: &Moments, count: usize) -> Result<()> {
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
        let cell = Arc::new(OnceLock::new());
        let learns = mode.is_train() && !self.config.frozen;
        if learns && planes.count() < 2 {
            let want = "training needs at least two values per channel: take a larger batch, or freeze the layer";
            return Err(Error::Input { layer: self.name.clone(), got: x.dims().to_vec(), want: want.to_owned() });
        }
        let statistics = if learns { Statistics::Batch(cell.clone()) } else { Statistics::Given(self.running()?) };
        let op = Normalisation { planes, statistics, epsilon: self.config.epsilon, relu: self.config.relu };
        let out = x.apply_op3(&self.weight, &self.bias, op)?;
        if let Some(moments) = cell.get() {
            self.follow(moments, planes.count())?;
        }
        Ok(out)
    }
}
