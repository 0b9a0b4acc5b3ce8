//! What no layer's test starts: steps of optimizers; and that every kernel is held against the CPU.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::emulated::{emulating, started};
use super::optimizer::{AdamStep, squares};
use super::{In, Kernel, Launch, THREADS, blocks, norm, of, places, pointwise, pool, response, rows};
use crate::backend::{BatchNorm, LayerNormVjp};
use crate::kernel::activation::Activation;
use crate::kernel::attention::Heads;
use crate::kernel::pool::Window;
use crate::kernel::response::Response;
use candle_core::{DType, Tensor, Var};
use npair_testkit::inputs;

fn normal(seed: u64, values: usize) -> Tensor {
    inputs::normal(seed, 1., values, DType::F32).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// Some hundreds of roundings of f32.
fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= 1e-5 * want.abs().max(1.), "[{at}]: {got}, not {want}");
    }
}

#[test]
fn the_squares_of_all_gradients_are_summed() {
    let parts = [1, 2000, 70_001].map(|values| normal(values as u64, values));
    let want: f64 = parts.iter().flat_map(numbers).map(|v| v * v).sum();
    let all: Vec<&Tensor> = parts.iter().collect();
    assert_eq!(squares(&all).unwrap(), None);
    let Some(found) = emulating(false, || squares(&all).unwrap()) else { return };
    assert!((found.unwrap() - want).abs() <= 1e-5 * want, "{found:?}, not {want}");
}

#[test]
fn a_step_of_adam_is_that_of_the_paper() {
    let step = AdamStep {
        betas: [0.9, 0.999],
        scale: 0.5,
        keep: 0.99,
        rate: 0.01,
        corrections: [0.19, 0.001_999],
        epsilon: 1e-8,
    };
    let count = 700;
    let (value, first, second, grad) =
        (normal(1, count), normal(2, count), normal(3, count).sqr().unwrap(), normal(4, count));
    let found = emulating(true, || {
        let chip = of(&grad).unwrap().unwrap();
        // Room that holds what the kernel changes: a copy.
        let mut room = [&value, &first, &second].map(|t| {
            let mut out = chip.room(count).unwrap();
            pointwise::Tail::default().start(&chip, &mut out, DType::F32, In::Tensor(t), (count, 1)).unwrap();
            out
        });
        let mut outs: Vec<_> = room.iter_mut().map(Some).collect();
        let (kernel, ins, params) = (Kernel::only("adam"), &[In::Tensor(&grad)], step.params(count));
        let blocks = blocks(count, 1);
        let start = Launch { kernel, blocks, threads: THREADS, shared: 0, places: &[], outs: &mut outs, ins, params };
        chip.launch(start).unwrap();
        room.map(|t| numbers(&chip.tensor(t, count).unwrap()))
    });
    let Some([moved, m, v]) = found else { return };
    let (grad, before) = (numbers(&grad), [&value, &first, &second].map(numbers));
    for at in 0..count {
        let g = 0.5 * grad[at];
        let (m1, v1) = (0.9 * before[1][at] + 0.1 * g, 0.999 * before[2][at] + 0.001 * g * g);
        let want = 0.99 * before[0][at] - 0.01 * (m1 / 0.19) / ((v1 / 0.001_999).sqrt() + 1e-8);
        near(&[moved[at], m[at], v[at]], &[want, m1, v1]);
    }
}

/// Kernels that take four values at a time give what those for single ones give: of twelve channels at once, and of the same ones
/// three at a time.
#[test]
fn four_at_a_time_are_single_ones() {
    let x = inputs::normal(5, 1., (2, 6, 6, 12), DType::F32).unwrap();
    let of_channels: [fn(&Tensor) -> Tensor; 6] = [
        |x| {
            let (chip, w) = (of(x).unwrap().unwrap(), window(x));
            pool::max_vjp(&chip, &w, &pool::max(&chip, &w, x, true).unwrap().1.unwrap(), &maps(x)).unwrap()
        },
        |x| pool::max(&of(x).unwrap().unwrap(), &window(x), x, false).unwrap().0,
        |x| pool::mean(&of(x).unwrap().unwrap(), &window(x), true, x).unwrap(),
        |x| pool::mean_vjp(&of(x).unwrap().unwrap(), &window(x), false, &maps(x)).unwrap(),
        |x| pointwise::activate_vjp_and_sum(&of(x).unwrap().unwrap(), 3, x, x).unwrap().1,
        |x| pointwise::sum_products(&of(x).unwrap().unwrap(), x, x).unwrap(),
    ];
    for f in of_channels {
        let found = emulating(false, || {
            let whole = f(&x);
            let parts: Vec<_> = (0..4).map(|at| f(&x.narrow(3, 3 * at, 3).unwrap().contiguous().unwrap())).collect();
            (numbers(&whole), numbers(&Tensor::cat(&parts, whole.rank() - 1).unwrap()))
        });
        if let Some((whole, parts)) = found {
            near(&whole, &parts);
        }
    }
}

fn window(x: &Tensor) -> Window {
    let channels = x.dim(3).unwrap();
    Window { batch: 2, channels, image: (6, 6), kernel: (3, 2), stride: (2, 1), padding: (1, 0), map: (3, 5) }
}

/// As many values as the maps of [`window`] have.
fn maps(x: &Tensor) -> Tensor {
    x.narrow(1, 0, 3).unwrap().narrow(2, 0, 5).unwrap().contiguous().unwrap()
}

/// A kernel that nothing here starts would be one that nothing holds against the CPU.
#[test]
fn every_kernel_is_started() {
    let found = emulating(false, || {
        for channels in [8, 3] {
            start_all(channels, DType::F32);
            start_all(channels, DType::BF16);
        }
    });
    if found.is_none() {
        return;
    }
    a_step_of_adam_is_that_of_the_paper();
    the_squares_of_all_gradients_are_summed();
    let text = include_str!("../../kernels/layers.cu");
    let between = |line: &str, start: &str, end: char| Some(line.strip_prefix(start)?.split(end).next()?.to_owned());
    let mut names = Vec::new();
    for line in text.lines().filter(|line| !line.contains("##")) {
        names.extend(between(line, "KERNEL ", '('));
        let both = |name: String| [name.clone(), format!("{name}_bf16")];
        let one = between(line, "BY_TYPE(", ',').map(|name| both(format!("npair_{name}")));
        names.extend(one.into_iter().flatten());
        let four = between(line, "BY_FOUR(", ',').map(|name| both(format!("npair_{name}")));
        names.extend(four.into_iter().flatten().flat_map(|name| [format!("{name}_1"), format!("{name}_4")]));
    }
    assert!(names.len() > 70, "{names:?}");
    let started = started().lock().unwrap().clone();
    let missing: Vec<_> = names.iter().filter(|name| !started.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What all kernels of layers give for some values, by name.
fn start_all(channels: usize, dtype: DType) -> Vec<(&'static str, Tensor)> {
    // Values that bf16 holds, for both types.
    let x = inputs::normal(5, 1., (2, 4, 4, channels), DType::BF16).unwrap().to_dtype(dtype).unwrap();
    let chip = of(&x).unwrap().unwrap();
    let w = Window { batch: 2, channels, image: (4, 4), kernel: (2, 2), stride: (2, 2), padding: (0, 0), map: (2, 2) };
    let (small, taps) = pool::max(&chip, &w, &x, true).unwrap();
    let mut all = vec![("max", small.clone())];
    all.push(("max_vjp", pool::max_vjp(&chip, &w, &taps.unwrap(), &small).unwrap()));
    all.push(("mean", pool::mean(&chip, &w, true, &x).unwrap()));
    all.push(("mean_vjp", pool::mean_vjp(&chip, &w, true, &small).unwrap()));
    let norm = Response { size: 3, alpha: 1., beta: 0.5, k: 1. };
    all.push(("response", response::forward(&chip, norm, &x).unwrap()));
    all.push(("response_vjp", response::backward(&chip, norm, &x, &x).unwrap()));
    all.push(("softmax", rows::softmax(&chip, &x, 2.).unwrap()));
    all.push(("softmax_vjp", rows::softmax_vjp(&chip, &x, &x, 2.).unwrap()));
    let ones = Tensor::ones(channels, DType::F32, x.device()).unwrap();
    let (out, kept) = rows::normalize(&chip, &x, &ones, &ones, 1e-5).unwrap();
    all.extend([("layer_norm", out), ("its input", kept.input(&x).unwrap()), ("its weight", kept.weight(&x).unwrap())]);
    let [mean, variance] = [0, 1].map(|_| Var::from_tensor(&ones).unwrap());
    let layer = BatchNorm { weight: &ones, bias: &ones, mean: &mean, variance: &variance, epsilon: 1e-5 };
    let (scale, shift) = norm::fold(&chip, &layer, Some(&ones)).unwrap();
    all.extend([("scale", scale), ("shift", shift)]);
    let (out, vjp) = norm::batch_norm(&chip, &x, &layer, Some(&x), Activation::HardSwish, Some(0.1)).unwrap();
    let found = vjp(x.clone(), true).unwrap();
    all.extend([("batch_norm", out), ("shortcut", found.shortcut), ("gamma", found.weight), ("beta", found.bias)]);
    all.extend([("batch_norm_vjp", found.input.unwrap()), ("running", mean.as_tensor().copy().unwrap())]);
    all.push(("act_vjp", pointwise::activate_vjp(&chip, 1, &x, &x).unwrap()));
    let part = places::columns(&chip, &x, 0, channels / 2).unwrap();
    all.push(("concat", places::concat(&chip, &[&part, &x]).unwrap()));
    all.push(("transposed", places::transposed(&chip, &x, (16, channels), (2, channels, 4, 4)).unwrap()));
    let heads = Heads { batch: 2, tokens: 16, heads: 1, width: channels };
    let split = places::split_heads(&chip, heads, 1, &x).unwrap();
    all.extend([("joined", places::join_heads(&chip, heads, &[&split]).unwrap()), ("split", split)]);
    all
}

/// Kernels of bf16 compute in f32: of the same values they give what those of f32 give, rounded once.
#[test]
fn sixteen_bits_are_f32_rounded_once() {
    let found = emulating(false, || [8, 3].map(|n| (start_all(n, DType::BF16), start_all(n, DType::F32))));
    for (halves, whole) in found.into_iter().flatten() {
        for ((name, half), (_, whole)) in halves.iter().zip(&whole) {
            let want = whole.to_dtype(half.dtype()).unwrap();
            // What a norm keeps between its kernels is rounded, too: by 2^-8 of itself, some three values in a row for a value, and
            // all 32 rows for a sum over them.
            let rounded = match *name {
                "batch_norm" | "batch_norm_vjp" | "shortcut" => 3,
                "gamma" | "beta" => 32,
                _ => 0,
            };
            for (at, (got, want)) in numbers(half).iter().zip(numbers(&want)).enumerate() {
                let allowed = f64::from(rounded) * 2f64.powi(-8) * want.abs().max(1.);
                let near = *got == want || (got - want).abs() <= allowed;
                assert!(near, "{name}[{at}]: {got}, not {want}");
            }
        }
    }
}
