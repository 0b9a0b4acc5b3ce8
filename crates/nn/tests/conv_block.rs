//! The fused block against its four layers in f64.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{ConvBlock, Layer, Mode, Params};
use npair_testkit::{inputs, threads};
use npair_types::Streams;
use proptest::prelude::*;
use support::{bits, check_gradients, params, values};

fn train() -> Mode {
    Mode::train(Streams::new(1), 0)
}

/// Whole numbers from -3 to 3: convolutions of them are exact, so that maxima and ties are the same in f32 and f64.
fn whole(seed: u64, dims: &[usize], dtype: DType) -> Tensor {
    let x = inputs::normal(seed, 1., dims, DType::F64).unwrap();
    x.round().unwrap().clamp(-3., 3.).unwrap().to_dtype(dtype).unwrap()
}

/// A block whose weights are whole and whose norm is not the first one, with one negative scale.
fn block(channels: usize, width: usize, dtype: DType) -> (ConvBlock, Params) {
    let params = params(dtype);
    let block = ConvBlock::new(&params.root(), channels, width).unwrap();
    for (seed, (name, var)) in params.trainable().into_iter().chain(params.buffers()).enumerate() {
        let small = inputs::normal(seed as u64, 0.3, var.shape(), DType::F32).unwrap().to_dtype(dtype).unwrap();
        let value = match name.as_str() {
            "conv.weight" => whole(7, var.dims(), dtype),
            "norm.weight" => (small + 0.4).unwrap(),
            "norm.running_var" => (small.abs().unwrap() + 20.).unwrap(),
            _ => small,
        };
        var.set(&value).unwrap();
    }
    (block, params)
}

/// Result, gradients by name, and buffers after the pass.
fn run(dims: [usize; 4], width: usize, dtype: DType, mode: Mode, layers: bool) -> Vec<(String, Vec<f64>)> {
    let (block, params) = block(dims[1], width, dtype);
    let x = Var::from_tensor(&whole(9, &dims, dtype)).unwrap();
    let out = if layers { block.forward_by_layers(&x, &mode) } else { block.forward(&x, &mode) }.unwrap();
    let weights = inputs::normal(3, 1., out.shape(), DType::F32).unwrap().to_dtype(dtype).unwrap();
    let grads = (&out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let vars = params.trainable().into_iter().chain([("input".to_owned(), x)]);
    let mut all: Vec<_> = vars.map(|(name, var)| (name, values(grads.get(&var).unwrap()))).collect();
    all.push(("output".to_owned(), values(&out)));
    all.extend(params.buffers().iter().map(|(name, var)| (name.clone(), values(var))));
    all
}

fn compare(dims: [usize; 4], width: usize, mode: Mode) {
    let (got, want) = (run(dims, width, DType::F32, mode, false), run(dims, width, DType::F64, mode, true));
    for ((name, got), (other, want)) in got.iter().zip(&want) {
        assert_eq!((name, got.len()), (other, want.len()));
        let scale = want.iter().fold(1f64, |m, v| m.max(v.abs()));
        // Sums of at most a few thousand rounded terms whose errors have no common sign: the root of their number, and
        // the norm's division by a deviation of order 1, make some hundred units of the largest entry.
        let bound = 300. * f64::from(f32::EPSILON) * scale;
        for (entry, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((g - w).abs() <= bound, "{dims:?} to {width} {mode:?} {name}[{entry}]: {g:e}, not {w:e}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_shape_is_the_layers(b in 1..=9usize, c in 1..=9usize, w in 1..=12usize, rows in 2..=20usize, columns in 2..=20usize) {
        // More than a handful of values per channel: a deviation near 0 would blow up rounding errors.
        prop_assume!(b * rows * columns >= 30);
        compare([b, c, rows, columns], w, train());
        compare([b, c, rows, columns], w, Mode::Eval);
    }
}

#[test]
fn shapes_of_the_conv_net_are_the_layers() {
    for dims in [[9, 1, 28, 28], [9, 16, 14, 14], [50, 16, 7, 7], [70, 16, 3, 3], [2, 3, 84, 84], [1, 2, 100, 100]] {
        compare(dims, 16, train());
        compare(dims, 16, Mode::Eval);
    }
}

#[test]
fn in_f64_it_is_the_layers_and_has_their_gradient() {
    let (block, params) = block(2, 3, DType::F64);
    // Not whole: central differences need windows without ties.
    let x = inputs::normal(5, 1., (2, 2, 6, 5), DType::F64).unwrap();
    check_gradients(&block, &params, &x, &train());
    check_gradients(&block, &params, &x, &Mode::Eval);
}

#[test]
fn an_image_without_a_gradient_gets_none() {
    let (block, params) = block(1, 4, DType::F32);
    let x = whole(2, &[3, 1, 8, 8], DType::F32);
    let grads = block.forward(&x, &train()).unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none());
    assert!(params.trainable().iter().all(|(_, var)| grads.get(var).is_some()));
}

#[test]
fn threads_do_not_change_a_bit() {
    for dims in [[37, 1, 28, 28], [37, 8, 14, 14], [90, 8, 7, 7]] {
        let runs = threads::with_threads(&[1, 2, 3], || {
            let (block, params) = block(dims[1], 12, DType::F32);
            let x = Var::from_tensor(&inputs::normal(9, 1., &dims[..], DType::F32).unwrap()).unwrap();
            let out = block.forward(&x, &train()).unwrap();
            let grads = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = vec![bits(&out), bits(grads.get(&x).unwrap())];
            all.extend(params.trainable().iter().map(|(_, var)| bits(grads.get(var).unwrap())));
            all.extend(params.buffers().iter().map(|(_, var)| bits(var)));
            all
        });
        assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "{dims:?}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let (block, _) = block(2, 3, DType::F32);
    let message = |dims: &[usize], mode: Mode| {
        let x = Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        block.forward(&x, &mode).unwrap_err().to_string()
    };
    assert!(message(&[2, 3, 8, 8], train()).contains("takes 2 channels"));
    assert!(message(&[2, 2, 1, 8], Mode::Eval).contains("does not fit"));
    assert!(message(&[2, 8, 8], train()).contains("(batch, channels, height, width)"));
}
