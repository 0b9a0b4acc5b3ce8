//! Every layer composed of tensor operations against its kernels, both on the CPU.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::chip::emulated::emulating;
use crate::*;
use candle_core::{DType, Device, Tensor, Var};
use npair_testkit::inputs;
use npair_types::Streams;
use proptest::prelude::*;

fn varmap(dtype: DType) -> VarMap {
    VarMap::new(Streams::new(5), dtype, &Device::Cpu)
}

/// Values of all parameters and buffers that are not the first ones: biases differ from 0, variances from 1.
fn stir(varmap: &VarMap) {
    for (seed, (name, var)) in varmap.trainable().into_iter().chain(varmap.buffers()).enumerate() {
        let value = inputs::normal(100 + seed as u64, 0.3, var.shape(), var.dtype()).unwrap();
        let far = ["running_var", "gamma", "p"].iter().any(|n| name.ends_with(n)) || var.rank() == 1;
        let value = if far { (value.abs().unwrap() + 0.5).unwrap() } else { value };
        var.set(&value).unwrap();
    }
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn train() -> Mode {
    Mode::train(Streams::new(8), 3)
}

/// A layer in evaluation, composed.
fn composed(layer: &dyn Layer, x: &Tensor) -> Result<Tensor> {
    forward_no_grad_on(&Composed, x, &Mode::Eval, |x, tape| layer.record(x, tape))
}

type Forward<'a> = &'a dyn Fn(&Node, &mut Tape) -> Result<Node>;

/// Result, result without a tape, gradients and buffers of a pass, by name; from parameters and buffers as they were.
fn run(
    backend: &'static dyn Backend,
    f: Forward,
    varmap: &VarMap,
    x: &Tensor,
    mode: &Mode,
) -> Vec<(String, Vec<usize>, Vec<f64>)> {
    let before = varmap.tensors().unwrap().into_iter().collect();
    let input = Var::from_tensor(x).unwrap();
    let no_grad = forward_no_grad_on(backend, &input, mode, f).unwrap();
    let out = forward_on(backend, &input, mode, f).unwrap();
    let weights = inputs::normal(77, 1., out.shape(), out.dtype()).unwrap();
    let grads = (&out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let mut all = vec![("result".to_owned(), out.clone()), ("without gradients".to_owned(), no_grad)];
    for (name, var) in varmap.trainable().into_iter().chain([("input".to_owned(), input)]) {
        all.push((format!("gradient of {name}"), grads.get(&var).unwrap_or_else(|| panic!("{name}")).clone()));
    }
    all.extend(varmap.buffers().into_iter().map(|(name, var)| (name, var.as_tensor().copy().unwrap())));
    varmap.load(&before).unwrap();
    all.into_iter().map(|(name, t)| (name, t.dims().to_vec(), values(&t))).collect()
}

/// Compares both ways in f64 and f32, where `terms` is the longest sum that a value or gradient comes from.
///
/// Inputs are normal: n products of them add up to at most about n in absolute value and to the square root of n in sum,
/// so that rounding, at most n times the unit of the sum of absolute values, stays below 4 n units of the largest sum for
/// sums of some hundreds, and is far smaller where errors have signs. f64 has room to spare and is held to 1e-10.
fn compare(make: impl Fn(&VarMap) -> Box<dyn Layer>, x: &Tensor, mode: &Mode, terms: usize) {
    for dtype in [DType::F64, DType::F32] {
        let varmap = varmap(dtype);
        let layer = make(&varmap);
        stir(&varmap);
        compare_in(&|x, tape| layer.record(x, tape), &varmap, x, mode, terms);
    }
}

fn compare_in(f: Forward, varmap: &VarMap, x: &Tensor, mode: &Mode, terms: usize) {
    let x = x.to_dtype(varmap.dtype()).unwrap();
    let want = run(&Cpu, f, varmap, &x, mode);
    hold(&run(&Composed, f, varmap, &x, mode), &want, varmap.dtype(), terms);
    if varmap.dtype() == DType::F32 {
        // The kernels of devices, as fibers; the other order of threads shows a barrier that is missing.
        for reverse in [false, true] {
            if let Some(got) = emulating(reverse, || run(&Composed, f, varmap, &x, mode)) {
                hold(&got, &want, varmap.dtype(), terms);
            }
        }
    }
}

/// That one way gives what the other gives.
fn hold(got: &[(String, Vec<usize>, Vec<f64>)], want: &[(String, Vec<usize>, Vec<f64>)], dtype: DType, terms: usize) {
    let unit = if dtype == DType::F64 { 1e-10 } else { 4. * (terms + 8) as f64 * f64::from(f32::EPSILON) };
    for ((name, dims, got), (_, shape, want)) in got.iter().zip(want) {
        assert_eq!(dims, shape, "{name}");
        let scale = want.iter().fold(1f64, |m, v| m.max(v.abs()));
        for (at, (g, w)) in got.iter().zip(want).enumerate() {
            let near = (g - w).abs() <= unit * scale || (g.is_nan() && w.is_nan()) || g == w;
            assert!(near, "{name}[{at}]: {g:e}, not {w:e} (of {scale:e})");
        }
    }
}

fn images(b: usize, h: usize, w: usize, c: usize) -> Tensor {
    inputs::normal(9, 1., (b, h, w, c), DType::F64).unwrap()
}

fn pair(low: usize, high: usize) -> (std::ops::RangeInclusive<usize>, std::ops::RangeInclusive<usize>) {
    (low..=high, low..=high)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn convolutions(
        (batch, groups, inputs, outputs) in (1..=3usize, 1..=3usize, 1..=5usize, 1..=5usize),
        (h, w) in pair(1, 11),
        (kernel, stride, padding, dilation) in (pair(1, 4), pair(1, 3), pair(0, 3), pair(1, 2)),
        bias in any::<bool>(),
    ) {
        let fits = |extent: usize, k: usize, p: usize, d: usize| extent + 2 * p > d * (k - 1);
        prop_assume!(fits(h, kernel.0, padding.0, dilation.0) && fits(w, kernel.1, padding.1, dilation.1));
        let config = Conv2dConfig { kernel, stride, padding, dilation, groups, bias, same: false };
        let (inputs, outputs) = (inputs * groups, outputs * groups);
        let terms = (inputs * kernel.0 * kernel.1).max(batch * (h + 6) * (w + 6)).max(outputs * kernel.0 * kernel.1);
        let make = |p: &VarMap| Box::new(Conv2d::new(&p.root(), inputs, outputs, config).unwrap()) as Box<dyn Layer>;
        compare(make, &images(batch, h, w, inputs), &Mode::Eval, terms);
    }

    #[test]
    fn pools(
        (kernel, stride, padding, ceil) in (pair(1, 5), pair(1, 4), pair(0, 2), any::<bool>()),
        (h, w) in pair(1, 12),
        ties in any::<bool>(),
    ) {
        let padding = (padding.0.min(kernel.0 / 2), padding.1.min(kernel.1 / 2));
        let over = |stride: usize| if ceil { stride - 1 } else { 0 };
        prop_assume!(h + 2 * padding.0 + over(stride.0) >= kernel.0 && w + 2 * padding.1 + over(stride.1) >= kernel.1);
        let config = PoolConfig { kernel, stride, padding, ceil };
        let x = images(2, h, w, 3);
        let x = if ties { x.round().unwrap() } else { x };
        compare(|_| Box::new(MaxPool2d::new(config).unwrap()), &x, &Mode::Eval, 25);
        compare(|_| Box::new(AvgPool2d::new(config).unwrap()), &x, &Mode::Eval, 25);
        compare(|_| Box::new(AvgPool2d::new(config).unwrap().without_padding()), &x, &Mode::Eval, 25);
    }
}

#[test]
fn convolutions_of_known_networks() {
    for (batch, inputs, outputs, side, config) in [
        (3, 3, 8, 33, Conv2dConfig::square(7).stride(2).padding(3).without_bias()),
        (5, 16, 12, 9, Conv2dConfig::square(1)),
        (5, 16, 12, 9, Conv2dConfig::square(1).stride(2)),
        (4, 24, 24, 9, Conv2dConfig::square(7).padding(3).groups(24)),
        (4, 24, 24, 10, Conv2dConfig::square(5).stride(2).same().groups(24)),
        (3, 3, 8, 17, Conv2dConfig::square(3).stride(2).same().without_bias()),
        (2, 3, 8, 16, Conv2dConfig::square(4).stride(4)),
    ] {
        let make = |p: &VarMap| Box::new(Conv2d::new(&p.root(), inputs, outputs, config).unwrap()) as Box<dyn Layer>;
        compare(make, &images(batch, side, side, inputs), &Mode::Eval, batch * side * side);
    }
}

/// NaN, infinities, and nothing but the smallest.
#[test]
fn what_is_no_number() {
    let (nan, low, high) = (f64::NAN, f64::NEG_INFINITY, f64::INFINITY);
    let x = Tensor::new(&[1., nan, 2., 3., low, low, low, low, high, 0., -1., low], &Device::Cpu).unwrap();
    let x = x.reshape((3, 2, 2, 1)).unwrap();
    for dtype in [DType::F64, DType::F32] {
        let x = x.to_dtype(dtype).unwrap();
        for layer in [&MaxPool2d::new(PoolConfig::square(2)).unwrap() as &dyn Layer, &Relu] {
            let want = values(&layer.forward_no_grad(&x, &Mode::Eval).unwrap());
            let got = values(&composed(layer, &x).unwrap());
            assert!(got.iter().zip(&want).all(|(g, w)| g == w || (g.is_nan() && w.is_nan())), "{got:?} {want:?}");
        }
    }
    // An exponent that has become negative cannot be refused without reading it.
    let varmap = varmap(DType::F64);
    let gem = GemPool::new(&varmap.root(), 3., 1e-6).unwrap();
    for bad in [-1., 0.] {
        varmap.trainable()[0].1.set(&Tensor::new(&[bad], &Device::Cpu).unwrap()).unwrap();
        let out = composed(&gem, &images(1, 2, 2, 2)).unwrap();
        assert!(values(&out).iter().all(|v| v.is_nan()));
    }
}

#[test]
fn norms() {
    for mode in [train(), Mode::Eval] {
        for frozen in [false, true] {
            let config = BatchNormConfig { frozen, ..Default::default() };
            compare(|p| Box::new(BatchNorm2d::new(&p.root(), 3, config).unwrap()), &images(4, 5, 3, 3), &mode, 60);
        }
        compare(|p| Box::new(LayerNorm::new(&p.root(), 7, 1e-6).unwrap()), &images(3, 2, 5, 7), &mode, 30);
    }
    compare(|_| Box::new(LocalResponseNorm::new(5, 1e-1, 0.75, 2.).unwrap()), &images(2, 3, 2, 11), &Mode::Eval, 11);
    compare(|_| Box::new(LocalResponseNorm::new(4, 0.5, 0.6, 1.).unwrap()), &images(2, 3, 2, 5), &Mode::Eval, 11);
}

/// Deviation 1 around 4,096: a naive mean of squares in f32 would have no correct digit of the variance.
#[test]
fn a_large_mean_does_not_cancel() {
    let shifted = (inputs::normal(6, 1., (8, 40, 40, 3), DType::F32).unwrap() + 4096.).unwrap();
    // Held against f64: the kernel of the layer norm itself rounds the mean to f32.
    let run = |dtype: DType, backend: &'static dyn Backend| {
        let (x, varmap) = (shifted.to_dtype(dtype).unwrap(), varmap(dtype));
        let norm = BatchNorm2d::new(&varmap.root(), 3, BatchNormConfig::default()).unwrap();
        let rows = LayerNorm::new(&varmap.root().pp("rows"), 3, 1e-5).unwrap();
        let of = |layer: &dyn Layer| {
            values(&forward_no_grad_on(backend, &x, &train(), |x, tape| layer.record(x, tape)).unwrap())
        };
        [of(&norm), of(&rows)].concat()
    };
    for (g, w) in run(DType::F32, &Composed).iter().zip(run(DType::F64, &Cpu)) {
        // Of order 1, from a subtraction that is exact; a row of three that are nearly alike is scaled up by some tens.
        assert!((g - w).abs() <= 256. * f64::from(f32::EPSILON), "{g} {w}");
    }
}

#[test]
fn units_of_convolution_norm_and_activation() {
    let x = images(3, 6, 5, 4);
    for mode in [train(), Mode::Eval] {
        for activation in [Activation::None, Activation::Relu, Activation::Relu6, Activation::HardSwish] {
            for (normed, bias) in [(true, false), (true, true), (false, true)] {
                for residual in [false, true] {
                    for dtype in [DType::F64, DType::F32] {
                        let varmap = varmap(dtype);
                        let config = Conv2dConfig { bias, ..Conv2dConfig::square(3).padding(1) };
                        let conv = Conv2d::new(&varmap.root().pp("conv"), 4, 4, config).unwrap();
                        // Frozen for some.
                        let frozen = activation == Activation::Relu6;
                        let config = BatchNormConfig { frozen, ..Default::default() };
                        let norm = |p: VarBuilder| BatchNorm2d::new(&p, 4, config).unwrap();
                        let norm = normed.then(|| norm(varmap.root().pp("norm")));
                        let unit = ConvUnit::new(conv, norm, activation).unwrap();
                        stir(&varmap);
                        let f = |x: &Node, tape: &mut Tape| match residual {
                            true => unit.record_add(x, x, tape),
                            false => unit.record(x, tape),
                        };
                        compare_in(&f, &varmap, &x, &mode, 90);
                        // Without a tape in evaluation the norm goes into the weights.
                        let x = x.to_dtype(dtype).unwrap();
                        let want = values(&forward_no_grad(&x, &Mode::Eval, f).unwrap());
                        let got = forward_no_grad_on(&Composed, &x, &Mode::Eval, f).unwrap();
                        let unit = if dtype == DType::F64 { 1e-10 } else { 400. * f64::from(f32::EPSILON) };
                        let near = |(g, w): (&f64, &f64)| (g - w).abs() <= unit * w.abs().max(1.);
                        assert!(values(&got).iter().zip(&want).all(near));
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_done_to_values_and_rows() {
    let x = images(3, 4, 5, 6);
    for mode in [train(), Mode::Eval] {
        compare(|_| Box::new(Relu), &x, &mode, 1);
        for activation in [Activation::Relu6, Activation::HardSwish, Activation::HardSigmoid] {
            compare(|_| Box::new(activation), &(&x * 4.).unwrap(), &mode, 1);
        }
        for activation in [Activation::QuickGelu, Activation::TanhGelu] {
            compare(|_| Box::new(activation), &(&x * 4.).unwrap(), &mode, 4);
        }
        compare(|_| Box::new(Gelu), &(&x * 2.).unwrap(), &mode, 4);
        compare(|_| Box::new(Softmax), &(&x * 3.).unwrap(), &mode, 6);
        compare(|p| Box::new(LayerScale::new(&p.root(), 6, 1e-6).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(Linear::new(&p.root(), 6, 7, true).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(Linear::new(&p.root(), 6, 1, false).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(Dropout::new(&p.root(), 0.4).unwrap()), &x, &mode, 1);
        compare(|p| Box::new(DropPath::new(&p.root(), 0.4).unwrap()), &x, &mode, 1);
        compare(|_| Box::new(GlobalAvgPool), &x, &mode, 20);
        compare(|_| Box::new(AdaptiveAvgPool2d::new(3, 2).unwrap()), &x, &mode, 20);
        compare(|_| Box::new(AdaptiveAvgPool2d::new(6, 7).unwrap()), &x, &mode, 20);
        compare(|p| Box::new(GemPool::new(&p.root(), 3., 1e-2).unwrap()), &x, &mode, 20);
        compare(|_| Box::new(ToChannelsLast), &x, &mode, 1);
        compare(|_| Box::new(ToChannelsFirst), &x, &mode, 1);
        compare(|_| Box::new(Flatten), &x, &mode, 1);
    }
}

#[test]
fn what_transformers_are_made_of() {
    let x = inputs::normal(3, 1., (3, 16, 12), DType::F64).unwrap();
    for mode in [train(), Mode::Eval] {
        compare(|p| Box::new(Attention::new(&p.root(), 12, 3, Init::XavierUniform).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(ClassToken::new(&p.root(), 12, [4; 2], 4).unwrap()), &x, &mode, 16);
        compare(|p| Box::new(ClassToken::new(&p.root(), 12, [2, 8], 7).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(ClassToken::new(&p.root(), 12, [4; 2], 3).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(PositionEmbedding::new(&p.root(), 12, [8, 2], 7).unwrap()), &x, &mode, 60);
        compare(|p| Box::new(AttentionPool::new(&p.root(), 12, 3, Init::XavierUniform).unwrap()), &x, &mode, 60);
        compare(|_| Box::new(FirstToken), &x, &mode, 1);
        let make = |p: &VarMap| PatchEmbed::new(&p.root(), 3, 10, 4, Init::XavierUniform).unwrap();
        compare(|p| Box::new(make(p)), &images(2, 8, 12, 3), &mode, 48);
    }
}

#[test]
fn where_branches_meet() {
    let varmap = varmap(DType::F64);
    let [a, b] = ["a", "b"].map(|n| Linear::new(&varmap.root().pp(n), 4, 3, true).unwrap());
    let f = |x: &Node, tape: &mut Tape| {
        let (left, right) = (a.record(x, tape)?, b.record(x, tape)?);
        let both = concat(&[&left, &right, x], tape)?;
        sum(&both, &both, tape)
    };
    compare_in(&f, &varmap, &inputs::normal(3, 1., (5, 2, 4), DType::F64).unwrap(), &train(), 10);
}

#[test]
fn factors_of_channels() {
    let varmap = varmap(DType::F64);
    let squeeze = Conv2d::new(&varmap.root(), 6, 6, Conv2dConfig::square(1)).unwrap();
    let f = |x: &Node, tape: &mut Tape| {
        let mean = AdaptiveAvgPool2d::new(1, 1)?.record(x, tape)?;
        let factors = Activation::HardSigmoid.record(&squeeze.record(&mean, tape)?, tape)?;
        gate(x, &factors, tape)
    };
    for mode in [train(), Mode::Eval] {
        compare_in(&f, &varmap, &images(3, 9, 10, 6), &mode, 90);
    }
}

#[test]
fn a_network_of_blocks() {
    let x = images(6, 13, 12, 2);
    let make = |p: &VarMap| {
        let stem = ConvBlock::new(&p.root().pp("stem"), 2, 8).unwrap();
        let body = ConvBlock::new(&p.root().pp("body"), 8, 5).unwrap();
        let head = Linear::new(&p.root().pp("head"), 45, 4, true).unwrap();
        Box::new(Sequential::new().then(stem).then(body).then(Flatten).then(head)) as Box<dyn Layer>
    };
    // Through two norms an error grows by what they divide by: of order 1 here, as inputs are.
    compare(make, &x, &train(), 2000);
}

#[test]
fn other_number_types_are_refused() {
    for dtype in [DType::F16, DType::BF16] {
        let x = images(1, 2, 2, 1).to_dtype(dtype).unwrap();
        let said = composed(&Relu, &x).unwrap_err().to_string();
        assert!(said.contains("use f32 or f64"), "{said}");
    }
}

/// Values are read on the host in one place, which only the backend of the CPU sees.
#[test]
fn values_are_read_in_one_place() {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let reads = code.lines().filter(|l| !l.trim_start().starts_with("//"));
            let words =
                [".to_vec0", ".to_vec1", ".to_vec2", ".to_vec3", ".to_scalar", ".storage_and_layout", "as_slice"];
            let reads = reads.filter(|l| words.iter().any(|w| l.contains(w)));
            found.extend(reads.map(|l| format!("{}: {}", path.display(), l.trim())));
        }
    }
    let mut found = Vec::new();
    walk(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.retain(|line| !line.contains("tests.rs"));
    // Those ask where values lie, to hand it to kernels.
    found.retain(|line| !(line.contains("/chip/") && line.contains(".storage_and_layout")));
    // Behind a pass: the length of all gradients.
    found.retain(|line| !(line.contains("/chip/optimizer.rs") && line.contains(".to_vec1::<f32>")));
    let (host, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|line| line.contains("backend/cpu/"));
    assert!(host.iter().any(|line| line.contains("host.rs")), "{host:#?}");
    // Where the end of the tape asks for a layout alone.
    assert!(
        others.iter().all(|line| line.contains("tape/bridge.rs") && line.contains("let (_, layout)")),
        "{others:#?}"
    );
}
