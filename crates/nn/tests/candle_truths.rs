//! What candle does that a trainer has to know, one test per row of `docs/candle.md`. A test here fails when candle
//! mends the matter: then our way round it can go, and the row with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "what is wrong with them is what is tested")]

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, Var};

fn image(rows: usize, columns: usize) -> Var {
    let values: Vec<f32> = (0..rows * columns).map(|v| v as f32).collect();
    Var::from_vec(values, (1, 1, rows, columns), &Device::Cpu).unwrap()
}

fn gradient(of: &Tensor, to: &Var) -> Vec<f32> {
    of.sum_all().unwrap().backward().unwrap().get(to).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn pooling_has_no_backward_unless_windows_lie_side_by_side() {
    let x = image(6, 6);
    for pooled in [x.max_pool2d_with_stride(3, 2), x.avg_pool2d_with_stride(3, 2)] {
        let error = pooled.unwrap().sum_all().unwrap().backward().unwrap_err();
        assert!(error.to_string().contains("backward not supported"), "{error}");
    }
}

#[test]
fn the_gradient_of_max_pooling_is_divided_by_the_window() {
    // The largest value of each window is unique: its gradient is 1.
    let x = image(2, 2);
    assert_eq!(gradient(&x.max_pool2d(2).unwrap(), &x), [0., 0., 0., 0.25]);
}

#[test]
fn the_gradient_of_max_pooling_goes_astray_where_windows_do_not_cover() {
    // Five rows, windows of two: the second begins at row 2, but the way back spreads two rows evenly over five.
    let falling = image(5, 5).neg().unwrap();
    let x = Var::from_tensor(&falling.detach()).unwrap();
    let Ok(grads) = x.max_pool2d(2).unwrap().sum_all().unwrap().backward() else { return };
    let got: Vec<f32> = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    // The maxima lie in rows and columns 0 and 2; nothing reaches those at 2.
    assert!(got[0] > 0. && got[2] == 0. && got[10] == 0. && got[12] == 0., "{got:?}");
}

#[test]
fn relu_has_derivative_one_at_zero() {
    let x = Var::new(&[0f32], &Device::Cpu).unwrap();
    assert_eq!(gradient(&x.relu().unwrap(), &x), [1.]);
}

#[test]
fn sqrt_has_an_infinite_derivative_at_zero() {
    let x = Var::new(&[0f32], &Device::Cpu).unwrap();
    assert_eq!(gradient(&x.sqrt().unwrap(), &x), [f32::INFINITY]);
}

#[test]
fn max_gives_every_tie_the_whole_gradient() {
    let x = Var::new(&[2f32, 2., 1.], &Device::Cpu).unwrap();
    assert_eq!(gradient(&x.max(0).unwrap(), &x), [1., 1., 0.]);
}

#[test]
fn constants_get_gradients() {
    let (x, w) = (Tensor::ones(3, DType::F32, &Device::Cpu).unwrap(), image(1, 3).flatten_all().unwrap());
    let w = Var::from_tensor(&w.detach()).unwrap();
    let grads = x.mul(&w).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_some());
}

#[test]
fn the_generator_on_cpu_cannot_be_seeded() {
    assert!(Device::Cpu.set_seed(1).is_err());
}

#[test]
fn variables_are_tracked_and_constants_are_not() {
    // What our operations go by: an untracked argument needs no gradient, a tracked one does.
    let w = image(2, 2);
    let x = Tensor::ones((1, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(w.track_op() && w.sqr().unwrap().track_op());
    assert!(!x.track_op() && !x.sqr().unwrap().track_op() && !w.sqr().unwrap().detach().track_op());
}

/// The sum of two tensors, without a gradient for the first.
struct Forgets;

impl CustomOp2 for Forgets {
    fn name(&self) -> &'static str {
        "forgets"
    }

    fn cpu_fwd(&self, a: &CpuStorage, l: &Layout, b: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let sum = a.as_slice::<f32>()?.iter().zip(b.as_slice::<f32>()?).map(|(a, b)| a + b).collect();
        Ok((CpuStorage::F32(sum), l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((None, Some(grad.clone())))
    }
}

#[test]
fn a_custom_operation_that_forgets_a_tracked_argument_panics_later() {
    let a = Var::new(&[1f32, 2.], &Device::Cpu).unwrap();
    let sum = |a: &Tensor| a.apply_op2(&Tensor::ones(2, DType::F32, &Device::Cpu)?, Forgets)?.sum_all();
    // A variable itself just has no gradient.
    assert!(sum(&a).unwrap().backward().unwrap().get(&a).is_none());
    // What was computed from one is expected to have one.
    let loss = sum(&a.sqr().unwrap()).unwrap();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| loss.backward().map(|_| ())));
    std::panic::set_hook(quiet);
    assert!(outcome.is_err());
}

/// What the layers on a device rely on: an index that names nothing gives 0, where a padded image has no pixel.
#[test]
fn the_largest_index_selects_zeros() {
    let x = Tensor::new(&[[1f32, 2.], [3., 4.]], &Device::Cpu).unwrap();
    let ids = Tensor::new(&[1u32, u32::MAX, 0], &Device::Cpu).unwrap();
    let picked = |dim| x.index_select(&ids, dim).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(picked(0), [[3., 4.], [0., 0.], [1., 2.]]);
    assert_eq!(picked(1), [[2., 0., 1.], [4., 0., 3.]]);
}
