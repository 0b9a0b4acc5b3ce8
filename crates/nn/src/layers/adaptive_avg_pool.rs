use super::input;
use crate::kernel::adaptive::Adaptive;
use crate::{Error, Layer, Node, Result, Tape};

/// Means over windows that are laid so that the map has a given extent, whatever that of the image.
///
/// Window i of n over an extent of h goes from `floor(i h / n)` to `ceil((i + 1) h / n)`, as in PyTorch; windows
/// overlap where n does not divide h.
///
/// # Shapes
/// (B, H, W, C) to (B, rows, columns, C).
///
/// # Gradient
/// In equal parts to the pixels of a window.
///
/// # Errors
/// [`Error::Input`] if the input are no images.
///
/// ```
/// # use npair_nn::{AdaptiveAvgPool2d, Layer, Mode}; use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[[[1f32], [2.], [6.]]]], &Device::Cpu)?;
/// // Pixels 1 and 2, and 2 and 3.
/// let y = AdaptiveAvgPool2d::new(1, 2)?.forward(&x, &Mode::Eval)?.flatten_all()?.to_vec1::<f32>()?;
/// assert_eq!(y, [1.5, 4.]);
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveAvgPool2d {
    map: (usize, usize),
}

impl AdaptiveAvgPool2d {
    const NAME: &'static str = "adaptive_avg_pool2d";

    /// A map of `rows` x `columns`.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent is 0.
    pub fn new(rows: usize, columns: usize) -> Result<Self> {
        if rows * columns == 0 {
            let what = format!("a map of {rows} x {columns}: both extents need to be at least 1");
            return Err(Error::Setting { layer: Self::NAME.to_owned(), what });
        }
        Ok(Self { map: (rows, columns) })
    }
}

impl Layer for AdaptiveAvgPool2d {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let [batch, h, w, channels] = input::images(Self::NAME, x, None)?;
        let pool = Adaptive { batch, image: (h, w), map: self.map, channels };
        let (backend, id) = (tape.backend(), x.id());
        let out = backend.adaptive_pool(&pool, x.tensor())?;
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(backend.adaptive_pool_vjp(&pool, &grad)?))))
    }
}
