//! Convolution against its definition, forward and both gradients, in f64 and f32.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor};
use npair_nn::{Conv2d, Conv2dConfig, Layer, Mode, VarMap};
use npair_testkit::{inputs, threads};
use proptest::prelude::*;
use support::convolution::Naive;
use support::{Planes, bits, check_gradients, gradients, values, varmap};

#[derive(Debug, Clone, Copy)]
struct Case {
    batch: usize,
    inputs: usize,
    outputs: usize,
    image: (usize, usize),
    config: Conv2dConfig,
}

impl Case {
    fn map(&self) -> Option<(usize, usize)> {
        let c = self.config;
        let along = |extent: usize, k: usize, s: usize, p: usize, d: usize| {
            (extent + 2 * p).checked_sub(d * (k - 1) + 1).map(|room| room / s + 1)
        };
        Some((
            along(self.image.0, c.kernel.0, c.stride.0, c.padding.0, c.dilation.0)?,
            along(self.image.1, c.kernel.1, c.stride.1, c.padding.1, c.dilation.1)?,
        ))
    }

    fn x(&self, dtype: DType) -> Tensor {
        inputs::normal(1, 1., (self.batch, self.inputs, self.image.0, self.image.1), dtype).unwrap()
    }

    fn layer(&self, dtype: DType) -> (Conv2d, VarMap) {
        let varmap = varmap(dtype);
        let layer = Conv2d::new(&varmap.root(), self.inputs, self.outputs, self.config).unwrap();
        if let Some((_, bias)) = varmap.trainable().iter().find(|(name, _)| name == "bias") {
            bias.set(&inputs::normal(2, 1., self.outputs, dtype).unwrap()).unwrap();
        }
        (layer, varmap)
    }

    /// Output, and gradients by name, by the definition; beside each value the sum of its terms' absolute values.
    fn oracle(&self, varmap: &VarMap, x: &Tensor, grad: &Tensor) -> Vec<(String, Vec<(f64, f64)>)> {
        let map = self.map().unwrap();
        let naive = Naive {
            batch: self.batch,
            inputs: self.inputs,
            outputs: self.outputs,
            image: self.image,
            map,
            config: &self.config,
        };
        let vars = varmap.trainable();
        let var = |wanted: &str| vars.iter().find(|(name, _)| name == wanted).map(|(_, var)| values(var));
        let (x, grad, w, bias) = (values(x), values(grad), var("weight").unwrap(), var("bias"));
        let mut out = vec![(0., 0.); grad.len()];
        let mut dx = vec![(0., 0.); x.len()];
        let mut dw = vec![(0., 0.); w.len()];
        let mut db = vec![(0., 0.); self.outputs];
        let plus = |sum: &mut (f64, f64), term: f64| *sum = (sum.0 + term, sum.1 + term.abs());
        naive.terms(|o, i, k| {
            plus(&mut out[o], x[i] * w[k]);
            plus(&mut dx[i], grad[o] * w[k]);
            plus(&mut dw[k], grad[o] * x[i]);
        });
        for (at, &g) in grad.iter().enumerate() {
            let channel = at / (map.0 * map.1) % self.outputs;
            plus(&mut db[channel], g);
            if let Some(bias) = &bias {
                plus(&mut out[at], bias[channel]);
            }
        }
        let mut all = vec![("input".to_owned(), dx), ("output".to_owned(), out), ("weight".to_owned(), dw)];
        if bias.is_some() {
            all.insert(0, ("bias".to_owned(), db));
        }
        all
    }

    /// Compares layer and definition in `dtype`.
    ///
    /// A sum of n products in any order and with or without fused steps is off by at most `(n + 2) u` times the sum of
    /// the absolute values, `u` the unit round-off (Higham, Accuracy and Stability, section 3.1).
    fn compare(&self, dtype: DType) {
        let map = self.map().unwrap();
        let (layer, varmap) = self.layer(dtype);
        let x = self.x(dtype);
        let grad = inputs::normal(3, 1., (self.batch, self.outputs, map.0, map.1), dtype).unwrap();
        let mut got = gradients(&layer, &varmap, &x, &grad, &Mode::Eval);
        got.push(("output".to_owned(), values(&layer.planes(&x, &Mode::Eval).unwrap())));
        got.sort_by(|a, b| a.0.cmp(&b.0));
        let unit = if dtype == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON } / 2.;
        // The longest of the sums: patches for the output, their number times the batch for the weight.
        let patch = self.inputs.max(self.outputs) * self.config.kernel.0 * self.config.kernel.1;
        let terms = patch.max(self.batch * map.0 * map.1) as f64;
        for ((name, got), (other, want)) in got.iter().zip(self.oracle(&varmap, &x, &grad)) {
            assert_eq!((name, got.len()), (&other, want.len()));
            for (entry, (got, (want, size))) in got.iter().zip(want).enumerate() {
                let bound = (terms + 2.) * unit * size;
                assert!((got - want).abs() <= bound, "{self:?} {name}[{entry}]: {got:e}, not {want:e} (+- {bound:e})");
            }
        }
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    let pair = |low: usize, high: usize| (low..=high, low..=high);
    let channels = (1..=3usize, 1..=5usize, 1..=5usize);
    let rest = (pair(1, 4), pair(1, 3), pair(0, 3), pair(1, 2), any::<bool>());
    (1..=3usize, channels, pair(1, 11), rest)
        .prop_map(|(batch, (groups, inputs, outputs), image, (kernel, stride, padding, dilation, bias))| Case {
            batch,
            inputs: inputs * groups,
            outputs: outputs * groups,
            image,
            config: Conv2dConfig { kernel, stride, padding, dilation, groups, bias, same: false },
        })
        .prop_filter("the kernel does not fit", |case| case.map().is_some())
}

/// 3 x 3 with a border of one, as in the ConvNet: shapes with whole and with ragged tiles.
fn same_case() -> impl Strategy<Value = Case> {
    (1..=5usize, 1..=20usize, 1..=20usize, (1..=30usize, 1..=30usize), any::<bool>()).prop_map(
        |(batch, inputs, outputs, image, bias)| {
            let config = Conv2dConfig { bias, ..Conv2dConfig::square(3).padding(1) };
            Case { batch, inputs, outputs, image, config }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_geometry_is_the_definition(case in any_case()) {
        case.compare(DType::F64);
        case.compare(DType::F32);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn three_by_three_is_the_definition(case in same_case()) {
        case.compare(DType::F64);
        case.compare(DType::F32);
    }
}

/// Every channel by itself: numbers of channels with and without a rest, kernels and strides of mobile networks.
fn depthwise_case() -> impl Strategy<Value = Case> {
    let channels = prop_oneof![2..=9usize, Just(16), Just(24), Just(40), Just(72), 60..=90usize];
    (1..=3usize, channels, (1..=13usize, 1..=13usize), prop::sample::select(vec![3, 5, 7]), 1..=2usize, any::<bool>())
        .prop_map(|(batch, channels, image, kernel, stride, bias)| {
            let config = Conv2dConfig::square(kernel).stride(stride).padding(kernel / 2).groups(channels);
            Case { batch, inputs: channels, outputs: channels, image, config: Conv2dConfig { bias, ..config } }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn depthwise_is_the_definition(case in depthwise_case()) {
        case.compare(DType::F64);
        case.compare(DType::F32);
    }

    /// The same as zeros put there by hand: `ceil(extent / stride)` outputs, an odd zero right and below.
    #[test]
    fn the_padding_of_tensorflow(
        (h, w) in (1..=12usize, 1..=12usize),
        (kernel, stride, dilation) in (1..=5usize, 1..=3usize, 1..=2usize),
        depthwise in any::<bool>(),
    ) {
        let groups = if depthwise { 6 } else { 1 };
        let config = Conv2dConfig::square(kernel).stride(stride).dilation(dilation).groups(groups);
        let layer = |config| {
            let varmap = varmap(DType::F64);
            (Conv2d::new(&varmap.root(), 6, 6, config).unwrap(), varmap)
        };
        let ((same, own), (plain, other)) = (layer(config.same()), layer(config));
        let zeros = |extent: usize| {
            let total = ((extent.div_ceil(stride) - 1) * stride + dilation * (kernel - 1) + 1).saturating_sub(extent);
            (total / 2, total - total / 2)
        };
        let ((top, below), (left, right)) = (zeros(h), zeros(w));
        let x = inputs::normal(1, 1., (2, 6, h, w), DType::F64).unwrap();
        let padded = x.pad_with_zeros(2, top, below).unwrap().pad_with_zeros(3, left, right).unwrap();
        let out = same.planes(&x, &Mode::Eval).unwrap();
        prop_assert_eq!(out.dims(), [2, 6, h.div_ceil(stride), w.div_ceil(stride)]);
        let grad = inputs::normal(3, 1., out.shape(), DType::F64).unwrap();
        let mut got = gradients(&same, &own, &x, &grad, &Mode::Eval);
        let mut want = gradients(&plain, &other, &padded, &grad, &Mode::Eval);
        got.push(("output".to_owned(), values(&out)));
        want.push(("output".to_owned(), values(&plain.planes(&padded, &Mode::Eval).unwrap())));
        for ((name, got), (_, want)) in got.iter().zip(&want) {
            let want = if name == "input" {
                let want = Tensor::from_slice(want, padded.shape(), &Device::Cpu).unwrap();
                values(&want.narrow(2, top, h).unwrap().narrow(3, left, w).unwrap())
            } else {
                want.clone()
            };
            for (g, w) in got.iter().zip(&want) {
                // Sums of at most 200 products of order 1.
                prop_assert!((g - w).abs() <= 1e-12, "{}: {} is not {}", name, g, w);
            }
        }
    }
}

#[test]
fn shapes_of_known_networks_are_the_definition() {
    let case = |batch, inputs, outputs, side, config| Case { batch, inputs, outputs, image: (side, side), config };
    for case in [
        case(17, 1, 8, 28, Conv2dConfig::square(3).padding(1).without_bias()),
        case(3, 64, 64, 7, Conv2dConfig::square(3).padding(1).without_bias()),
        case(2, 3, 8, 33, Conv2dConfig::square(7).stride(2).padding(3).without_bias()),
        case(2, 24, 40, 14, Conv2dConfig::square(1)),
        case(2, 12, 12, 9, Conv2dConfig::square(3).padding(1).groups(12)),
        case(2, 6, 6, 10, Conv2dConfig::square(1).stride(2)),
        // More than one band of output rows per image.
        case(1, 40, 3, 96, Conv2dConfig::square(3).padding(1).stride(1).groups(1)),
        case(1, 40, 3, 97, Conv2dConfig::square(5).padding(2).stride(1)),
    ] {
        case.compare(DType::F32);
        case.compare(DType::F64);
    }
}

#[test]
fn central_differences() {
    for config in [
        Conv2dConfig::square(3).padding(1),
        Conv2dConfig::square(2).stride(2),
        Conv2dConfig::square(3).stride(2).padding(2).dilation(2).groups(2),
        Conv2dConfig::square(1).without_bias(),
    ] {
        let case = Case { batch: 2, inputs: 4, outputs: 6, image: (5, 6), config };
        let (layer, varmap) = case.layer(DType::F64);
        check_gradients(&layer, &varmap, &case.x(DType::F64), &Mode::Eval);
    }
}

#[test]
fn an_image_without_a_gradient_gets_none() {
    let case = Case { batch: 2, inputs: 2, outputs: 3, image: (5, 5), config: Conv2dConfig::square(3) };
    let (layer, varmap) = case.layer(DType::F32);
    let x = case.x(DType::F32);
    let grads = layer.planes(&x, &Mode::Eval).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none());
    assert!(varmap.trainable().iter().all(|(_, var)| grads.get(var).is_some()));
}

#[test]
fn strided_views_are_taken_as_they_are() {
    let case = Case { batch: 2, inputs: 3, outputs: 4, image: (6, 5), config: Conv2dConfig::square(3).padding(1) };
    let (layer, _) = case.layer(DType::F64);
    let x = inputs::normal(1, 1., (2, 3, 5, 6), DType::F64).unwrap().transpose(2, 3).unwrap();
    let copied = x.contiguous().unwrap();
    let out = |x: &Tensor| values(&layer.planes(x, &Mode::Eval).unwrap());
    assert_eq!(out(&x), out(&copied));
}

#[test]
fn threads_do_not_change_a_bit() {
    for (inputs, config) in [
        (5, Conv2dConfig::square(3).padding(1)),
        (6, Conv2dConfig::square(2).stride(2).groups(3)),
        (8, Conv2dConfig::square(1)),
        (12, Conv2dConfig::square(5).stride(2).same().groups(12)),
    ] {
        let case = Case { batch: 37, inputs, outputs: 12, image: (9, 10), config };
        let runs = threads::with_threads(&[1, 2, 3], || {
            let (layer, varmap) = case.layer(DType::F32);
            let x = candle_core::Var::from_tensor(&case.x(DType::F32)).unwrap();
            let out = layer.planes(&x, &Mode::Eval).unwrap();
            let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = vec![bits(&out), bits(grads.get(&x).unwrap())];
            all.extend(varmap.trainable().iter().map(|(_, var)| bits(grads.get(var).unwrap())));
            all
        });
        assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "{case:?}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let root = varmap(DType::F32).root().pp("stem");
    let layer = Conv2d::new(&root, 3, 8, Conv2dConfig::square(7).padding(1)).unwrap();
    let message = |dims: &[usize], dtype: DType| {
        layer.planes(&Tensor::zeros(dims, dtype, &Device::Cpu).unwrap(), &Mode::Eval).unwrap_err().to_string()
    };
    let small = message(&[2, 3, 4, 20], DType::F32);
    assert!(small.starts_with("stem: the input has shape [2, 4, 20, 3], but kernel (7, 7)"), "{small}");
    assert!(message(&[2, 4, 9, 9], DType::F32).contains("takes 3 channels"));
    let flat = Tensor::zeros((3, 9, 9), DType::F32, &Device::Cpu).unwrap();
    assert!(
        layer.forward_no_grad(&flat, &Mode::Eval).unwrap_err().to_string().contains("(batch, height, width, channels)")
    );
    let bytes = Tensor::zeros((2, 9, 9, 3), DType::U8, &Device::Cpu).unwrap();
    assert!(layer.forward_no_grad(&bytes, &Mode::Eval).unwrap_err().to_string().contains("use f32 or f64"));
    let refuse = |inputs, config| Conv2d::new(&varmap(DType::F32).root(), inputs, 4, config).unwrap_err().to_string();
    assert!(refuse(3, Conv2dConfig::square(3).groups(2)).contains("2 groups do not divide 3 inputs"));
    assert!(refuse(3, Conv2dConfig::square(0)).contains("only the padding may be 0"));
    assert!(refuse(3, Conv2dConfig::square(3).stride(0)).contains("only the padding may be 0"));
    // An empty batch is no error: it has an empty result.
    let empty = Tensor::zeros((0, 3, 9, 9), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(layer.planes(&empty, &Mode::Eval).unwrap().dims(), [0, 8, 5, 5]);
}
