//! Fused units against their layers, in training, frozen and in evaluation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{
    Activation, AdaptiveAvgPool2d, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, Layer, Mode, Node,
    Relu, Result, Tape, VarMap, forward, forward_no_grad, gate, sum,
};
use npair_testkit::{inputs, threads};
use npair_types::Streams;
use proptest::prelude::*;
use support::{bits, check_gradients, values, varmap};

fn train() -> Mode {
    Mode::train(Streams::new(1), 0)
}

#[derive(Debug, Clone, Copy)]
struct Case {
    norm: Option<bool>,
    bias: bool,
    activation: Activation,
    shortcut: bool,
    stride: usize,
}

/// The unit, or its layers one after the other, with the input's own first channels as shortcut.
struct Both {
    case: Case,
    fused: bool,
    unit: ConvUnit,
    conv: Conv2d,
    norm: Option<BatchNorm2d>,
    shortcut: Conv2d,
}

const INPUTS: usize = 5;
const OUTPUTS: usize = 6;

impl Both {
    fn new(case: Case, fused: bool, dtype: DType) -> (Self, VarMap) {
        let varmap = varmap(dtype);
        let config = Conv2dConfig { bias: case.bias, ..Conv2dConfig::square(3).padding(1).stride(case.stride) };
        let conv = Conv2d::new(&varmap.root().pp("conv"), INPUTS, OUTPUTS, config).unwrap();
        let norm = case.norm.map(|frozen| {
            let config = BatchNormConfig { frozen, ..Default::default() };
            BatchNorm2d::new(&varmap.root().pp("norm"), OUTPUTS, config).unwrap()
        });
        let side = Conv2dConfig::square(1).stride(case.stride).without_bias();
        let shortcut = Conv2d::new(&varmap.root().pp("shortcut"), INPUTS, OUTPUTS, side).unwrap();
        varmap.set_trains("shortcut", case.shortcut);
        for (seed, (name, var)) in varmap.trainable().into_iter().chain(varmap.buffers()).enumerate() {
            let small = inputs::normal(seed as u64, 0.3, var.shape(), DType::F32).unwrap().to_dtype(dtype).unwrap();
            let value = match name.as_str() {
                "norm.weight" => (small + 0.4).unwrap(),
                "norm.running_var" => (small.abs().unwrap() + 2.).unwrap(),
                _ => small,
            };
            var.set(&value).unwrap();
        }
        let unit = ConvUnit::new(conv.clone(), norm.clone(), case.activation).unwrap();
        (Self { case, fused, unit, conv, norm, shortcut }, varmap)
    }
}

impl Layer for Both {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let shortcut = self.case.shortcut.then(|| self.shortcut.record(x, tape)).transpose()?;
        if self.fused {
            return match &shortcut {
                Some(shortcut) => self.unit.record_add(x, shortcut, tape),
                None => self.unit.record(x, tape),
            };
        }
        let mut out = self.conv.record(x, tape)?;
        if let Some(norm) = &self.norm {
            out = norm.record(&out, tape)?;
        }
        if let Some(shortcut) = &shortcut {
            out = sum(&out, shortcut, tape)?;
        }
        self.case.activation.record(&out, tape)
    }
}

/// Result, gradients by name, and buffers after the pass; in evaluation also what a pass that records nothing gives.
fn run(case: Case, fused: bool, dtype: DType, mode: Mode) -> Vec<(String, Vec<f64>)> {
    let (both, varmap) = Both::new(case, fused, dtype);
    let x = inputs::normal(9, 1., (3, 7, 6, INPUTS), DType::F32).unwrap().to_dtype(dtype).unwrap();
    let x = Var::from_tensor(&x).unwrap();
    let out = both.forward(x.as_tensor(), &mode).unwrap();
    let weights = inputs::normal(3, 1., out.shape(), DType::F32).unwrap().to_dtype(dtype).unwrap();
    let grads = (&out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let vars = varmap.trainable().into_iter().chain([("input".to_owned(), x.clone())]);
    let mut all: Vec<_> = vars.map(|(name, var)| (name, values(grads.get(&var).unwrap()))).collect();
    all.push(("output".to_owned(), values(&out)));
    if mode == Mode::Eval {
        all.push(("inferred".to_owned(), values(&both.forward_no_grad(x.as_tensor(), &Mode::Eval).unwrap())));
    }
    all.extend(varmap.buffers().iter().map(|(name, var)| (name.clone(), values(var))));
    all
}

fn any_case() -> impl Strategy<Value = Case> {
    let activation = prop::sample::select(vec![
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
        Activation::HardSigmoid,
    ]);
    let norm = prop::option::of(any::<bool>());
    (norm, any::<bool>(), activation, any::<bool>(), 1..=2usize)
        .prop_map(|(norm, bias, activation, shortcut, stride)| Case { norm, bias, activation, shortcut, stride })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_unit_is_its_layers(case in any_case(), training in any::<bool>()) {
        let mode = if training { train() } else { Mode::Eval };
        // Normalized values and sums of some hundred terms of order 1.
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-4)] {
            let (got, want) = (run(case, true, dtype, mode), run(case, false, DType::F64, mode));
            for ((name, got), (other, want)) in got.iter().zip(&want) {
                prop_assert_eq!((name, got.len()), (other, want.len()));
                let scale = want.iter().fold(1f64, |m, v| m.max(v.abs()));
                for (g, w) in got.iter().zip(want) {
                    prop_assert!((g - w).abs() <= tolerance * scale, "{:?} {}: {} is not {}", case, name, g, w);
                }
            }
        }
    }
}

#[test]
fn central_differences() {
    let case = Case { norm: Some(false), bias: true, activation: Activation::Relu, shortcut: true, stride: 2 };
    for case in [
        case,
        Case { norm: None, ..case },
        Case { norm: Some(true), shortcut: false, ..case },
        Case { norm: None, shortcut: false, ..case },
        Case { activation: Activation::Relu6, norm: Some(true), ..case },
        Case { activation: Activation::HardSwish, ..case },
        Case { activation: Activation::HardSwish, shortcut: false, ..case },
    ] {
        let (both, varmap) = Both::new(case, true, DType::F64);
        // A bias before a norm of the batch has no effect, and so a gradient of rounding errors: not compared with a
        // difference of rounding errors, which is larger.
        let x = inputs::normal(9, 1., (2, 5, 4, INPUTS), DType::F64).unwrap();
        check_gradients(&Images(&both), &varmap, &x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap(), &train());
    }
}

/// A layer by reference.
struct Images<'a>(&'a Both);

impl Layer for Images<'_> {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.0.record(x, tape)
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let case = Case { norm: Some(false), bias: false, activation: Activation::Relu, shortcut: true, stride: 1 };
    let runs = threads::with_threads(&[1, 2, 3], || {
        let (both, varmap) = Both::new(case, true, DType::F32);
        let x = Var::from_tensor(&inputs::normal(9, 1., (5, 23, 31, INPUTS), DType::F32).unwrap()).unwrap();
        let out = both.forward(x.as_tensor(), &train()).unwrap();
        let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut all = vec![
            bits(&out),
            bits(grads.get(&x).unwrap()),
            bits(&both.forward_no_grad(x.as_tensor(), &Mode::Eval).unwrap()),
        ];
        all.extend(varmap.trainable().iter().map(|(_, var)| bits(grads.get(var).unwrap())));
        all.extend(varmap.buffers().iter().map(|(_, var)| bits(var)));
        all
    });
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn frozen_parameters_get_no_gradient_and_nothing_is_kept_for_them() {
    let case = Case { norm: Some(true), bias: true, activation: Activation::Relu, shortcut: false, stride: 1 };
    let (both, varmap) = Both::new(case, true, DType::F32);
    assert_eq!(varmap.set_trains("conv", false), 2);
    let x = inputs::normal(9, 1., (2, 5, 4, INPUTS), DType::F32).unwrap();
    let grads = both.forward(&x, &train()).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(varmap.frozen().iter().all(|(_, var)| grads.get(var).is_none()));
    assert_eq!(varmap.trainable().len(), 2);
    assert!(varmap.trainable().iter().all(|(_, var)| grads.get(var).is_some()));
    // With everything frozen and a constant input there is nothing to differentiate.
    varmap.set_trains("norm", false);
    assert!(!both.forward(&x, &train()).unwrap().track_op());
}

#[test]
fn factors_of_channels_have_gradients_and_fit_their_images() {
    let varmap = varmap(DType::F64);
    struct Gated(Conv2d);
    impl Layer for Gated {
        fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
            let mean = AdaptiveAvgPool2d::new(1, 1)?.record(x, tape)?;
            gate(x, &self.0.record(&mean, tape)?, tape)
        }
    }
    let layer = Gated(Conv2d::new(&varmap.root(), 3, 3, Conv2dConfig::square(1)).unwrap());
    check_gradients(&layer, &varmap, &inputs::normal(9, 1., (2, 3, 4, 5), DType::F64).unwrap(), &train());
    let x = inputs::normal(9, 1., (2, 4, 5, 3), DType::F64).unwrap();
    let said = forward(&x, &train(), |x, tape| gate(x, x, tape)).unwrap_err().to_string();
    assert!(said.contains("factors of images [2, 4, 5, 3] are (2, 1, 1, 3)"), "{said}");
}

/// Of a frozen norm's parameters and its convolution's, any may train.
#[test]
fn frozen_statistics_with_any_parameters_frozen() {
    let case = Case { norm: Some(true), bias: true, activation: Activation::Relu6, shortcut: true, stride: 1 };
    let all = run(case, true, DType::F64, train());
    let x = inputs::normal(9, 1., (3, 7, 6, INPUTS), DType::F32).unwrap().to_dtype(DType::F64).unwrap();
    for frozen in ["conv", "norm", "conv.weight", "conv.bias", "norm.weight", "norm.bias"] {
        let (both, varmap) = Both::new(case, true, DType::F64);
        assert!(varmap.set_trains(frozen, false) > 0);
        let out = both.forward(&x, &train()).unwrap();
        let weights = inputs::normal(3, 1., out.shape(), DType::F32).unwrap().to_dtype(DType::F64).unwrap();
        let grads = (out * weights).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(varmap.frozen().iter().all(|(_, var)| grads.get(var).is_none()), "{frozen}");
        for (name, var) in varmap.trainable() {
            let (_, want) = all.iter().find(|(other, _)| *other == name).unwrap();
            assert_eq!(&values(grads.get(&var).unwrap()), want, "{name}, with {frozen} frozen");
        }
    }
}

#[test]
fn a_pass_is_differentiated_once() {
    let case = Case { norm: None, bias: true, activation: Activation::None, shortcut: false, stride: 1 };
    let (both, _) = Both::new(case, true, DType::F32);
    let x = inputs::normal(9, 1., (2, 5, 4, INPUTS), DType::F32).unwrap();
    let loss = both.forward(&x, &train()).unwrap().sum_all().unwrap();
    loss.backward().unwrap();
    let message = loss.backward().unwrap_err().to_string();
    assert!(message.contains("has been differentiated already"), "{message}");
}

#[test]
fn traces_of_gradients_are_zero() {
    let x = Var::new(&[[1f32, 2., 3.]], &Device::Cpu).unwrap();
    let out = Relu.forward(x.as_tensor(), &train()).unwrap();
    // A subnormal number, one that is small, and one that is not.
    let weights = Tensor::new(&[[1e-40f32, -1e-29, 0.5]], &Device::Cpu).unwrap();
    let grads = (out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().to_vec2::<f32>().unwrap(), [[0., -1e-29, 0.5]]);
}

#[test]
fn a_value_used_twice_gets_both_gradients() {
    let x = Var::new(&[[1f64, -2.]], &Device::Cpu).unwrap();
    let out = forward(x.as_tensor(), &Mode::Eval, |x, tape| {
        let once = Relu.record(x, tape)?;
        sum(&sum(&once, x, tape)?, x, tape)
    })
    .unwrap();
    let grads = out.sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&x).unwrap().to_vec2::<f64>().unwrap(), [[3., 2.]]);
    assert!(!forward_no_grad(x.as_tensor(), &Mode::Eval, |x, tape| Relu.record(x, tape)).unwrap().track_op());
}

#[test]
fn what_does_not_fit_is_said() {
    let root = varmap(DType::F32).root();
    let conv = Conv2d::new(&root.pp("a"), 2, 3, Conv2dConfig::square(1)).unwrap();
    let norm = BatchNorm2d::new(&root.pp("b"), 4, BatchNormConfig::default()).unwrap();
    let message = ConvUnit::new(conv.clone(), Some(norm), Activation::None).unwrap_err().to_string();
    assert_eq!(message, "a: a norm of 4 channels follows 3 outputs");
    let unit = ConvUnit::new(conv, None, Activation::Relu).unwrap();
    let x = Tensor::zeros((1, 4, 4, 2), DType::F32, &Device::Cpu).unwrap();
    for mode in [true, false] {
        let add = |x: &Node, tape: &mut Tape| unit.record_add(x, x, tape);
        let got = if mode { forward(&x, &train(), add) } else { forward_no_grad(&x, &Mode::Eval, add) };
        assert!(got.unwrap_err().to_string().contains("what is added to it has shape [1, 4, 4, 2]"));
    }
}

/// In evaluation weights stay packed from pass to pass; a value that changes in place, by whomever, is seen all the same.
#[test]
fn packed_weights_follow_the_variables() {
    let varmap = varmap(DType::F32);
    let config = Conv2dConfig::square(3).padding(1);
    // Wide enough for every way in which products are made.
    let conv = Conv2d::new(&varmap.root().pp("conv"), 16, 32, config).unwrap();
    let norm = BatchNorm2d::new(&varmap.root().pp("norm"), 32, BatchNormConfig::default()).unwrap();
    let unit = ConvUnit::new(conv, Some(norm), Activation::Relu).unwrap();
    let x = inputs::normal(1, 1., (2, 8, 8, 16), DType::F32).unwrap();
    let pass = || bits(&unit.forward_no_grad(&x, &Mode::Eval).unwrap());
    let before = pass();
    for (name, var) in varmap.trainable().into_iter().chain(varmap.buffers()) {
        assert_eq!(pass(), pass());
        var.set(&(var.as_tensor() + 0.125).unwrap()).unwrap();
        let after = pass();
        // A pass that is recorded packs anew.
        assert_eq!(after, bits(&unit.forward(&x, &Mode::Eval).unwrap()), "{name}");
    }
    assert_ne!(before, pass());
}
