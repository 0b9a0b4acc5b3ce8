#![allow(clippy::unwrap_used)]

use super::memory::Memory;
use super::*;
use candle_core::{DType, Device};

/// Settings of all optimizers.
#[derive(Clone)]
struct Config {
    name: Name,
    learning_rate: f64,
    betas: [f64; 2],
    momentum: f64,
    weight_decay: f64,
    clip_norm: f64,
    accumulate: usize,
    group: Vec<ParameterGroup>,
    /// Whether what is remembered lies in tensors, as on a device.
    composed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Name {
    Adam,
    Sgd,
    Lion,
    Adan,
}

const ALL: [Name; 4] = [Name::Adam, Name::Sgd, Name::Lion, Name::Adan];

impl Default for Config {
    fn default() -> Self {
        let AdamSettings { learning_rate, betas, weight_decay, .. } = AdamSettings::default();
        let (group, momentum) = (Vec::new(), 0.9);
        Self {
            name: Name::Adam,
            learning_rate,
            betas,
            momentum,
            weight_decay,
            clip_norm: 0.,
            accumulate: 1,
            group,
            composed: false,
        }
    }
}

/// An optimizer whose memory lies in tensors, as on a device.
pub(super) struct Composed<O>(pub(super) O);

macro_rules! composed {
    ($optimizer:ty) => {
        impl Optimizer for Composed<$optimizer> {
            fn name(&self) -> &str {
                self.0.name()
            }
            fn learning_rate(&self) -> f64 {
                self.0.learning_rate()
            }
            fn weight_decay(&self) -> f64 {
                self.0.weight_decay()
            }
            fn attach(&mut self, variables: &[(String, Var)]) -> Result<()> {
                self.0.attach(variables)?;
                let memory = self.0.ruled.memory_mut();
                for (memory, (_, var)) in memory.iter_mut().zip(variables) {
                    let kinds = memory.tensors(var).unwrap().len();
                    *memory = Memory::on_device(var, kinds).unwrap();
                }
                Ok(())
            }
            fn begin_step(&mut self) {
                self.0.begin_step();
            }
            fn update(&mut self, at: usize, var: &Var, gradient: &Tensor, with: Update) -> Result<()> {
                self.0.update(at, var, gradient, with)
            }
            fn state(&self) -> Result<(HashMap<String, Tensor>, u64)> {
                self.0.state()
            }
            fn restore(&mut self, t: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
                self.0.restore(t, steps)
            }
        }
    };
}

composed!(Adam);
composed!(Sgd);
composed!(Lion);
composed!(Adan);

/// Values and gradients by which optimizers are compared with others: exact in f32, so that steps alone round.
pub(super) const START: [f64; 4] = [1., -1., 0.5, 2.];
pub(super) const GRADIENTS: [[f64; 4]; 6] = [
    [1., -0.5, 0., 0.25],
    [-2., 0.75, 0., -0.25],
    [0.5, 0.5, 1., 0.],
    [-0.125, -1., -0.5, 0.5],
    [3., 0.25, 0.25, -0.75],
    [-1., -0.25, 0.125, 0.0625],
];

/// Values after each step: by hand as by another program, both in f64; on slices and on tensors as by hand, up to so many roundings of a
/// value below 2 a step.
pub(super) fn agree(hand: &[[f64; 4]], other: &[[f64; 4]], made: [Vec<[f64; 4]>; 2], roundings: f64) {
    assert_eq!(
        (hand.len(), other.len(), made[0].len(), made[1].len()),
        (GRADIENTS.len(), hand.len(), hand.len(), hand.len())
    );
    for (at, (hand, other)) in hand.iter().zip(other).enumerate() {
        for (a, b) in hand.iter().zip(other) {
            assert!((a - b).abs() < 1e-14, "step {at}: {a} {b}");
        }
        let tolerance = roundings * (at + 1) as f64 * f64::from(f32::EPSILON);
        for (made, way) in made.iter().zip(["slices", "tensors"]) {
            for (got, want) in made[at].iter().zip(hand) {
                assert!((got - want).abs() <= tolerance, "step {at} on {way}: {got} {want}");
            }
        }
    }
}

/// The values after each of [`GRADIENTS`], from [`START`] on; stopped and restored on the way.
pub(super) fn follow(optimizer: impl Optimizer + 'static) -> Vec<[f64; 4]> {
    let x = Var::new(&[START.map(|v| v as f32)], &Device::Cpu).unwrap();
    let mut updater = Updater::new(vec![("x".into(), x.clone())], optimizer).unwrap();
    let step = |gradient: &[f64; 4]| {
        let slopes = Tensor::new(&[gradient.map(|v| v as f32)], &Device::Cpu).unwrap();
        updater.add(&(x.as_tensor() * slopes).unwrap().sum_all().unwrap().backward().unwrap()).unwrap();
        updater.step(1.).unwrap();
        let (saved, steps) = updater.state().unwrap();
        updater.restore(&saved, steps).unwrap();
        let row = &x.to_vec2::<f32>().unwrap()[0];
        [0, 1, 2, 3].map(|at| f64::from(row[at]))
    };
    GRADIENTS.iter().map(step).collect()
}

fn made(vars: Vec<(String, Var)>, config: Config) -> Result<Updater> {
    let Config { learning_rate, betas, momentum, weight_decay, .. } = config;
    let adam = || Adam::new(AdamSettings { learning_rate, betas, weight_decay, ..AdamSettings::default() });
    let sgd = || Sgd::new(SgdSettings { learning_rate, momentum, weight_decay, ..Default::default() });
    let lion = || Lion::new(LionSettings { learning_rate, weight_decay, ..Default::default() });
    let adan = || Adan::new(AdanSettings { learning_rate, weight_decay, ..Default::default() });
    let optimizer: Box<dyn Optimizer> = match (config.name, config.composed) {
        (Name::Adam, false) => Box::new(adam()?),
        (Name::Adam, true) => Box::new(Composed(adam()?)),
        (Name::Sgd, false) => Box::new(sgd()?),
        (Name::Sgd, true) => Box::new(Composed(sgd()?)),
        (Name::Lion, false) => Box::new(lion()?),
        (Name::Lion, true) => Box::new(Composed(lion()?)),
        (Name::Adan, false) => Box::new(adan()?),
        (Name::Adan, true) => Box::new(Composed(adan()?)),
    };
    Updater::with(vars, optimizer, &config.group, config.clip_norm)
}

fn minimize(config: Config, steps: usize) -> Vec<f32> {
    // |x - (1, -2)|^2, from 0.
    let x = Var::from_tensor(&Tensor::new(&[0f32, 0.], &Device::Cpu).unwrap()).unwrap();
    let target = Tensor::new(&[1f32, -2.], &Device::Cpu).unwrap();
    let accumulate = config.accumulate;
    let mut updater = made(vec![("x".into(), x.clone())], config).unwrap();
    for _ in 0..steps {
        for _ in 0..accumulate {
            let loss = (x.as_tensor() - &target).unwrap().sqr().unwrap().sum_all().unwrap();
            updater.add(&loss.backward().unwrap()).unwrap();
        }
        updater.step(1.).unwrap();
    }
    x.to_vec1::<f32>().unwrap()
}

#[test]
fn first_steps_are_as_worked_out_by_hand() {
    let adam = Config { learning_rate: 0.1, ..Config::default() };
    // Adam's first step is the learning rate against the gradient's sign.
    let got = minimize(adam.clone(), 1);
    assert!((got[0] - 0.1).abs() < 1e-6 && (got[1] + 0.1).abs() < 1e-6, "{got:?}");
    let sgd = Config { name: Name::Sgd, momentum: 0.5, ..adam };
    assert_eq!(minimize(sgd.clone(), 1), [0.2, -0.4]);
    // x = 0.2: gradient -1.6, velocity 0.5 * -2 - 1.6 = -2.6.
    let got = minimize(sgd.clone(), 2);
    assert!((got[0] - 0.46).abs() < 1e-6, "{got:?}");
    // Two equal batches average to one.
    assert_eq!(minimize(Config { accumulate: 2, ..sgd.clone() }, 1), [0.2, -0.4]);
    // The gradient (-2, 4) has the norm sqrt 20.
    let got = minimize(Config { clip_norm: 1., ..sgd }, 1);
    assert!((got[0] - 0.1 * 2. / 20f32.sqrt()).abs() < 1e-7, "{got:?}");
}

/// But for Lion, whose steps never get shorter by themselves.
#[test]
fn the_minimum_is_found() {
    for name in [Name::Adam, Name::Sgd, Name::Adan] {
        let config = Config { name, learning_rate: 0.05, ..Config::default() };
        let got = minimize(config, 1000);
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
    let mut updater = made(vars.to_vec(), Config::default()).unwrap();
    updater.add(&grads).unwrap();
    let dead = |excused: &[&str]| updater.dead(&excused.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap();
    assert_eq!(dead(&[]), ["unused (none)", "times.zero (zero)", "times.infinity (not finite)"]);
    assert_eq!(dead(&["times", "unus"]), ["unused (none)"]);
}

#[test]
fn groups_have_their_own_rate_and_decay() {
    let var = |v: f32| Var::from_tensor(&Tensor::new(&[[v]], &Device::Cpu).unwrap()).unwrap();
    let vars = ["body.first", "body.second", "head.weight"].map(|name| (name.to_owned(), var(1.)));
    let group =
        |prefix: &str, lr_scale, decay_scale| ParameterGroup { prefix: prefix.to_owned(), lr_scale, decay_scale };
    let config = Config {
        name: Name::Sgd,
        learning_rate: 0.125,
        momentum: 0.,
        weight_decay: 0.5,
        group: vec![group("body.second", 0., 1.), group("body", 0.5, 0.), group("head", 2., 1.)],
        ..Config::default()
    };
    let mut updater = made(vars.to_vec(), config.clone()).unwrap();
    assert_eq!(
        updater.describe(),
        [
            "1 value in body.first: learning rate 0.0625, weight decay 0",
            "1 value in body.second: learning rate 0, weight decay 0.5",
            "1 value in head.weight: learning rate 0.25, weight decay 0.5",
        ]
    );
    // The gradient of the sum is 1 everywhere.
    let sum = vars.iter().map(|(_, v)| v.as_tensor().clone()).reduce(|a, b| (a + b).unwrap()).unwrap();
    updater.add(&sum.sum_all().unwrap().backward().unwrap()).unwrap();
    updater.step(1.).unwrap();
    let values = vars.each_ref().map(|(_, v)| v.to_vec2::<f32>().unwrap()[0][0]);
    // 1 - 0.0625; unmoved; (1 - 0.25 * 0.5) - 0.25.
    assert_eq!(values, [0.9375, 1., 0.625]);
    for (bad, want) in [
        (group("hea", 1., 1.), "`hea` begins no name; the names begin with body, head"),
        (group("head", -1., 1.), "finite number from 0"),
        (group("body", 1., 1.), "`body` is given twice"),
    ] {
        let config = Config { group: vec![group("body", 1., 1.), bad], ..config.clone() };
        let message = made(vars.to_vec(), config).err().unwrap().to_string();
        assert!(message.contains(want), "{message}");
    }
}

#[test]
fn large_variables_move_alike_on_any_number_of_threads() {
    ALL.into_iter().for_each(moves_alike);
}

fn moves_alike(name: Name) {
    let many = 3 * PART + 7;
    let moved = npair_testkit::threads::with_threads(&[1, 2], || {
        let values: Vec<f32> = (0..many).map(|i| (i % 1009) as f32 / 512. - 1.).collect();
        let x = Var::from_vec(values, (1, many), &Device::Cpu).unwrap();
        let config = Config { name, clip_norm: 1., weight_decay: 0.1, ..Config::default() };
        let mut updater = made(vec![("x".into(), x.clone())], config).unwrap();
        for _ in 0..3 {
            updater.add(&x.powf(3.).unwrap().sum_all().unwrap().backward().unwrap()).unwrap();
            updater.step(1.).unwrap();
        }
        let bits: Vec<u32> = x.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
        bits
    });
    assert!(moved[0] == moved[1], "{name:?}");
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
    let clipped = ALL.map(|name| (name, 0.5));
    for (name, clip_norm) in ALL.map(|name| (name, 0.)).into_iter().chain(clipped) {
        let config = Config { name, clip_norm, weight_decay: 0.1, accumulate: 2, ..Config::default() };
        let steps = 20;
        let run = |on_device: bool| {
            let x = Var::from_tensor(&npair_testkit::inputs::normal(1, 1., (7, 5), DType::F32).unwrap()).unwrap();
            let b = Var::from_tensor(&npair_testkit::inputs::normal(2, 1., 5, DType::F32).unwrap()).unwrap();
            let vars = vec![("x".to_owned(), x.clone()), ("b".to_owned(), b.clone())];
            let mut updater = made(vars.clone(), Config { composed: on_device, ..config.clone() }).unwrap();
            let mut norms = Vec::new();
            for step in 0..steps {
                for batch in 0..2 {
                    let loss = (x.broadcast_add(&b).unwrap() - f64::from(step + batch) / 7.).unwrap();
                    let loss = loss.sqr().unwrap().sqr().unwrap().mean_all().unwrap();
                    updater.add(&loss.backward().unwrap()).unwrap();
                }
                norms.push(updater.step(0.5).unwrap().grad_norm);
            }
            let (saved, count) = updater.state().unwrap();
            let mut again = made(vars.clone(), config.clone()).unwrap();
            again.restore(&saved, count).unwrap();
            let mut memory: Vec<_> = again.state().unwrap().0.into_iter().collect();
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
        (Config { learning_rate: f64::NAN, ..Config::default() }, "learning_rate"),
        (Config { betas: [0.9, 1.], ..Config::default() }, "betas"),
    ] {
        assert!(made(Vec::new(), config).err().unwrap().to_string().contains(want));
    }
}

#[test]
fn variables_that_are_not_of_f32_are_refused_by_name() {
    for dtype in [DType::F64, DType::BF16] {
        let x = Var::zeros((2, 2), dtype, &Device::Cpu).unwrap();
        let said =
            Updater::new(vec![("head.weight".into(), x)], Sgd::new(SgdSettings::default()).unwrap()).err().unwrap();
        assert!(said.to_string().contains(&format!("head.weight is {dtype:?}")), "{said}");
    }
}

/// Both ways of decay against the formulas of PyTorch's `SGD` (coupled) and of the decoupled one, on slices and on tensors.
#[test]
fn weights_decay_beside_the_velocity_or_through_it() {
    let (rate, momentum, weight_decay) = (0.1, 0.9, 0.5);
    for decay in [Decay::Decoupled, Decay::Coupled] {
        for composed in [false, true] {
            let x = Var::new(&[[2f32]], &Device::Cpu).unwrap();
            let bias = Var::new(&[2f32], &Device::Cpu).unwrap();
            let sgd = Sgd::new(SgdSettings { learning_rate: rate, momentum, weight_decay, decay }).unwrap();
            let vars = vec![("x".to_owned(), x.clone()), ("b".to_owned(), bias.clone())];
            let mut updater = match composed {
                true => Updater::new(vars, Composed(sgd)).unwrap(),
                false => Updater::new(vars, sgd).unwrap(),
            };
            let (mut want, mut velocity, mut of_bias, mut free) = (2f64, 0f64, 2f64, 0f64);
            for _ in 0..5 {
                let loss = (x.sum_all().unwrap() + bias.sum_all().unwrap()).unwrap();
                updater.add(&loss.backward().unwrap()).unwrap();
                updater.step(1.).unwrap();
                match decay {
                    Decay::Coupled => {
                        velocity = momentum * velocity + 1. + weight_decay * want;
                        want -= rate * velocity;
                    }
                    Decay::Decoupled => {
                        velocity = momentum * velocity + 1.;
                        want = want * (1. - rate * weight_decay) - rate * velocity;
                    }
                }
                free = momentum * free + 1.;
                of_bias -= rate * free;
                let got = f64::from(x.to_vec2::<f32>().unwrap()[0][0]);
                assert!((got - want).abs() <= 1e-5, "{decay:?} {composed}: {got} {want}");
                // A bias does not decay.
                assert!((f64::from(bias.to_vec1::<f32>().unwrap()[0]) - of_bias).abs() <= 1e-5);
            }
        }
    }
}
