use super::in_range;
use super::ruled::{Cell, Rule, Ruled, optimizer_of_rule};
use super::tensors::Whole;
use candle_core::{Result, Tensor};

/// Settings of [`Adan`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdanSettings {
    /// Learning rate at full height of the schedule.
    pub learning_rate: f64,
    /// b1, b2 and b3, how much is kept of the gradient, of its change, and of their square: 1 minus the paper's.
    pub betas: [f64; 3],
    /// Keeps the denominator above 0.
    pub epsilon: f64,
    /// Decay of the weights per step, times the learning rate; on matrices and filters alone.
    pub weight_decay: f64,
}

impl Default for AdanSettings {
    fn default() -> Self {
        Self { learning_rate: 3e-3, betas: [0.98, 0.92, 0.99], epsilon: 1e-8, weight_decay: 0. }
    }
}

/// Adan (adaptive Nesterov momentum), with decoupled weight decay.
///
/// ```text
/// d = g - g'                                      g' the gradient of the step before; d = 0 in the first step
/// m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) d      n = b3 n + (1 - b3) (g + b2 d)^2
/// u = (m / (1 - b1^t) + b2 v / (1 - b2^t)) / (sqrt(n / (1 - b3^t)) + epsilon)
/// x = (x - rate u) / (1 + rate decay)
/// ```
/// Gradients are those after clipping. g' of a variable whose first gradient comes later than in the first step is 0.
///
/// # Source
/// Xie et al., TPAMI 2024 (arXiv 2208.06677), algorithm 1; the moments are debiased and have the usual values of the authors' code.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor, Var}; use npair_train::{Adan, AdanSettings, Updater};
/// let x = Var::from_tensor(&Tensor::new(&[3f32], &Device::Cpu)?)?;
/// let adan = Adan::new(AdanSettings { learning_rate: 0.5, ..Default::default() })?;
/// let mut updater = Updater::new(vec![("x".to_owned(), x.clone())], adan)?;
/// updater.add(&x.sqr()?.sum_all()?.backward()?)?;
/// updater.step(1.)?;
/// // The first step is the learning rate, against the gradient.
/// assert_eq!(x.to_vec1::<f32>()?, [2.5]);
/// # Ok::<(), npair_train::Error>(())
/// ```
pub struct Adan {
    pub(super) settings: AdanSettings,
    pub(super) ruled: Ruled<AdanRule>,
}

impl Adan {
    /// With these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(settings: AdanSettings) -> crate::Result<Self> {
        let AdanSettings { learning_rate, betas, epsilon, weight_decay } = settings;
        in_range("optimizer.learning_rate", learning_rate, 0., f64::MAX)?;
        in_range("optimizer.weight_decay", weight_decay, 0., f64::MAX)?;
        for beta in betas {
            in_range("optimizer.betas", beta, 0., 1. - f64::EPSILON)?;
        }
        in_range("optimizer.epsilon", epsilon, f64::MIN_POSITIVE, f64::MAX)?;
        Ok(Self { settings, ruled: Ruled::new(AdanRule { betas, epsilon }) })
    }
}

optimizer_of_rule!(Adan, "adan");

pub(super) struct AdanRule {
    betas: [f64; 3],
    epsilon: f64,
}

impl AdanRule {
    /// What moments of step `step` are divided by, so that those of the first steps are not too small.
    fn debias(&self, step: u64) -> [f64; 3] {
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        self.betas.map(|beta| 1. - beta.powi(t))
    }
}

impl Rule for AdanRule {
    fn memory(&self) -> &'static [&'static str] {
        &["first", "change", "second", "gradient"]
    }

    fn update(&self, cell: Cell, rate: f64, step: u64) {
        let ([b1, b2, b3], [c1, c2, c3]) = (self.betas, self.debias(step));
        let left = cell.left_of_both();
        let [first, change, second, gradient] = cell.memory else { return };
        let moments = first.iter_mut().zip(change.iter_mut()).zip(second.iter_mut().zip(gradient.iter_mut()));
        for ((x, &g), ((m, v), (n, before))) in cell.value.iter_mut().zip(cell.grad).zip(moments) {
            let g = f64::from(g) * cell.scale;
            let d = if step == 1 { 0. } else { g - f64::from(*before) };
            let (m1, v1) = (b1 * f64::from(*m) + (1. - b1) * g, b2 * f64::from(*v) + (1. - b2) * d);
            let n1 = b3 * f64::from(*n) + (1. - b3) * (g + b2 * d) * (g + b2 * d);
            (*m, *v, *n, *before) = (m1 as f32, v1 as f32, n1 as f32, g as f32);
            let u = (m1 / c1 + b2 * v1 / c2) / ((n1 / c3).sqrt() + self.epsilon);
            *x = ((f64::from(*x) - rate * u) * left) as f32;
        }
    }

    fn update_whole(&self, whole: Whole, rate: f64, step: u64) -> Result<Option<Tensor>> {
        let ([b1, b2, b3], [c1, c2, c3]) = (self.betas, self.debias(step));
        let left = whole.left_of_both();
        let [first, change, second, gradient] = whole.memory else { return Ok(None) };
        let g = whole.grad.affine(whole.scale, 0.)?;
        let d = if step == 1 { g.zeros_like()? } else { g.sub(gradient)? };
        *first = first.affine(b1, 0.)?.add(&g.affine(1. - b1, 0.)?)?;
        *change = change.affine(b2, 0.)?.add(&d.affine(1. - b2, 0.)?)?;
        let ahead = g.add(&d.affine(b2, 0.)?)?.sqr()?;
        *second = second.affine(b3, 0.)?.add(&ahead.affine(1. - b3, 0.)?)?;
        *gradient = g;
        let root = second.affine(1. / c3, 0.)?.sqrt()?.affine(1., self.epsilon)?;
        let u = first.affine(1. / c1, 0.)?.add(&change.affine(b2 / c2, 0.)?)?.div(&root)?;
        whole.value.sub(&u.affine(rate, 0.)?)?.affine(left, 0.).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Composed, GRADIENTS, START, agree, follow};
    use super::*;

    const SETTINGS: AdanSettings =
        AdanSettings { learning_rate: 0.01, betas: [0.98, 0.92, 0.99], epsilon: 1e-8, weight_decay: 0.5 };

    /// What timm 1.0.31's `Adan(lr=0.01, betas=(0.98, 0.92, 0.99), eps=1e-8, weight_decay=0.5)` makes of the same start and gradients in
    /// f64 (PyTorch 2.15), after each step.
    const OF_TIMM: [[f64; 4]; 6] = [
        [0.9850746269651742, -0.9850746270646767, 0.49751243781094534, 1.9800995028855723],
        [0.9858100267884511, -0.9853928128319391, 0.4950372515531795, 1.9747654898253983],
        [0.9816919334371312, -0.9853234198691841, 0.4865666739164336, 1.9665066221524963],
        [0.9781559224451453, -0.9788754228915612, 0.48434386378620975, 1.9534130347588992],
        [0.9705646399489873, -0.9748889976616074, 0.48040203710778795, 1.9462640269198646],
        [0.9660216722737093, -0.9698319373815316, 0.4766479226743033, 1.937074414722935],
    ];

    /// Algorithm 1 with debiased moments, in f64.
    fn by_hand() -> Vec<[f64; 4]> {
        let AdanSettings { learning_rate: rate, betas: [b1, b2, b3], epsilon, weight_decay: decay } = SETTINGS;
        let (mut x, mut m, mut v, mut n) = (START, [0.; 4], [0.; 4], [0.; 4]);
        let step = |t: usize| {
            let (g, before) = (GRADIENTS[t], if t == 0 { GRADIENTS[0] } else { GRADIENTS[t - 1] });
            let correct = |beta: f64| 1. - beta.powi(t as i32 + 1);
            for at in 0..4 {
                let d = g[at] - before[at];
                m[at] = b1 * m[at] + (1. - b1) * g[at];
                v[at] = b2 * v[at] + (1. - b2) * d;
                n[at] = b3 * n[at] + (1. - b3) * (g[at] + b2 * d).powi(2);
                let rate_here = rate / ((n[at] / correct(b3)).sqrt() + epsilon);
                let moved = x[at] - rate_here * (m[at] / correct(b1) + b2 * v[at] / correct(b2));
                x[at] = moved / (1. + decay * rate);
            }
            x
        };
        (0..GRADIENTS.len()).map(step).collect()
    }

    #[test]
    fn steps_are_those_of_the_algorithm_and_of_pytorch() {
        // A value below 2 is rounded once a step on slices, three times on tensors; what its step of about the rate is off by is a
        // hundredth of that.
        let made = [follow(Adan::new(SETTINGS).unwrap()), follow(Composed(Adan::new(SETTINGS).unwrap()))];
        agree(&by_hand(), &OF_TIMM, made, 5.);
    }

    #[test]
    fn settings_outside_their_range_are_said() {
        let said = |settings| Adan::new(settings).err().unwrap().to_string();
        let usual = AdanSettings::default();
        assert!(said(AdanSettings { betas: [0.9, 0.9, 1.], ..usual }).contains("optimizer.betas"));
        assert!(said(AdanSettings { epsilon: 0., ..usual }).contains("optimizer.epsilon"));
        assert!(said(AdanSettings { learning_rate: -1., ..usual }).contains("optimizer.learning_rate"));
    }
}
