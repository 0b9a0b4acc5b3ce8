use super::in_range;
use super::ruled::{Cell, Rule, Ruled, optimizer_of_rule};
use super::tensors::Whole;
use candle_core::{Result, Tensor};

/// Settings of [`Lion`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LionSettings {
    /// Learning rate at full height of the schedule: the length of every entry's step, a third to a tenth of what Adam takes.
    pub learning_rate: f64,
    /// b1, how much of the momentum is in a step, and b2, how much of it is kept.
    pub betas: [f64; 2],
    /// Decay of the weights per step, times the learning rate; on matrices and filters alone. As much larger than Adam's as the rate is
    /// smaller.
    pub weight_decay: f64,
}

impl Default for LionSettings {
    fn default() -> Self {
        Self { learning_rate: 3e-4, betas: [0.9, 0.99], weight_decay: 0. }
    }
}

/// Lion (evolved sign momentum), with decoupled weight decay: half of Adam's memory.
///
/// ```text
/// x = x (1 - rate decay) - rate sign(b1 m + (1 - b1) g)
/// m = b2 m + (1 - b2) g
/// ```
/// The sign of 0 is 0.
///
/// # Source
/// Chen et al., NeurIPS 2023 (arXiv 2302.06675), algorithm 2; its usual values.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor, Var}; use npair_train::{Lion, LionSettings, Updater};
/// let x = Var::from_tensor(&Tensor::new(&[3f32, 1e-3], &Device::Cpu)?)?;
/// let lion = Lion::new(LionSettings { learning_rate: 0.5, ..Default::default() })?;
/// let mut updater = Updater::new(vec![("x".to_owned(), x.clone())], lion)?;
/// updater.add(&x.sqr()?.sum_all()?.backward()?)?;
/// updater.step(1.)?;
/// // However small the gradient.
/// assert_eq!(x.to_vec1::<f32>()?, [2.5, -0.499]);
/// # Ok::<(), npair_train::Error>(())
/// ```
pub struct Lion {
    pub(super) settings: LionSettings,
    pub(super) ruled: Ruled<LionRule>,
}

impl Lion {
    /// With these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(settings: LionSettings) -> crate::Result<Self> {
        let LionSettings { learning_rate, betas, weight_decay } = settings;
        in_range("optimizer.learning_rate", learning_rate, 0., f64::MAX)?;
        in_range("optimizer.weight_decay", weight_decay, 0., f64::MAX)?;
        in_range("optimizer.betas", betas[0], 0., 1. - f64::EPSILON)?;
        in_range("optimizer.betas", betas[1], 0., 1. - f64::EPSILON)?;
        Ok(Self { settings, ruled: Ruled::new(LionRule { betas }) })
    }
}

optimizer_of_rule!(Lion, "lion");

pub(super) struct LionRule {
    betas: [f64; 2],
}

/// -1, 0 or 1.
fn sign(value: f64) -> f64 {
    if value == 0. { 0. } else { value.signum() }
}

impl Rule for LionRule {
    fn memory(&self) -> &'static [&'static str] {
        &["momentum"]
    }

    fn update(&self, cell: Cell, rate: f64, _step: u64) {
        let [b1, b2] = self.betas;
        let [momentum] = cell.memory else { return };
        for ((x, &g), m) in cell.value.iter_mut().zip(cell.grad).zip(momentum.iter_mut()) {
            let (g, before) = (f64::from(g) * cell.scale, f64::from(*m));
            *x = (f64::from(*x) * cell.keep - rate * sign(b1 * before + (1. - b1) * g)) as f32;
            *m = (b2 * before + (1. - b2) * g) as f32;
        }
    }

    fn update_whole(&self, whole: Whole, rate: f64, _step: u64) -> Result<Option<Tensor>> {
        let [b1, b2] = self.betas;
        let [momentum] = whole.memory else { return Ok(None) };
        let g = whole.grad.affine(whole.scale, 0.)?;
        let towards = momentum.affine(b1, 0.)?.add(&g.affine(1. - b1, 0.)?)?.sign()?;
        *momentum = momentum.affine(b2, 0.)?.add(&g.affine(1. - b2, 0.)?)?;
        whole.value.affine(whole.keep, 0.)?.sub(&towards.affine(rate, 0.)?).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Composed, GRADIENTS, START, agree, follow};
    use super::*;

    const SETTINGS: LionSettings = LionSettings { learning_rate: 0.01, betas: [0.9, 0.99], weight_decay: 0.5 };

    /// What timm 1.0.31's `Lion(lr=0.01, betas=(0.9, 0.99), weight_decay=0.5)` makes of the same start and gradients in f64 (PyTorch
    /// 2.15), after each step.
    const OF_TIMM: [[f64; 4]; 6] = [
        [0.985, -0.985, 0.4975, 1.98],
        [0.990075, -0.990075, 0.4950125, 1.9801],
        [0.9751246250000001, -0.9951246250000001, 0.4825374375, 1.9801995],
        [0.9802490018750001, -0.9801490018750001, 0.4901247503125, 1.9602985025],
        [0.965347756865625, -0.9852482568656251, 0.4776741265609375, 1.9604970099874999],
        [0.9705210180812969, -0.9703220155812969, 0.4652857559281328, 1.9406945249375624],
    ];

    /// Algorithm 2, in f64.
    fn by_hand() -> Vec<[f64; 4]> {
        let LionSettings { learning_rate: rate, betas: [b1, b2], weight_decay: decay } = SETTINGS;
        let (mut x, mut m) = (START, [0.; 4]);
        let step = |g: &[f64; 4]| {
            for at in 0..4 {
                let c = b1 * m[at] + (1. - b1) * g[at];
                let sign = f64::from(i8::from(c > 0.) - i8::from(c < 0.));
                x[at] -= rate * (sign + decay * x[at]);
                m[at] = b2 * m[at] + (1. - b2) * g[at];
            }
            x
        };
        GRADIENTS.iter().map(step).collect()
    }

    #[test]
    fn steps_are_those_of_the_algorithm_and_of_pytorch() {
        // A value below 2 is rounded once a step on slices, three times on tensors.
        let made = [follow(Lion::new(SETTINGS).unwrap()), follow(Composed(Lion::new(SETTINGS).unwrap()))];
        agree(&by_hand(), &OF_TIMM, made, 4.);
    }

    #[test]
    fn settings_outside_their_range_are_said() {
        let said = |settings| Lion::new(settings).err().unwrap().to_string();
        let usual = LionSettings::default();
        assert!(said(LionSettings { betas: [0.9, 1.], ..usual }).contains("optimizer.betas"));
        assert!(said(LionSettings { learning_rate: f64::NAN, ..usual }).contains("optimizer.learning_rate"));
        assert!(said(LionSettings { weight_decay: -1., ..usual }).contains("optimizer.weight_decay"));
    }
}
