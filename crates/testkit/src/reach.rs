//! Which variables a backward pass really reaches.

use candle_core::{DType, Result, Tensor, Var};

/// Names of the variables whose gradient after `loss.backward()` is missing, all zero or not finite.
///
/// # Errors
/// Those of candle's backward pass.
pub fn dead<'a>(loss: &Tensor, vars: impl IntoIterator<Item = (&'a str, &'a Var)>) -> Result<Vec<String>> {
    let grads = loss.backward()?;
    let mut dead = Vec::new();
    for (name, var) in vars {
        let alive = match grads.get(var) {
            None => false,
            Some(g) => {
                let norm = g.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
                norm.is_finite() && norm > 0.
            }
        };
        if !alive {
            dead.push(name.to_owned());
        }
    }
    Ok(dead)
}
