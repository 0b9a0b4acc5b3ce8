//! A batch in pieces: what dropout does to a row, and passes without gradients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use candle_core::{DType, Tensor};
use npair_nn::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvUnit, DropPath, Dropout, Layer, MaxPool2d,
    Mode, PoolConfig, Sequential, forward_no_grad,
};
use npair_testkit::inputs;
use npair_types::Streams;
use support::{bits, varmap};

fn train() -> Mode {
    Mode::train(Streams::new(1), 7)
}

#[test]
fn a_piece_drops_what_the_whole_batch_drops_there() {
    let root = varmap(DType::F32).root();
    let dropout = Dropout::new(&root.pp("dropout"), 0.4).unwrap();
    let path = DropPath::new(&root.pp("path"), 0.4).unwrap();
    for shape in [&[11, 5][..], &[11, 3, 2], &[11]] {
        let x = inputs::normal(1, 1., shape, DType::F32).unwrap();
        for layer in [&dropout as &dyn Layer, &path] {
            let whole = bits(&layer.forward(&x, &train()).unwrap());
            for cuts in [&[0, 4, 8, 11][..], &[0, 1, 11], &[0, 7, 11]] {
                let piece = |w: &[usize]| {
                    let rows = x.narrow(0, w[0], w[1] - w[0]).unwrap();
                    bits(&layer.forward(&rows, &train().from_row(w[0])).unwrap())
                };
                assert_eq!(cuts.windows(2).flat_map(piece).collect::<Vec<_>>(), whole, "{shape:?} {cuts:?}");
            }
        }
    }
    // Another row drops something else.
    let x = Tensor::ones((4, 50), DType::F32, &candle_core::Device::Cpu).unwrap();
    let at = |row| bits(&dropout.forward(&x, &train().from_row(row)).unwrap());
    assert_ne!(at(0), at(4));
    assert_eq!(Mode::Eval.from_row(3), Mode::Eval);
}

#[test]
fn a_pass_without_gradients_gives_the_same_bits_and_leaves_no_trace() {
    for frozen in [false, true] {
        let varmap = varmap(DType::F32);
        let root = varmap.root();
        let conv =
            |name: &str, inputs| Conv2d::new(&root.pp(name), inputs, 6, Conv2dConfig::square(3).padding(1)).unwrap();
        let norm = BatchNorm2d::new(&root.pp("norm"), 6, BatchNormConfig { frozen, ..Default::default() }).unwrap();
        let network = Sequential::new()
            .then(ConvUnit::new(conv("first", 3), Some(norm), Activation::Relu).unwrap())
            .then(MaxPool2d::new(PoolConfig::square(2)).unwrap())
            .then(ConvUnit::new(conv("second", 6), None, Activation::Relu).unwrap())
            .then(Dropout::new(&root.pp("dropout"), 0.3).unwrap());
        let x = inputs::normal(2, 1., (5, 8, 8, 3), DType::F32).unwrap();
        let buffers = || -> Vec<Vec<u32>> { varmap.buffers().iter().map(|(_, var)| bits(var)).collect() };
        let before = buffers();
        let no_grad = forward_no_grad(&x, &train(), |x, tape| network.record(x, tape)).unwrap();
        assert!(!no_grad.track_op());
        assert_eq!(buffers(), before);
        assert_eq!(bits(&network.forward(&x, &train()).unwrap()), bits(&no_grad), "frozen: {frozen}");
        // The pass with gradients moves what is not frozen, once.
        assert_eq!(buffers() == before, frozen);
    }
}

#[test]
fn a_gradient_keeps_nothing_of_what_it_was_made_of() {
    use candle_core::{Device, Tensor, Var};
    use npair_nn::{Mode, forward};
    // Functions whose slopes depend on their argument, twice over and added up: f64, so that slopes are exact enough.
    let x = Var::new(&[0.5f64, -1.5], &Device::Cpu).unwrap();
    let w = Tensor::new(&[2f64, 3.], &Device::Cpu).unwrap();
    let y = forward(x.as_tensor(), &Mode::Eval, |x, tape| {
        let once = tape.candle(x, |t| t.exp()?.mul(&t.sqr()?))?;
        tape.candle(&once, |t| t.tanh()?.mul(&w))
    })
    .unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    let found = grads.get(&x).unwrap();
    assert!(!found.track_op());
    for (at, x) in [0.5f64, -1.5].into_iter().enumerate() {
        let once = x.exp() * x * x;
        let want = [2., 3.][at] * (1. - once.tanh().powi(2)) * x.exp() * (x * x + 2. * x);
        let got = found.to_vec1::<f64>().unwrap()[at];
        assert!((got - want).abs() <= 1e-12, "{got} {want}");
    }
}
