use super::{BatchNorm2d, Conv2d, Relu, join};
use crate::{Error, Layer, Node, Result, Tape, composed};
use candle_core::Tensor;

/// What follows a convolution or its norm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// ReLU.
    Relu,
}

/// A convolution, perhaps a batch norm, perhaps an activation: `act(norm(conv(x)))`, and for the end of a residual
/// block `act(norm(conv(x)) + shortcut)`.
///
/// It gives what the layers in turn give, up to rounding. In evaluation the norm is folded into the weights; in
/// training, norm, sum and activation are one pass over memory.
///
/// # Shapes
/// Those of [`Conv2d`].
///
/// # Gradient
/// To the input, the shortcut and all parameters.
#[derive(Debug, Clone)]
pub struct ConvUnit {
    conv: Conv2d,
    norm: Option<BatchNorm2d>,
    activation: Activation,
}

impl ConvUnit {
    /// The layers together.
    ///
    /// # Errors
    /// [`Error::Setting`] if the norm has other channels than the convolution makes.
    pub fn new(conv: Conv2d, norm: Option<BatchNorm2d>, activation: Activation) -> Result<Self> {
        if let Some(norm) = norm.as_ref().filter(|norm| norm.channels() != conv.outputs()) {
            let what = format!("a norm of {} channels follows {} outputs", norm.channels(), conv.outputs());
            return Err(Error::Setting { layer: conv.name().to_owned(), what });
        }
        Ok(Self { conv, norm, activation })
    }

    /// `act(norm(conv(x)) + shortcut)`.
    ///
    /// # Errors
    /// Those of the layers, and [`Error::Input`] if the shortcut has another shape than the result.
    pub fn record_add(&self, x: &Node, shortcut: &Node, tape: &mut Tape) -> Result<Node> {
        self.run(x, Some(shortcut), tape)
    }

    fn run(&self, x: &Node, shortcut: Option<&Node>, tape: &mut Tape) -> Result<Node> {
        let relu = self.activation == Activation::Relu;
        // Without gradients a training pass has to give the bits of the one with them.
        let folds = !tape.is_recording()
            && !tape.mode().is_train()
            && self.norm.as_ref().is_none_or(|norm| !norm.follows(tape));
        if folds {
            return self.folded(x, shortcut, relu);
        }
        match (&self.norm, shortcut) {
            (Some(norm), _) if norm.follows(tape) && !composed::wanted(x.tensor()) => {
                let g = self.conv.geometry(x)?;
                let (maps, moments) = self.conv.compute_with_moments(&g, x.tensor())?;
                let maps = self.conv.push(g, x, maps, tape);
                norm.normalize(&maps, Some(moments), shortcut, relu, tape)
            }
            (Some(norm), _) => norm.normalize(&self.conv.record(x, tape)?, None, shortcut, relu, tape),
            (None, None) if relu => self.rectified(x, tape),
            (None, None) => self.conv.record(x, tape),
            (None, Some(other)) => {
                let sum = join::sum(&self.conv.record(x, tape)?, other, tape)?;
                if relu { Relu.record(&sum, tape) } else { Ok(sum) }
            }
        }
    }

    /// Convolution, bias and ReLU in one.
    fn rectified(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let g = self.conv.geometry(x)?;
        let out = self.conv.compute(&g, x.tensor(), None, None, true)?;
        let (conv, kept, result, id) = (self.conv.clone(), x.tensor().clone(), out.clone(), x.id());
        let parameters: Vec<_> = self.conv.parameters().collect();
        Ok(tape.push(out, &[x], &parameters, move |grad, grads| {
            let grad = super::relu::stopped(&result, &grad)?;
            conv.backward(&g, &kept, id, &grad, grads)
        }))
    }

    fn folded(&self, x: &Node, shortcut: Option<&Node>, relu: bool) -> Result<Node> {
        let g = self.conv.geometry(x)?;
        let dtype = x.tensor().dtype();
        let fold = |norm: &BatchNorm2d| -> Result<(Tensor, Tensor)> {
            if composed::wanted(x.tensor()) {
                return norm.folded_in_place(self.conv.bias());
            }
            let (scale, mut shift) = norm.folded()?;
            if let Some(bias) = self.conv.bias_values()? {
                for ((s, b), f) in shift.iter_mut().zip(bias).zip(&scale) {
                    *s += b * f;
                }
            }
            let row = |v: Vec<f64>| Tensor::new(v, x.tensor().device())?.to_dtype(dtype);
            Ok((row(scale)?, row(shift)?))
        };
        let folded = self.norm.as_ref().map(fold).transpose()?;
        let rows = folded.as_ref().map(|(scale, shift)| (scale, shift));
        let wanted = [g.batch, g.map.0, g.map.1, g.outputs];
        if let Some(other) = shortcut.filter(|other| other.dims() != wanted) {
            return Err(Error::Input {
                layer: self.conv.name().to_owned(),
                got: wanted.to_vec(),
                want: format!("what is added to it has shape {:?}", other.dims()),
            });
        }
        Node::constant(&self.conv.compute(&g, x.tensor(), rows, shortcut.map(Node::tensor), relu)?)
    }
}

impl Layer for ConvUnit {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.run(x, None, tape)
    }
}
