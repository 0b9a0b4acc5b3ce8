use super::input;
use crate::{Node, Result, Tape};

/// Every channel of an image times a factor of its own: what squeeze-and-excitation ends with.
///
/// ```text
/// y[b, i, j, c] = x[b, i, j, c] f[b, c]
/// ```
///
/// # Shapes
/// Images (B, H, W, C), factors (B, 1, 1, C); the result has the images'.
///
/// # Gradient
/// To both.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if the shapes do not fit.
///
/// # Source
/// Hu, Shen and Sun, CVPR 2018, equation 4.
///
/// ```
/// # use npair_nn::{Mode, Node, forward_no_grad, gate}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[[[1f32, 2.], [3., 4.]]]], &Device::Cpu)?;
/// let factors = Node::constant(&Tensor::new(&[[[[10f32, 100.]]]], &Device::Cpu)?)?;
/// let y = forward_no_grad(&x, &Mode::Eval, |x, tape| gate(x, &factors, tape))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [10., 200., 30., 400.]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
pub fn gate(x: &Node, factors: &Node, tape: &mut Tape) -> Result<Node> {
    const NAME: &str = "gate";
    let [batch, .., channels] = input::images(NAME, x, None)?;
    if factors.dims() != [batch, 1, 1, channels] {
        return Err(input::wrong(
            NAME,
            factors,
            format!("factors of images {:?} are ({batch}, 1, 1, {channels})", x.dims()),
        ));
    }
    let backend = tape.backend();
    let (image, gates) = (x.tensor().clone(), factors.tensor().clone());
    let out = backend.gate(&image, &gates)?;
    let (left, right) = (x.id(), factors.id());
    Ok(tape.push(out, &[x, factors], &[], move |grad, grads| {
        grads.add(right, || Ok(backend.gate_factors_vjp(&image, &grad)?))?;
        grads.add(left, || Ok(backend.gate(&grad, &gates)?))
    }))
}
