use super::in_range;
use super::ruled::{Cell, Rule, Ruled, optimizer_of_rule};
use super::tensors::Whole;
use candle_core::{Result, Tensor};
use npair_nn::{AdamStep, adam_step};

/// Settings of [`Adam`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Learning rate at full height of the schedule.
    pub learning_rate: f64,
    /// b1 and b2, the decay rates of the moments.
    pub betas: [f64; 2],
    /// Keeps the denominator above 0.
    pub epsilon: f64,
    /// Decay of the weights per step, times the learning rate; on matrices and filters alone.
    pub weight_decay: f64,
}

impl Default for AdamSettings {
    fn default() -> Self {
        Self { learning_rate: 3e-3, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0. }
    }
}

/// Adam, with decoupled weight decay.
///
/// ```text
/// m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
/// x = x (1 - rate decay) - rate m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)
/// ```
/// # Source
/// Kingma and Ba, ICLR 2015, algorithm 1;
/// and for decoupled weight decay Loshchilov and Hutter, ICLR 2019 (AdamW).
pub struct Adam {
    pub(super) settings: AdamSettings,
    pub(super) ruled: Ruled<AdamRule>,
}

impl Adam {
    /// With these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(settings: AdamSettings) -> crate::Result<Self> {
        let AdamSettings { learning_rate, betas, epsilon, weight_decay } = settings;
        in_range("optimizer.learning_rate", learning_rate, 0., f64::MAX)?;
        in_range("optimizer.weight_decay", weight_decay, 0., f64::MAX)?;
        in_range("optimizer.betas", betas[0], 0., 1. - f64::EPSILON)?;
        in_range("optimizer.betas", betas[1], 0., 1. - f64::EPSILON)?;
        in_range("optimizer.epsilon", epsilon, f64::MIN_POSITIVE, f64::MAX)?;
        Ok(Self { settings, ruled: Ruled::new(AdamRule { betas, epsilon }) })
    }
}

optimizer_of_rule!(Adam, "adam");

pub(super) struct AdamRule {
    betas: [f64; 2],
    epsilon: f64,
}

impl Rule for AdamRule {
    fn memory(&self) -> &'static [&'static str] {
        &["first", "second"]
    }

    fn update(&self, cell: Cell, rate: f64, step: u64) {
        let [b1, b2] = self.betas;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let (c1, c2) = (1. - b1.powi(t), 1. - b2.powi(t));
        let [first, second] = cell.memory else { return };
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((x, &g), (m, v)) in cell.value.iter_mut().zip(cell.grad).zip(moments) {
            let g = f64::from(g) * cell.scale;
            let (m1, v1) = (b1 * f64::from(*m) + (1. - b1) * g, b2 * f64::from(*v) + (1. - b2) * g * g);
            (*m, *v) = (m1 as f32, v1 as f32);
            *x = (f64::from(*x) * cell.keep - rate * (m1 / c1) / ((v1 / c2).sqrt() + self.epsilon)) as f32;
        }
    }

    fn update_whole(&self, whole: Whole, rate: f64, step: u64) -> Result<Option<Tensor>> {
        let [b1, b2] = self.betas;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let (c1, c2) = (1. - b1.powi(t), 1. - b2.powi(t));
        let [first, second] = whole.memory else { return Ok(None) };
        let of_kernel = AdamStep {
            betas: self.betas,
            scale: whole.scale,
            keep: whole.keep,
            rate,
            corrections: [c1, c2],
            epsilon: self.epsilon,
        };
        if adam_step(whole.value, whole.grad, [first, second], of_kernel)? {
            return Ok(None);
        }
        let g = whole.grad.affine(whole.scale, 0.)?;
        *first = first.affine(b1, 0.)?.add(&g.affine(1. - b1, 0.)?)?;
        *second = second.affine(b2, 0.)?.add(&g.sqr()?.affine(1. - b2, 0.)?)?;
        let root = second.affine(1. / c2, 0.)?.sqrt()?.affine(1., self.epsilon)?;
        whole.value.affine(whole.keep, 0.)?.sub(&first.affine(rate / c1, 0.)?.div(&root)?).map(Some)
    }
}
