//! Naive loops and difference quotients that the layers are compared with.
#![allow(dead_code, clippy::unwrap_used, reason = "not every test file uses everything; a test fails by panicking")]

pub mod convolution;

use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{Layer, Mode, ToChannelsFirst, ToChannelsLast, VarMap, forward};
use npair_testkit::{gradient, inputs};
use npair_types::Streams;

/// Half step of the central difference; see `npair_testkit::gradient`.
const STEP: f64 = 1e-5;

/// An empty store with a fixed seed.
pub fn varmap(dtype: DType) -> VarMap {
    VarMap::new(Streams::new(5), dtype, &Device::Cpu)
}

/// The values in row-major order, as f64.
pub fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The bits of f32 values.
pub fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// A layer on tensors. The definitions that the tests compare with speak of images (B, C, H, W).
pub trait Planes {
    /// The layer's result, in that order of axes.
    fn planes(&self, x: &Tensor, mode: &Mode) -> npair_nn::Result<Tensor>;
}

impl<L: Layer + ?Sized> Planes for L {
    fn planes(&self, x: &Tensor, mode: &Mode) -> npair_nn::Result<Tensor> {
        if x.rank() != 4 {
            return self.forward(x, mode);
        }
        forward(x, mode, |x, tape| {
            let out = self.record(&ToChannelsLast.record(x, tape)?, tape)?;
            if out.dims().len() == 4 { ToChannelsFirst.record(&out, tape) } else { Ok(out) }
        })
    }
}

/// Compares the gradients of `sum(weights * layer(x))` to the input and to all variables with central differences.
pub fn check_gradients(layer: &dyn Layer, varmap: &VarMap, x: &Tensor, mode: &Mode) {
    let input = Var::from_tensor(x).unwrap();
    let shape = layer.planes(x, mode).unwrap().shape().clone();
    let weights = inputs::normal(77, 1., shape, DType::F64).unwrap();
    let loss = || (layer.planes(&input, mode).unwrap() * &weights).unwrap().sum_all().unwrap();
    let grads = loss().backward().unwrap();
    let vars = varmap.trainable().into_iter().chain([("input".to_owned(), input.clone())]);
    for (name, var) in vars {
        let analytic = grads.get(&var).unwrap_or_else(|| panic!("no gradient reaches {name}"));
        assert_eq!(analytic.shape(), var.shape(), "{name}");
        let analytic = values(analytic);
        let original = values(&var);
        let at = |entry: usize, step: f64| {
            let mut moved = original.clone();
            moved[entry] += step;
            var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
            loss().to_scalar::<f64>().unwrap()
        };
        let numeric: Vec<f64> = (0..original.len()).map(|e| (at(e, STEP) - at(e, -STEP)) / (2. * STEP)).collect();
        var.set(&Tensor::from_vec(original, var.shape(), &Device::Cpu).unwrap()).unwrap();
        let scale = numeric.iter().fold(1f64, |m, v| m.max(v.abs()));
        for (entry, (a, n)) in analytic.iter().zip(&numeric).enumerate() {
            // An assertion on `<=`: NaN fails.
            assert!((a - n).abs() <= gradient::TOLERANCE * scale, "{name}, entry {entry}: {a:e}, difference {n:e}");
        }
    }
}

/// Gradient of `sum(grad * layer(x))` to input and variables, by name, as values.
pub fn gradients(
    layer: &dyn Layer,
    varmap: &VarMap,
    x: &Tensor,
    grad: &Tensor,
    mode: &Mode,
) -> Vec<(String, Vec<f64>)> {
    let input = Var::from_tensor(x).unwrap();
    let out = layer.planes(&input, mode).unwrap();
    let grads = (out * grad).unwrap().sum_all().unwrap().backward().unwrap();
    let vars = varmap.trainable().into_iter().chain([("input".to_owned(), input)]);
    vars.map(|(name, var)| (name, values(grads.get(&var).unwrap()))).collect()
}
