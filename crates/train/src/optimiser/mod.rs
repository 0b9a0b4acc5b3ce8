//! Optimisers whose whole state can be saved.

mod adam;
mod sgd;

use crate::config::{OptimiserConfig, OptimiserName};
use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use std::collections::HashMap;

/// One variable on its way: values, gradient, and the optimiser's memory, of one length.
struct Cell<'a> {
    value: &'a mut [f32],
    grad: &'a [f32],
    memory: &'a mut [Vec<f32>],
}

/// How a step moves a variable.
trait Rule {
    /// Names of the values remembered per entry.
    fn memory(&self) -> &'static [&'static str];
    /// Moves a variable at learning rate `rate`; `step` counts from 1.
    fn update(&self, cell: Cell, rate: f64, step: u64);
}

/// An optimiser of named variables: gradient accumulation, clipping of the whole gradient's norm, decoupled weight decay.
///
/// ```
/// # use candle_core::{Device, Tensor, Var}; use npair_train::{Optimiser, config::OptimiserConfig};
/// let x = Var::from_tensor(&Tensor::new(&[3f32], &Device::Cpu)?)?;
/// let config = OptimiserConfig { learning_rate: 0.5, ..Default::default() };
/// let mut optimiser = Optimiser::new(vec![("x".to_owned(), x.clone())], config)?;
/// optimiser.add(&x.sqr()?.sum_all()?.backward()?)?;
/// assert_eq!(optimiser.step(1.)?.grad_norm, 6.);
/// // Adam's first step is the learning rate, against the gradient.
/// assert_eq!(x.to_vec1::<f32>()?, [2.5]);
/// # Ok::<(), npair_train::Error>(())
/// ```
pub struct Optimiser {
    vars: Vec<(String, Var)>,
    rule: Box<dyn Rule>,
    config: OptimiserConfig,
    /// For every variable, what the rule remembers.
    memory: Vec<Vec<Vec<f32>>>,
    sums: Vec<Option<Vec<f32>>>,
    batches: usize,
    steps: u64,
}

/// What a step was like.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
}

impl Optimiser {
    /// An optimiser of `vars`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(vars: Vec<(String, Var)>, config: OptimiserConfig) -> Result<Self> {
        let fail = |setting, why: String| Err(Error::Setting { setting, why });
        let ranges = [
            ("optimiser.learning_rate", config.learning_rate, 0., f64::MAX),
            ("optimiser.weight_decay", config.weight_decay, 0., f64::MAX),
            ("optimiser.clip_norm", config.clip_norm, 0., f64::MAX),
            ("optimiser.betas", config.betas[0], 0., 1. - f64::EPSILON),
            ("optimiser.betas", config.betas[1], 0., 1. - f64::EPSILON),
            ("optimiser.epsilon", config.epsilon, f64::MIN_POSITIVE, f64::MAX),
            ("optimiser.momentum", config.momentum, 0., 1. - f64::EPSILON),
        ];
        for (setting, got, low, high) in ranges {
            if !(low..=high).contains(&got) {
                return fail(setting, format!("is {got}, but has to be a finite number from {low} to {high}"));
            }
        }
        if config.accumulate == 0 {
            return fail("optimiser.accumulate", "is 0, but has to be at least 1".to_owned());
        }
        let rule: Box<dyn Rule> = match config.name {
            OptimiserName::Adam => Box::new(adam::Adam { betas: config.betas, epsilon: config.epsilon }),
            OptimiserName::Sgd => Box::new(sgd::Sgd { momentum: config.momentum }),
        };
        let kinds = rule.memory().len();
        let memory = vars.iter().map(|(_, v)| vec![vec![0f32; v.elem_count()]; kinds]).collect();
        let sums = vec![None; vars.len()];
        Ok(Self { vars, rule, config, memory, sums, batches: 0, steps: 0 })
    }

    /// Names of the variables that no gradient of this batch reaches.
    pub(crate) fn unreached(&self, grads: &GradStore) -> Vec<String> {
        self.vars.iter().filter(|(_, v)| grads.get(v).is_none()).map(|(n, _)| n.clone()).collect()
    }

    /// Takes the gradients of one batch.
    ///
    /// # Errors
    /// Those of candle when gradients are fetched.
    pub fn add(&mut self, grads: &GradStore) -> Result<()> {
        for ((_, var), sum) in self.vars.iter().zip(&mut self.sums) {
            let Some(grad) = grads.get(var) else { continue };
            let grad = grad.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            match sum {
                None => *sum = Some(grad),
                Some(sum) => sum.iter_mut().zip(&grad).for_each(|(s, g)| *s += g),
            }
        }
        self.batches += 1;
        Ok(())
    }

    /// Moves the variables by the mean of the gradients taken since the last step, at `factor` times the learning rate; nothing
    /// moves if that mean is not finite.
    ///
    /// # Errors
    /// Those of candle when values are fetched or set.
    pub fn step(&mut self, factor: f64) -> Result<Moved> {
        let squares = |g: &Vec<f32>| g.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let mean = 1. / self.batches.max(1) as f64;
        let grad_norm = self.sums.iter().flatten().map(squares).sum::<f64>().sqrt() * mean;
        self.batches = 0;
        if !grad_norm.is_finite() {
            self.sums.fill(None);
            return Ok(Moved { grad_norm });
        }
        self.steps += 1;
        let clip = self.config.clip_norm;
        let scale = if clip > 0. && grad_norm > clip { mean * clip / grad_norm } else { mean };
        let rate = self.config.learning_rate * factor;
        for ((at, (_, var)), memory) in self.vars.iter().enumerate().zip(&mut self.memory) {
            let Some(mut grad) = self.sums[at].take() else { continue };
            if scale != 1. {
                grad.iter_mut().for_each(|g| *g = (f64::from(*g) * scale) as f32);
            }
            let mut value = var.as_tensor().flatten_all()?.to_vec1::<f32>()?;
            // Norms and biases have one dimension; shrinking them is no regularisation.
            if self.config.weight_decay > 0. && var.rank() > 1 {
                let keep = 1. - rate * self.config.weight_decay;
                value.iter_mut().for_each(|v| *v = (f64::from(*v) * keep) as f32);
            }
            self.rule.update(Cell { value: &mut value, grad: &grad, memory }, rate, self.steps);
            var.set(&Tensor::from_vec(value, var.shape(), var.device())?)?;
        }
        Ok(Moved { grad_norm })
    }

    /// The memory, by `VARIABLE/KIND`, and the number of steps.
    pub(crate) fn save(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        let mut out = HashMap::new();
        for ((name, var), memory) in self.vars.iter().zip(&self.memory) {
            for (kind, values) in self.rule.memory().iter().zip(memory) {
                out.insert(format!("{name}/{kind}"), Tensor::from_slice(values, var.shape(), &Device::Cpu)?);
            }
        }
        Ok((out, self.steps))
    }

    /// Goes on from a saved memory; the error says what is missing or does not fit.
    pub(crate) fn restore(&mut self, tensors: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        for ((name, var), memory) in self.vars.iter().zip(&mut self.memory) {
            for (kind, values) in self.rule.memory().iter().zip(memory) {
                let key = format!("{name}/{kind}");
                let saved = tensors.get(&key).ok_or(format!("{key} is missing"))?;
                if saved.shape() != var.shape() {
                    return Err(format!("{key} has shape {:?} instead of {:?}", saved.dims(), var.dims()));
                }
                *values = saved.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(|e| e.to_string())?;
            }
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimise(config: OptimiserConfig, steps: usize) -> Vec<f32> {
        // |x - (1, -2)|^2, from 0.
        let x = Var::from_tensor(&Tensor::new(&[0f32, 0.], &Device::Cpu).unwrap()).unwrap();
        let target = Tensor::new(&[1f32, -2.], &Device::Cpu).unwrap();
        let mut optimiser = Optimiser::new(vec![("x".into(), x.clone())], config).unwrap();
        for _ in 0..steps {
            for _ in 0..config.accumulate {
                let loss = (x.as_tensor() - &target).unwrap().sqr().unwrap().sum_all().unwrap();
                optimiser.add(&loss.backward().unwrap()).unwrap();
            }
            optimiser.step(1.).unwrap();
        }
        x.to_vec1::<f32>().unwrap()
    }

    #[test]
    fn first_steps_are_as_worked_out_by_hand() {
        let adam = OptimiserConfig { learning_rate: 0.1, ..OptimiserConfig::default() };
        // Adam's first step is the learning rate against the gradient's sign.
        let got = minimise(adam, 1);
        assert!((got[0] - 0.1).abs() < 1e-6 && (got[1] + 0.1).abs() < 1e-6, "{got:?}");
        let sgd = OptimiserConfig { name: OptimiserName::Sgd, momentum: 0.5, ..adam };
        assert_eq!(minimise(sgd, 1), [0.2, -0.4]);
        // x = 0.2: gradient -1.6, velocity 0.5 * -2 - 1.6 = -2.6.
        let got = minimise(sgd, 2);
        assert!((got[0] - 0.46).abs() < 1e-6, "{got:?}");
        // Two equal batches average to one.
        assert_eq!(minimise(OptimiserConfig { accumulate: 2, ..sgd }, 1), [0.2, -0.4]);
        // The gradient (-2, 4) has the norm sqrt 20.
        let got = minimise(OptimiserConfig { clip_norm: 1., ..sgd }, 1);
        assert!((got[0] - 0.1 * 2. / 20f32.sqrt()).abs() < 1e-7, "{got:?}");
    }

    #[test]
    fn both_find_the_minimum() {
        for name in [OptimiserName::Adam, OptimiserName::Sgd] {
            let config = OptimiserConfig { name, learning_rate: 0.05, ..OptimiserConfig::default() };
            let got = minimise(config, 500);
            assert!((got[0] - 1.).abs() < 1e-3 && (got[1] + 2.).abs() < 1e-3, "{name:?} {got:?}");
        }
    }

    #[test]
    fn settings_outside_their_range_are_said() {
        for (config, want) in [
            (OptimiserConfig { learning_rate: f64::NAN, ..OptimiserConfig::default() }, "learning_rate"),
            (OptimiserConfig { betas: [0.9, 1.], ..OptimiserConfig::default() }, "betas"),
            (OptimiserConfig { accumulate: 0, ..OptimiserConfig::default() }, "accumulate"),
        ] {
            assert!(Optimiser::new(Vec::new(), config).err().unwrap().to_string().contains(want));
        }
    }
}
