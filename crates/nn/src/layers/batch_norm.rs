use super::input;
use crate::backend::{self, BatchNormCall, BatchStatistics};
use crate::kernel::activation::Activation;
use crate::kernel::norm::Moments;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};
use candle_core::Var;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Settings of a batch norm; [`Default`] gives PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormConfig {
    /// What is added to the variance; 1e-5.
    pub epsilon: f64,
    /// Weight of a batch in the running statistics; 0.1.
    pub momentum: f64,
    /// Whether the running statistics are used, and left alone, in training too; no.
    pub frozen: bool,
}

impl Default for BatchNormConfig {
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1, frozen: false }
    }
}

/// Batch normalization of images.
///
/// ```text
/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias        per channel
/// ```
/// In training, mean and variance are those of the batch (the variance divided by n), and the running statistics
/// move by `momentum` towards the batch's (the variance divided by n - 1), unless the pass is one [without
/// gradients](crate::forward_no_grad()). In evaluation, and always if the layer or [all norms of the
/// network](crate::VarMap::freeze_norms) are frozen, they are the running statistics, constants for the gradient.
///
/// # Shapes
/// (B, H, W, C); the result has the input's.
///
/// # Gradient
/// To input, weight and bias, through the batch's statistics in training.
///
/// # Numerics
/// On the CPU statistics are joined in f64 from blocks centered on their own means; on a device they are sums
/// in the number type, of differences from a first mean.
///
/// # Errors
/// [`Error::Input`] if the channels differ, or a channel has a single value in training.
///
/// # Source
/// Ioffe and Szegedy, ICML 2015, algorithm 1.
#[derive(Debug, Clone)]
pub struct BatchNorm2d {
    name: String,
    config: BatchNormConfig,
    weight: Parameter,
    bias: Parameter,
    mean: Var,
    variance: Var,
    /// Whether all norms of the network are frozen.
    all_frozen: Arc<AtomicBool>,
}

impl BatchNorm2d {
    /// A layer for `channels` channels: `weight` (1) and `bias` (0), and the buffers `running_mean` (0) and
    /// `running_var` (1), below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range, [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, channels: usize, config: BatchNormConfig) -> Result<Self> {
        let name = input::label(vb.prefix(), "batch_norm");
        let legal = channels > 0 && config.epsilon > 0. && (0. ..=1.).contains(&config.momentum);
        if !legal {
            let what = format!("{channels} channels, {config:?}: channels and epsilon above 0, momentum in [0, 1]");
            return Err(Error::Setting { layer: name, what });
        }
        Ok(Self {
            name,
            config,
            weight: vb.trainable("weight", channels, Init::Ones)?,
            bias: vb.trainable("bias", channels, Init::Zeros)?,
            mean: vb.buffer("running_mean", channels, 0.)?,
            variance: vb.buffer("running_var", channels, 1.)?,
            all_frozen: vb.frozen_norms(),
        })
    }

    /// C, the number of channels.
    pub(super) fn channels(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Scale and shift.
    pub(super) fn parameters(&self) -> [&Parameter; 2] {
        [&self.weight, &self.bias]
    }

    /// Parameters and buffers, as a backend takes them.
    pub(super) fn parts(&self) -> backend::BatchNorm<'_> {
        backend::BatchNorm {
            weight: self.weight.tensor(),
            bias: self.bias.tensor(),
            mean: &self.mean,
            variance: &self.variance,
            epsilon: self.config.epsilon,
        }
    }

    /// Whether a pass takes the statistics of its batch.
    pub(super) fn follows(&self, tape: &Tape) -> bool {
        tape.mode().is_train() && !self.config.frozen && !self.all_frozen.load(Ordering::Relaxed)
    }

    /// Normalizes, adds `shortcut` if there is one, and applies an activation (behind a shortcut, one that shows its slope),
    /// in one pass over memory. The batch's moments may be known already.
    pub(super) fn normalize(
        &self,
        x: &Node,
        known: Option<Moments>,
        shortcut: Option<&Node>,
        activation: Activation,
        tape: &mut Tape,
    ) -> Result<Node> {
        let [batch, h, w, _] = input::images(&self.name, x, Some(self.weight.tensor().elem_count()))?;
        if let Some(other) = shortcut.filter(|other| other.dims() != x.dims()) {
            let want = format!("what is added to it has shape {:?}", other.dims());
            return Err(input::wrong(&self.name, x, want));
        }
        let (count, batch_moments) = (batch * h * w, self.follows(tape));
        if batch_moments && count < 2 {
            let want = "training needs at least two values per channel: take a larger batch, or freeze the layer";
            return Err(input::wrong(&self.name, x, want));
        }
        // A pass without gradients may be run again with them: it is not to count twice.
        let momentum = tape.is_recording().then_some(self.config.momentum);
        let call = BatchNormCall {
            batch: batch_moments.then_some(BatchStatistics { known, momentum }),
            shortcut: shortcut.map(Node::tensor),
            activation,
        };
        let (out, vjp) = tape.backend().batch_norm(x.tensor(), &self.parts(), call)?;
        let (id, added) = (x.id(), shortcut.map(Node::id));
        let (layer, inputs) = (self.clone(), [Some(x), shortcut].into_iter().flatten().collect::<Vec<_>>());
        Ok(tape.push(out, &inputs, &[&self.weight, &self.bias], move |grad, grads| {
            let found = vjp(grad, id.wants_grad())?;
            if let Some(added) = added {
                grads.add(added, || Ok(found.shortcut))?;
            }
            grads.add_parameter(&layer.weight, || Ok(found.weight))?;
            grads.add_parameter(&layer.bias, || Ok(found.bias))?;
            match found.input {
                Some(input) => grads.add(id, || Ok(input)),
                None => Ok(()),
            }
        }))
    }
}

impl Layer for BatchNorm2d {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.normalize(x, None, None, Activation::None, tape)
    }
}
