use super::input;
use crate::{Layer, Node, Result, Tape};

/// Images (B, C, H, W), as candle and PyTorch have them, to (B, H, W, C), as the layers take them.
///
/// Along the channels of a pixel everything that a network does on a CPU is a row of the same operations, whatever the
/// kernel, the stride and the size of the image.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToChannelsLast;

/// The reverse of [`ToChannelsLast`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ToChannelsFirst;

impl Layer for ToChannelsLast {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let &[b, c, h, w] = x.dims() else {
            return Err(input::wrong("to_channels_last", x, "images are (batch, channels, height, width)"));
        };
        transpose(x, (c, h * w), [b, h, w, c], tape)
    }
}

impl Layer for ToChannelsFirst {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let &[b, h, w, c] = x.dims() else {
            return Err(input::wrong("to_channels_first", x, "images are (batch, height, width, channels)"));
        };
        transpose(x, (h * w, c), [b, c, h, w], tape)
    }
}

fn transpose(x: &Node, (rows, columns): (usize, usize), shape: [usize; 4], tape: &mut Tape) -> Result<Node> {
    input::check("order of channels", x)?;
    let (backend, id, dims) = (tape.backend(), x.id(), x.dims().to_vec());
    let out = backend.transpose(x.tensor(), (rows, columns), &shape)?;
    Ok(tape.push(out, &[x], &[], move |grad, grads| {
        grads.add(id, || Ok(backend.transpose(&grad, (columns, rows), &dims)?))
    }))
}

/// All axes but the first as one.
///
/// # Shapes
/// (B, ...) to (B, F).
#[derive(Debug, Clone, Copy, Default)]
pub struct Flatten;

impl Layer for Flatten {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let Some(&batch) = x.dims().first() else {
            return Err(input::wrong("flatten", x, "a scalar has no first axis"));
        };
        let features = x.dims()[1..].iter().product::<usize>();
        let out = x.tensor().reshape((batch, features))?;
        let (id, shape) = (x.id(), x.tensor().shape().clone());
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(grad.reshape(shape)?))))
    }
}
