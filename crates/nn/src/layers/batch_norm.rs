use super::{input, relu};
use crate::kernel::by_dtype;
use crate::kernel::norm::{self, Affine, After, Mask, Moments};
use crate::op::{shaped, tensor, with};
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape, composed, op};
use candle_core::{Device, Tensor, Var};

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
/// In training, mean and variance are those of the batch (the variance divided by n), and the running statistics move
/// by `momentum` towards the batch's (the variance divided by n - 1), unless the pass is one [without gradients](crate::forward_no_grad()). In evaluation, and always if frozen, they are the
/// running statistics, constants for the gradient.
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
        })
    }

    fn running(&self) -> Result<Moments> {
        Ok(Moments { mean: op::values(&self.mean)?, variance: op::values(&self.variance)? })
    }

    /// C, the number of channels.
    pub(super) fn channels(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Scale and shift per channel that do what the layer does in evaluation.
    pub(super) fn folded(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let (gamma, beta) = (op::values(self.weight.tensor())?, op::values(self.bias.tensor())?);
        let running = self.running()?;
        let scale: Vec<f64> =
            running.inverse_deviation(self.config.epsilon).iter().zip(gamma).map(|(i, g)| i * g).collect();
        let shift = beta.iter().zip(&running.mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        Ok((scale, shift))
    }

    /// The same, behind a convolution with this bias, where the parameters lie.
    pub(super) fn folded_in_place(&self, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let deviation = self.variance.affine(1., self.config.epsilon)?.sqrt()?;
        let scale = self.weight.tensor().div(&deviation)?;
        let center = match bias {
            Some(bias) => self.mean.sub(bias)?,
            None => self.mean.as_tensor().clone(),
        };
        let shift = self.bias.tensor().sub(&center.mul(&scale)?)?;
        Ok((scale.detach(), shift.detach()))
    }

    /// Whether a pass takes the statistics of its batch.
    pub(super) fn follows(&self, tape: &Tape) -> bool {
        tape.mode().is_train() && !self.config.frozen
    }

    /// Normalizes, adds `shortcut` if there is one, and applies a ReLU if asked for, in one pass over memory. The
    /// batch's moments may be known already.
    pub(super) fn normalize(
        &self,
        x: &Node,
        known: Option<Moments>,
        shortcut: Option<&Node>,
        relu: bool,
        tape: &mut Tape,
    ) -> Result<Node> {
        let [batch, h, w, channels] = input::images(&self.name, x, Some(self.weight.tensor().elem_count()))?;
        if let Some(other) = shortcut.filter(|other| other.dims() != x.dims()) {
            let want = format!("what is added to it has shape {:?}", other.dims());
            return Err(input::wrong(&self.name, x, want));
        }
        let (count, batch_moments) = (batch * h * w, self.follows(tape));
        if batch_moments && count < 2 {
            let want = "training needs at least two values per channel: take a larger batch, or freeze the layer";
            return Err(input::wrong(&self.name, x, want));
        }
        if composed::wanted(x.tensor()) {
            return self.composed(x, shortcut, relu, (count, batch_moments), tape);
        }
        let (name, kept) = (&self.name, x.tensor().clone());
        by_dtype!(kept.dtype(), name, T => {
            let moments = match (batch_moments, known) {
                (true, Some(known)) => known,
                (true, None) => with(&kept, |x: &[T]| Ok(norm::moments(channels, x)))?,
                (false, _) => self.running()?,
            };
            let affine = with(self.weight.tensor(), |gamma: &[T]| with(self.bias.tensor(), |beta| {
                Ok(Affine::new(&moments, self.config.epsilon, gamma, beta))
            }))?;
            let out = with(&kept, |x: &[T]| match shortcut {
                None => shaped(norm::apply(channels, x, &affine, After { shortcut: None, relu }), &kept),
                Some(other) => with(other.tensor(), |other: &[T]| {
                    shaped(norm::apply(channels, x, &affine, After { shortcut: Some(other), relu }), &kept)
                }),
            })?;
            // A pass without gradients may be run again with them: it is not to count twice.
            if batch_moments && tape.is_recording() {
                self.follow(&moments, count)?;
            }
            let inverse = moments.inverse_deviation(self.config.epsilon);
            let (id, added) = (x.id(), shortcut.map(Node::id));
            // With a shortcut the ReLU is undone by its own result; without, by what it was made of.
            let result = (relu && added.is_some()).then(|| out.clone());
            let (layer, inputs) = (self.clone(), [Some(x), shortcut].into_iter().flatten().collect::<Vec<_>>());
            Ok::<_, Error>(tape.push(out, &inputs, &[&self.weight, &self.bias], move |grad, grads| {
                let grad = match result {
                    Some(out) => relu::stopped(&out, &grad)?,
                    None => grad,
                };
                let mask = if relu && added.is_none() { Mask::Normalized } else { Mask::Nowhere };
                let found = with(&kept, |x: &[T]| with(&grad, |grad| {
                    Ok(norm::gradient(channels, x, grad, &affine, &inverse, mask, batch_moments, id.wants_grad()))
                }))?;
                if let Some(added) = added {
                    grads.add(added, || Ok(grad))?;
                }
                grads.add_parameter(&layer.weight, || Ok(tensor(found.gamma, channels)?))?;
                grads.add_parameter(&layer.bias, || Ok(tensor(found.beta, channels)?))?;
                match found.input {
                    Some(input) => grads.add(id, || Ok(shaped(input, &kept)?)),
                    None => Ok(()),
                }
            }))
        })
    }

    fn composed(
        &self,
        x: &Node,
        shortcut: Option<&Node>,
        relu: bool,
        (count, batch_moments): (usize, bool),
        tape: &mut Tape,
    ) -> Result<Node> {
        let given = (!batch_moments).then(|| (self.mean.as_detached_tensor(), self.variance.as_detached_tensor()));
        let given = given.as_ref().map(|(mean, variance)| (mean, variance));
        let (gamma, beta) = (self.weight.tensor().detach(), self.bias.tensor().detach());
        let (mut out, rows) = composed::norm::normalize(x.tensor(), given, &gamma, &beta, self.config.epsilon)?;
        if let Some(other) = shortcut {
            out = out.add(other.tensor())?;
        }
        if relu {
            out = composed::pointwise::relu(&out)?;
        }
        if let Some((mean, variance)) = rows.moments.as_ref().filter(|_| tape.is_recording()) {
            let (n, momentum) = (count as f64, self.config.momentum);
            for (var, new, factor) in [(&self.mean, mean, 1.), (&self.variance, variance, n / (n - 1.))] {
                let moved =
                    var.as_detached_tensor().affine(1. - momentum, 0.)?.add(&new.affine(momentum * factor, 0.)?)?;
                var.set(&moved)?;
            }
        }
        let (id, added) = (x.id(), shortcut.map(Node::id));
        let result = relu.then(|| out.clone());
        let (layer, inputs) = (self.clone(), [Some(x), shortcut].into_iter().flatten().collect::<Vec<_>>());
        Ok(tape.push(out, &inputs, &[&self.weight, &self.bias], move |grad, grads| {
            let grad = match result {
                Some(out) => relu::stopped(&out, &grad)?,
                None => grad,
            };
            let found = rows.back(&gamma, &grad, id.wants_grad())?;
            if let Some(added) = added {
                grads.add(added, || Ok(grad))?;
            }
            grads.add_parameter(&layer.weight, || Ok(found.gamma))?;
            grads.add_parameter(&layer.bias, || Ok(found.beta))?;
            match found.input {
                Some(input) => grads.add(id, || Ok(input)),
                None => Ok(()),
            }
        }))
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
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.normalize(x, None, None, false, tape)
    }
}
