//! Gradients against central differences, in f64.

use candle_core::{DType, Result, Tensor, Var, bail};

/// Half step of the central difference. With f64 and values of order 1 the rounding error of the quotient is about
/// `2^-52 / STEP = 2e-11` times the function's value and the truncation error about `STEP^2 / 6` times its third
/// derivative, 2e-11 as well: the best that a central difference can do.
const STEP: f64 = 1e-5;

/// Relative tolerance: a hundred times the error of the difference quotient above, for sums of a few hundred terms.
pub const TOLERANCE: f64 = 2e-7;

/// Compares the gradient of the scalar `f` at `inputs` with central differences, entry by entry.
///
/// An entry passes if it differs by at most [`TOLERANCE`] times the largest entry of the numeric gradient (or times 1,
/// if that is larger). `f` has to be smooth within 1e-5 of the inputs: keep away from kinks and ties.
///
/// # Errors
/// If an input is no f64, no gradient reaches it, or an entry differs; the message names input, entry and both values.
pub fn check(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let vars = inputs.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let loss = f(&tensors)?;
    let grads = loss.backward()?;
    for (at, (var, input)) in vars.iter().zip(inputs).enumerate() {
        if input.dtype() != DType::F64 {
            bail!("input {at} is {:?}; gradient checks are done in f64", input.dtype());
        }
        let Some(grad) = grads.get(var) else { bail!("no gradient reaches input {at} of shape {:?}", input.shape()) };
        if grad.shape() != input.shape() {
            bail!("input {at}: gradient has shape {:?}, the input {:?}", grad.shape(), input.shape());
        }
        let analytic = grad.flatten_all()?.to_vec1::<f64>()?;
        let values = input.flatten_all()?.to_vec1::<f64>()?;
        let at_value = |entry: usize, value: f64| -> Result<f64> {
            let mut moved = values.clone();
            moved[entry] = value;
            let mut all: Vec<Tensor> = inputs.to_vec();
            all[at] = Tensor::from_vec(moved, input.shape(), input.device())?;
            f(&all)?.to_scalar::<f64>()
        };
        let numeric = (0..values.len())
            .map(|e| Ok((at_value(e, values[e] + STEP)? - at_value(e, values[e] - STEP)?) / (2. * STEP)))
            .collect::<Result<Vec<f64>>>()?;
        let scale = numeric.iter().fold(1f64, |m, v| m.max(v.abs()));
        for (e, (a, n)) in analytic.iter().zip(&numeric).enumerate() {
            let error = (a - n).abs();
            if error.is_nan() || error > TOLERANCE * scale {
                bail!("input {at}, entry {e}: gradient {a:e}, central difference {n:e}, scale {scale:e}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_right_gradient_passes_and_wrong_or_missing_ones_fail() {
        let x = Tensor::new(&[0.3f64, -1.2, 2.0], &Device::Cpu).unwrap();
        check(std::slice::from_ref(&x), |t| t[0].sqr()?.sum_all()).unwrap();
        // Half the value is cut from the graph: the gradient misses half of what the difference sees.
        let cut = check(std::slice::from_ref(&x), |t| t[0].sqr()?.sum_all()? + t[0].detach().sqr()?.sum_all()?);
        assert!(cut.unwrap_err().to_string().contains("central difference"));
        let dead = check(&[x.clone(), x], |t| t[0].sqr()?.sum_all());
        assert!(dead.unwrap_err().to_string().contains("no gradient reaches input 1"));
    }
}
