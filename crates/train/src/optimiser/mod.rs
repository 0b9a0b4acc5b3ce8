//! Optimisers whose whole state can be saved.

mod adam;
mod groups;
mod memory;
mod sgd;
mod slices;
mod tensors;

pub(crate) use groups::{is_below, unknown};

use crate::config::{OptimiserConfig, OptimiserName};
use crate::{Error, Result};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use memory::Memory;
use std::collections::HashMap;
use tensors::Whole;

/// Values that are moved by one thread; a fixed number, so that sums do not depend on how many threads there are.
const PART: usize = 1 << 14;

/// A part of a variable on its way: values, gradient, and the optimiser's memory, of one length.
struct Cell<'a, 'm> {
    value: &'a mut [f32],
    grad: &'a [f32],
    memory: &'a mut [&'m mut [f32]],
    /// What the gradient is multiplied by.
    scale: f64,
    /// What weight decay leaves of the value.
    keep: f64,
}

/// How a step moves a variable.
trait Rule: Send + Sync {
    /// Names of the values remembered per entry.
    fn memory(&self) -> &'static [&'static str];
    /// Moves a part at learning rate `rate`; `step` counts from 1.
    fn update(&self, cell: Cell, rate: f64, step: u64);
    /// The same of a whole variable on a device: the new value, and the memory in its place.
    fn update_whole(&self, whole: Whole, rate: f64, step: u64) -> candle_core::Result<Tensor>;
}

/// An optimiser of named variables: gradient accumulation, clipping of the whole gradient's norm, decoupled weight decay.
///
/// On the CPU the formulas are those of f64 on f32 values. On a device they are tensor operations in f32, and one value is read
/// in a step, the gradient's norm.
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
    memory: Vec<Memory>,
    /// For every variable, its scales of learning rate and weight decay.
    scales: Vec<[f64; 2]>,
    sums: Vec<Option<Tensor>>,
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
        let scales = groups::scales(&vars, &config.group)?;
        if config.accumulate == 0 {
            return fail("optimiser.accumulate", "is 0, but has to be at least 1".to_owned());
        }
        let rule: Box<dyn Rule> = match config.name {
            OptimiserName::Adam => Box::new(adam::Adam { betas: config.betas, epsilon: config.epsilon }),
            OptimiserName::Sgd => Box::new(sgd::Sgd { momentum: config.momentum }),
        };
        let kinds = rule.memory().len();
        let memory = vars.iter().map(|(_, v)| Memory::new(v, kinds)).collect::<candle_core::Result<_>>()?;
        let sums = vec![None; vars.len()];
        Ok(Self { vars, rule, config, memory, scales, sums, batches: 0, steps: 0 })
    }

    /// How many values train at which rate and decay, one line each.
    pub(crate) fn describe(&self) -> Vec<String> {
        groups::describe(&self.vars, &self.scales, &self.config)
    }

    /// Variables that the batches taken do not teach, but those excused by a prefix: what is wrong with the gradient, and of
    /// whom.
    pub(crate) fn dead(&self, excused: &[String]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for ((name, _), sum) in self.vars.iter().zip(&self.sums) {
            if excused.iter().any(|p| groups::is_below(name, p)) {
                continue;
            }
            let largest = match sum {
                None => None,
                // The largest absolute value is not finite if any is not: sums hide no infinity either.
                Some(grad) => Some(grad.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar::<f64>()?),
            };
            match largest {
                None => names.push(format!("{name} (none)")),
                Some(0.) => names.push(format!("{name} (zero)")),
                Some(sum) if !sum.is_finite() => names.push(format!("{name} (not finite)")),
                Some(_) => {}
            }
        }
        Ok(names)
    }

    /// Takes the gradients of one batch.
    ///
    /// # Errors
    /// Those of candle when gradients are added.
    pub fn add(&mut self, grads: &GradStore) -> Result<()> {
        self.add_part(grads)?;
        self.end_batch();
        Ok(())
    }

    /// The batch whose parts were taken is whole.
    pub(crate) fn end_batch(&mut self) {
        self.batches += 1;
    }

    /// Takes a part of the gradients of a batch.
    pub(crate) fn add_part(&mut self, grads: &GradStore) -> Result<()> {
        for ((_, var), sum) in self.vars.iter().zip(&mut self.sums) {
            let Some(grad) = grads.get(var) else { continue };
            let grad = grad.detach().to_dtype(DType::F32)?;
            *sum = Some(match sum.take() {
                None => grad.contiguous()?,
                Some(sum) => (sum + grad)?,
            });
        }
        Ok(())
    }

    /// Moves the variables by the mean of the gradients taken since the last step, at `factor` times the learning rate; nothing
    /// moves if that mean is not finite.
    ///
    /// # Errors
    /// Those of candle when values are fetched or set.
    pub fn step(&mut self, factor: f64) -> Result<Moved> {
        let mean = 1. / self.batches.max(1) as f64;
        let grad_norm = tensors::squares(&self.sums)?.sqrt() * mean;
        self.batches = 0;
        if !grad_norm.is_finite() {
            self.sums.fill(None);
            return Ok(Moved { grad_norm });
        }
        self.steps += 1;
        let clip = self.config.clip_norm;
        let scale = if clip > 0. && grad_norm > clip { mean * clip / grad_norm } else { mean };
        for (((_, var), memory), (sum, [lr_scale, decay_scale])) in
            self.vars.iter().zip(&mut self.memory).zip(self.sums.iter_mut().zip(&self.scales))
        {
            let Some(grad) = sum.take() else { continue };
            let rate = self.config.learning_rate * factor * lr_scale;
            // Norms and biases have one dimension; shrinking them is no regularisation.
            let decay = if var.rank() > 1 { self.config.weight_decay * decay_scale } else { 0. };
            let (keep, steps, rule) = (1. - rate * decay, self.steps, &*self.rule);
            match memory {
                Memory::Host(memory) => slices::change(var, &grad, memory, &|value, grad, memory| {
                    rule.update(Cell { value, grad, memory, scale, keep }, rate, steps);
                })?,
                Memory::Device(memory) => {
                    let whole = Whole { value: &var.as_detached_tensor(), grad: &grad, memory, scale, keep };
                    var.set(&rule.update_whole(whole, rate, steps)?)?;
                }
            }
        }
        Ok(Moved { grad_norm })
    }

    /// The memory, by `VARIABLE/KIND`, and the number of steps.
    pub(crate) fn save(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        let mut out = HashMap::new();
        for ((name, var), memory) in self.vars.iter().zip(&self.memory) {
            for (kind, values) in self.rule.memory().iter().zip(memory.tensors(var)?) {
                out.insert(format!("{name}/{kind}"), values);
            }
        }
        Ok((out, self.steps))
    }

    /// Goes on from a saved memory; the error says what is missing or does not fit.
    pub(crate) fn restore(&mut self, tensors: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        for ((name, var), memory) in self.vars.iter().zip(&mut self.memory) {
            for (at, kind) in self.rule.memory().iter().enumerate() {
                let key = format!("{name}/{kind}");
                let saved = tensors.get(&key).ok_or(format!("{key} is missing"))?;
                if saved.shape() != var.shape() {
                    return Err(format!("{key} has shape {:?} instead of {:?}", saved.dims(), var.dims()));
                }
                memory.set(at, saved, var).map_err(|e| e.to_string())?;
            }
        }
        self.steps = steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GroupConfig;
    use candle_core::Device;

    fn minimise(config: OptimiserConfig, steps: usize) -> Vec<f32> {
        // |x - (1, -2)|^2, from 0.
        let x = Var::from_tensor(&Tensor::new(&[0f32, 0.], &Device::Cpu).unwrap()).unwrap();
        let target = Tensor::new(&[1f32, -2.], &Device::Cpu).unwrap();
        let accumulate = config.accumulate;
        let mut optimiser = Optimiser::new(vec![("x".into(), x.clone())], config).unwrap();
        for _ in 0..steps {
            for _ in 0..accumulate {
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
        let got = minimise(adam.clone(), 1);
        assert!((got[0] - 0.1).abs() < 1e-6 && (got[1] + 0.1).abs() < 1e-6, "{got:?}");
        let sgd = OptimiserConfig { name: OptimiserName::Sgd, momentum: 0.5, ..adam };
        assert_eq!(minimise(sgd.clone(), 1), [0.2, -0.4]);
        // x = 0.2: gradient -1.6, velocity 0.5 * -2 - 1.6 = -2.6.
        let got = minimise(sgd.clone(), 2);
        assert!((got[0] - 0.46).abs() < 1e-6, "{got:?}");
        // Two equal batches average to one.
        assert_eq!(minimise(OptimiserConfig { accumulate: 2, ..sgd.clone() }, 1), [0.2, -0.4]);
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
    fn variables_without_a_gradient_are_named() {
        let var = |v: f32| Var::from_tensor(&Tensor::new(&[v, v], &Device::Cpu).unwrap()).unwrap();
        let vars = ["good", "unused", "times.zero", "times.infinity"].map(|name| (name.to_owned(), var(1.)));
        let [good, _, zero, infinite] = vars.each_ref().map(|(_, v)| v.as_tensor());
        let loss = (good + (zero * zero.zeros_like().unwrap()).unwrap()).unwrap();
        let loss = (loss + (infinite * f64::INFINITY).unwrap()).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        let mut optimiser = Optimiser::new(vars.to_vec(), OptimiserConfig::default()).unwrap();
        optimiser.add(&grads).unwrap();
        let dead =
            |excused: &[&str]| optimiser.dead(&excused.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap();
        assert_eq!(dead(&[]), ["unused (none)", "times.zero (zero)", "times.infinity (not finite)"]);
        assert_eq!(dead(&["times", "unus"]), ["unused (none)"]);
    }

    #[test]
    fn groups_have_their_own_rate_and_decay() {
        let var = |v: f32| Var::from_tensor(&Tensor::new(&[[v]], &Device::Cpu).unwrap()).unwrap();
        let vars = ["body.first", "body.second", "head.weight"].map(|name| (name.to_owned(), var(1.)));
        let group =
            |prefix: &str, lr_scale, decay_scale| GroupConfig { prefix: prefix.to_owned(), lr_scale, decay_scale };
        let config = OptimiserConfig {
            name: OptimiserName::Sgd,
            learning_rate: 0.125,
            momentum: 0.,
            weight_decay: 0.5,
            group: vec![group("body.second", 0., 1.), group("body", 0.5, 0.), group("head", 2., 1.)],
            ..OptimiserConfig::default()
        };
        let mut optimiser = Optimiser::new(vars.to_vec(), config.clone()).unwrap();
        assert_eq!(
            optimiser.describe(),
            [
                "1 value in body.first: learning rate 0.0625, weight decay 0",
                "1 value in body.second: learning rate 0, weight decay 0.5",
                "1 value in head.weight: learning rate 0.25, weight decay 0.5",
            ]
        );
        // The gradient of the sum is 1 everywhere.
        let sum = vars.iter().map(|(_, v)| v.as_tensor().clone()).reduce(|a, b| (a + b).unwrap()).unwrap();
        optimiser.add(&sum.sum_all().unwrap().backward().unwrap()).unwrap();
        optimiser.step(1.).unwrap();
        let values = vars.each_ref().map(|(_, v)| v.to_vec2::<f32>().unwrap()[0][0]);
        // 1 - 0.0625; unmoved; (1 - 0.25 * 0.5) - 0.25.
        assert_eq!(values, [0.9375, 1., 0.625]);
        for (bad, want) in [
            (group("hea", 1., 1.), "`hea` begins no name; the names begin with body, head"),
            (group("head", -1., 1.), "finite number from 0"),
            (group("body", 1., 1.), "`body` is given twice"),
        ] {
            let config = OptimiserConfig { group: vec![group("body", 1., 1.), bad], ..config.clone() };
            let message = Optimiser::new(vars.to_vec(), config).err().unwrap().to_string();
            assert!(message.contains(want), "{message}");
        }
    }

    #[test]
    fn large_variables_move_alike_on_any_number_of_threads() {
        let many = 3 * PART + 7;
        let moved = npair_testkit::threads::with_threads(&[1, 2], || {
            let values: Vec<f32> = (0..many).map(|i| (i % 1009) as f32 / 512. - 1.).collect();
            let x = Var::from_vec(values, (1, many), &Device::Cpu).unwrap();
            let config = OptimiserConfig { clip_norm: 1., weight_decay: 0.1, ..OptimiserConfig::default() };
            let mut optimiser = Optimiser::new(vec![("x".into(), x.clone())], config).unwrap();
            for _ in 0..3 {
                optimiser.add(&x.powf(3.).unwrap().sum_all().unwrap().backward().unwrap()).unwrap();
                optimiser.step(1.).unwrap();
            }
            let bits: Vec<u32> =
                x.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
            bits
        });
        assert!(moved[0] == moved[1]);
        // Every entry moved, those at the seams of parts too: but for the zeros, whose gradient is 0.
        assert!(moved[0].iter().enumerate().all(|(i, bits)| {
            let from = (i % 1009) as f32 / 512. - 1.;
            from == 0. || *bits != from.to_bits()
        }));
    }

    /// The composed way on the CPU against the kernels. One step is a dozen roundings of f32 more, and Adam divides by a root
    /// whose relative error is half of that of the squares; errors add up over the steps.
    #[test]
    fn tensors_on_a_device_move_as_slices_do() {
        for (name, clip_norm) in [(OptimiserName::Adam, 0.), (OptimiserName::Sgd, 0.), (OptimiserName::Adam, 0.5)] {
            let config =
                OptimiserConfig { name, clip_norm, weight_decay: 0.1, accumulate: 2, ..OptimiserConfig::default() };
            let steps = 20;
            let run = |on_device: bool| {
                let x = Var::from_tensor(&npair_testkit::inputs::normal(1, 1., (7, 5), DType::F32).unwrap()).unwrap();
                let b = Var::from_tensor(&npair_testkit::inputs::normal(2, 1., 5, DType::F32).unwrap()).unwrap();
                let vars = vec![("x".to_owned(), x.clone()), ("b".to_owned(), b.clone())];
                let mut optimiser = Optimiser::new(vars, config.clone()).unwrap();
                if on_device {
                    optimiser.memory = vec![Memory::on_device(&x, 2).unwrap(), Memory::on_device(&b, 2).unwrap()];
                    optimiser.memory.iter_mut().for_each(|m| m.truncate(optimiser.rule.memory().len()));
                }
                let mut norms = Vec::new();
                for step in 0..steps {
                    for batch in 0..2 {
                        let loss = (x.broadcast_add(&b).unwrap() - f64::from(step + batch) / 7.).unwrap();
                        let loss = loss.sqr().unwrap().sqr().unwrap().mean_all().unwrap();
                        optimiser.add(&loss.backward().unwrap()).unwrap();
                    }
                    norms.push(optimiser.step(0.5).unwrap().grad_norm);
                }
                let (saved, count) = optimiser.save().unwrap();
                let mut again = Optimiser::new(optimiser.vars.clone(), config.clone()).unwrap();
                again.restore(&saved, count).unwrap();
                let mut memory: Vec<_> = again.save().unwrap().0.into_iter().collect();
                memory.sort_by(|a, b| a.0.cmp(&b.0));
                let mut all = norms.iter().map(|n| *n as f32).collect::<Vec<_>>();
                let tensors = [x.as_tensor().clone(), b.as_tensor().clone()].into_iter();
                for t in tensors.chain(memory.into_iter().map(|m| m.1)) {
                    all.extend(t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                }
                all
            };
            for (at, (host, device)) in run(false).iter().zip(run(true)).enumerate() {
                let tolerance = 16. * steps as f32 * f32::EPSILON * host.abs().max(1.);
                assert!((host - device).abs() <= tolerance, "{name:?} [{at}]: {host} {device}");
            }
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
