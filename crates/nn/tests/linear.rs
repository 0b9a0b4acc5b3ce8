//! What a linear layer does together with its neighbours is what the layers do in turn.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{Gelu, Layer, LayerScale, Linear, Mode, Node, Result, Tape, VarMap, backward, forward, sum};
use npair_testkit::inputs;
use npair_types::Streams;

/// The result of two inputs, and the gradients of both and of all parameters.
fn run(varmap: &VarMap, inputs: [&Tensor; 2], f: impl Fn(&Node, &Node, &mut Tape) -> Result<Node>) -> Vec<Vec<f64>> {
    let both = Tensor::cat(&inputs, 1).unwrap();
    let (x, width) = (Var::from_tensor(&both).unwrap(), inputs[0].dim(1).unwrap());
    let half = |x: &Node, from: usize, tape: &mut Tape| {
        let count = if from == 0 { width } else { x.dims()[1] - width };
        tape.candle(x, |x| x.narrow(1, from, count))
    };
    let out = forward(&x, &Mode::Eval, |x, tape| {
        let (left, right) = (half(x, 0, tape)?, half(x, width, tape)?);
        f(&left, &right, tape)
    })
    .unwrap();
    let weights = inputs::normal(7, 1., out.shape(), DType::F64).unwrap();
    let found = backward(&(&out * weights).unwrap().sum_all().unwrap()).unwrap();
    let mut all = vec![out.detach(), found.get(&x).unwrap().clone()];
    all.extend(varmap.trainable().iter().map(|(_, var)| found.get(var).unwrap().clone()));
    all.iter().map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

fn assert_near(got: &[Vec<f64>], want: &[Vec<f64>]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
        assert!((got - want).abs() < 1e-11 * (1. + want.abs()), "{got} is not {want}");
    }
}

#[test]
fn a_branch_that_is_scaled_and_added_is_the_layers_in_turn() {
    for (bias, scaled) in [(true, true), (true, false), (false, true), (false, false)] {
        let varmap = VarMap::new(Streams::new(3), DType::F64, &Device::Cpu);
        let linear = Linear::new(&varmap.root(), 37, 21, bias).unwrap();
        let scale = scaled.then(|| LayerScale::new(&varmap.root(), 21, 0.3).unwrap());
        for (seed, (_, var)) in varmap.trainable().into_iter().enumerate() {
            var.set(&inputs::normal(seed as u64, 1., var.shape(), DType::F64).unwrap()).unwrap();
        }
        let [x, shortcut] = [37, 21].map(|width| inputs::normal(5, 1., (50, width), DType::F64).unwrap());
        let got = run(&varmap, [&x, &shortcut], |x, plus, tape| linear.record_add(x, plus, scale.as_ref(), tape));
        let want = run(&varmap, [&x, &shortcut], |x, plus, tape| {
            let made = linear.record(x, tape)?;
            let made = if let Some(scale) = &scale { scale.record(&made, tape)? } else { made };
            sum(plus, &made, tape)
        });
        assert_near(&got, &want);
        let gelu = |both: bool| {
            run(&varmap, [&x, &shortcut], |x, plus, tape| {
                let made =
                    if both { linear.record_gelu(x, tape)? } else { Gelu.record(&linear.record(x, tape)?, tape)? };
                let made = if let Some(scale) = &scale { scale.record(&made, tape)? } else { made };
                sum(plus, &made, tape)
            })
        };
        assert_near(&gelu(true), &gelu(false));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let varmap = VarMap::new(Streams::new(3), DType::F64, &Device::Cpu);
    let linear = Linear::new(&varmap.root(), 4, 3, true).unwrap();
    let scale = LayerScale::new(&varmap.root(), 4, 1.).unwrap();
    let zeros = |width: usize| Tensor::zeros((2, width), DType::F64, &Device::Cpu).unwrap();
    for (width, scale) in [(4, None), (3, Some(&scale))] {
        let plus = Node::constant(&zeros(width)).unwrap();
        let made = forward(&zeros(4), &Mode::Eval, |x, tape| linear.record_add(x, &plus, scale, tape));
        assert!(made.is_err());
    }
}
