use super::{BatchNorm2d, Conv2d, Relu, join};
use crate::backend::Epilogue;
use crate::{Error, Layer, Node, Result, Tape};

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
            return self.folded(x, shortcut, relu, tape);
        }
        match (&self.norm, shortcut) {
            (Some(norm), _) if norm.follows(tape) => {
                let (g, conv) = (self.conv.geometry(x)?, &self.conv);
                let (maps, moments) = tape.backend().conv_with_moments(&g, x.tensor(), conv.weight(), conv.bias())?;
                let maps = conv.push(g, x, maps, tape);
                norm.normalize(&maps, moments, shortcut, relu, tape)
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
        let (backend, after) = (tape.backend(), Epilogue { bias: self.conv.bias(), relu: true, ..Epilogue::default() });
        let out = backend.conv(&g, x.tensor(), self.conv.weight(), after)?;
        let (conv, kept, result, id) = (self.conv.clone(), x.tensor().clone(), out.clone(), x.id());
        let parameters: Vec<_> = self.conv.parameters().collect();
        Ok(tape.push(out, &[x], &parameters, move |grad, grads| {
            let grad = backend.relu_vjp(&result, &grad)?;
            conv.backward(&g, (&kept, id), &grad, backend, grads)
        }))
    }

    /// Norm, sum and activation in one with the convolution.
    fn folded(&self, x: &Node, shortcut: Option<&Node>, relu: bool, tape: &Tape) -> Result<Node> {
        let (g, backend) = (self.conv.geometry(x)?, tape.backend());
        let wanted = [g.batch, g.map.0, g.map.1, g.outputs];
        if let Some(other) = shortcut.filter(|other| other.dims() != wanted) {
            return Err(Error::Input {
                layer: self.conv.name().to_owned(),
                got: wanted.to_vec(),
                want: format!("what is added to it has shape {:?}", other.dims()),
            });
        }
        let bias = self.conv.bias();
        let fold = |norm: &BatchNorm2d| backend.fold(&norm.parts(), bias, x.tensor());
        let folded = self.norm.as_ref().map(fold).transpose()?;
        let after = Epilogue {
            scale: folded.as_ref().map(|(scale, _)| scale),
            bias: folded.as_ref().map(|(_, shift)| shift).or(bias),
            plus: shortcut.map(Node::tensor),
            relu,
        };
        Node::constant(&backend.conv(&g, x.tensor(), self.conv.weight(), after)?)
    }
}

impl Layer for ConvUnit {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.run(x, None, tape)
    }
}
