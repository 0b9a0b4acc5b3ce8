use super::in_range;
use super::ruled::{Cell, Rule, Ruled, optimizer_of_rule};
use super::tensors::Whole;
use candle_core::{Result, Tensor};

/// Settings of [`Sgd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdSettings {
    /// Learning rate at full height of the schedule.
    pub learning_rate: f64,
    /// What is left of the velocity from step to step.
    pub momentum: f64,
    /// Decay of the weights per step, times the learning rate; on matrices and filters alone.
    pub weight_decay: f64,
    /// Where the weights decay.
    pub decay: Decay,
}

/// Where weights decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decay {
    /// Beside the velocity: `x -= rate decay x`. What is usual here, as for [`Adam`](crate::Adam).
    #[default]
    Decoupled,
    /// Through the velocity: `g += decay x`, as `weight_decay` of PyTorch's SGD. With momentum m a constant weight so decays
    /// 1 / (1 - m) times as fast in the long run: numbers taken over from there belong here.
    Coupled,
}

impl Default for SgdSettings {
    fn default() -> Self {
        Self { learning_rate: 3e-3, momentum: 0.9, weight_decay: 0., decay: Decay::Decoupled }
    }
}

/// Gradient descent with momentum, as PyTorch's `SGD` without dampening.
///
/// ```text
/// decoupled:  u = momentum u + g              x = x (1 - rate decay) - rate u
/// coupled:    u = momentum u + g + decay x    x = x - rate u
/// ```
/// The gradient is clipped first, whatever decays. PyTorch's `weight_decay` is the coupled one; it decays norms and biases too,
/// which are left alone here.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor, Var};
/// # use npair_train::{Decay, Sgd, SgdSettings, Updater};
/// let x = Var::from_tensor(&Tensor::new(&[[4f32]], &Device::Cpu)?)?;
/// let settings = SgdSettings { learning_rate: 0.5, momentum: 0.5, weight_decay: 0.25, decay: Decay::Coupled };
/// let mut updater = Updater::new(vec![("x".to_owned(), x.clone())], Sgd::new(settings)?)?;
/// // u = 4 + 4 / 4, x = 4 - 5 / 2; then u = 5 / 2 + 4 + 1.5 / 4, x = 1.5 - 6.875 / 2.
/// for want in [1.5, -1.9375] {
///     updater.add(&x.sum_all()?.affine(4., 0.)?.backward()?)?;
///     updater.step(1.)?;
///     assert_eq!(x.to_vec2::<f32>()?, [[want]]);
/// }
/// # Ok::<(), npair_train::Error>(())
/// ```
pub struct Sgd {
    pub(super) settings: SgdSettings,
    pub(super) ruled: Ruled<SgdRule>,
}

impl Sgd {
    /// With these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(settings: SgdSettings) -> crate::Result<Self> {
        let SgdSettings { learning_rate, momentum, weight_decay, decay } = settings;
        in_range("optimizer.learning_rate", learning_rate, 0., f64::MAX)?;
        in_range("optimizer.weight_decay", weight_decay, 0., f64::MAX)?;
        in_range("optimizer.momentum", momentum, 0., 1. - f64::EPSILON)?;
        Ok(Self { settings, ruled: Ruled::new(SgdRule { momentum, decay }) })
    }
}

optimizer_of_rule!(Sgd, "sgd");

pub(super) struct SgdRule {
    momentum: f64,
    decay: Decay,
}

impl Rule for SgdRule {
    fn memory(&self) -> &'static [&'static str] {
        &["velocity"]
    }

    fn couples_decay(&self) -> bool {
        self.decay == Decay::Coupled
    }

    fn update(&self, cell: Cell, rate: f64, _step: u64) {
        let [velocity] = cell.memory else { return };
        for ((x, &g), u) in cell.value.iter_mut().zip(cell.grad).zip(velocity.iter_mut()) {
            let pull = if cell.pull > 0. { cell.pull * f64::from(*x) } else { 0. };
            let moved = self.momentum * f64::from(*u) + f64::from(g) * cell.scale + pull;
            *u = moved as f32;
            *x = (f64::from(*x) * cell.keep - rate * moved) as f32;
        }
    }

    fn update_whole(&self, whole: Whole, rate: f64, _step: u64) -> Result<Option<Tensor>> {
        let [velocity] = whole.memory else { return Ok(None) };
        *velocity = velocity.affine(self.momentum, 0.)?.add(&whole.grad.affine(whole.scale, 0.)?)?;
        if whole.pull > 0. {
            *velocity = velocity.add(&whole.value.affine(whole.pull, 0.)?)?;
        }
        whole.value.affine(whole.keep, 0.)?.sub(&velocity.affine(rate, 0.)?).map(Some)
    }
}
