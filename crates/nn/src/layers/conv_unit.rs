use super::{Activation, BatchNorm2d, Conv2d};
use crate::backend::{Backend, Epilogue, Folded};
use crate::kernel::conv::Geometry;
use crate::varmap::Parameter;
use crate::{Error, Gradients, Layer, Node, NodeId, Result, Tape};
use candle_core::Tensor;

/// A convolution, perhaps a batch norm, perhaps an activation: `act(norm(conv(x)))`, and for the end of a residual
/// block `act(norm(conv(x)) + shortcut)`.
///
/// It gives what the layers in turn give, up to rounding. In evaluation, and with frozen statistics in training, the norm is
/// folded into the weights, and one pass over memory does it all; where a norm follows its batch, norm, sum and activation
/// are one.
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
        let follows = self.norm.as_ref().is_some_and(|norm| norm.follows(tape));
        // Behind a sum or a bias the slope has to be seen in the result, or the activation is an operation of its own.
        if tape.is_recording() && !self.activation.shows_its_slope() && (shortcut.is_some() || !follows) {
            let plain = Self { activation: Activation::None, ..self.clone() };
            return self.activation.record(&plain.run(x, shortcut, tape)?, tape);
        }
        let Some(norm) = self.norm.as_ref().filter(|_| follows) else { return self.folded(x, shortcut, tape) };
        let (g, conv) = (self.conv.geometry(x)?, &self.conv);
        // In training nothing stays packed.
        conv.packed(tape);
        let (maps, moments) = tape.backend().conv_with_moments(&g, x.tensor(), conv.weight(), conv.bias())?;
        let maps = conv.push(g, x, maps, tape);
        norm.normalize(&maps, moments, shortcut, self.activation, tape)
    }

    /// Norm, sum and activation in one with the convolution.
    fn folded(&self, x: &Node, shortcut: Option<&Node>, tape: &mut Tape) -> Result<Node> {
        let (g, backend) = (self.conv.geometry(x)?, tape.backend());
        self.check(&g, shortcut)?;
        let bias = self.conv.bias();
        let fold = |norm: &BatchNorm2d| backend.fold(&norm.parts(), bias, x.tensor());
        let folded = self.norm.as_ref().map(fold).transpose()?;
        let after = Epilogue {
            scale: folded.as_ref().map(|(scale, _)| scale),
            bias: folded.as_ref().map(|(_, shift)| shift).or(bias),
            plus: shortcut.map(Node::tensor),
            activation: self.activation,
            packed: self.conv.packed(tape),
        };
        let out = backend.conv(&g, x.tensor(), self.conv.weight(), after)?;
        if !tape.is_recording() {
            return Node::constant(&out);
        }
        let kept = Kept {
            unit: self.clone(),
            x: x.clone(),
            shortcut: shortcut.map(Node::id),
            out: (self.activation != Activation::None).then(|| out.clone()),
            scale: folded.map(|(scale, _)| scale),
        };
        let inputs: Vec<_> = [Some(x), shortcut].into_iter().flatten().collect();
        let parameters: Vec<_> =
            self.conv.parameters().chain(self.norm.iter().flat_map(BatchNorm2d::parameters)).collect();
        Ok(tape.push(out, &inputs, &parameters, move |grad, grads| kept.backward(&g, grad, backend, grads)))
    }

    /// That a shortcut has the shape of the maps.
    fn check(&self, g: &Geometry, shortcut: Option<&Node>) -> Result<()> {
        let wanted = [g.batch, g.map.0, g.map.1, g.outputs];
        match shortcut.filter(|other| other.dims() != wanted) {
            None => Ok(()),
            Some(other) => Err(Error::Input {
                layer: self.conv.name().to_owned(),
                got: wanted.to_vec(),
                want: format!("what is added to it has shape {:?}", other.dims()),
            }),
        }
    }
}

/// What the gradients of a folded unit need.
struct Kept {
    unit: ConvUnit,
    x: Node,
    shortcut: Option<NodeId>,
    /// The result, if an activation made it.
    out: Option<Tensor>,
    /// The norm's factor per channel.
    scale: Option<Tensor>,
}

impl Kept {
    fn backward(self, g: &Geometry, grad: Tensor, backend: &dyn Backend, grads: &mut Gradients) -> Result<()> {
        let (conv, x, activation) = (&self.unit.conv, (self.x.tensor(), self.x.id()), self.unit.activation);
        let (own, bias) = (conv.parameters().next(), conv.parameters().nth(1));
        let norm = self.unit.norm.as_ref().zip(self.scale.as_ref());
        let added = norm.iter().flat_map(|(norm, _)| norm.parameters()).chain(bias).any(Parameter::trains);
        // The gradient in front of the activation, and that of what is added to every channel.
        let (grad, shift) = match &self.out {
            Some(out) if added => {
                let (grad, sum) = backend.activate_vjp_and_sum(activation, out, &grad)?;
                (grad, Some(sum))
            }
            Some(out) => (backend.activate_vjp(activation, out, &grad)?, None),
            None if added => (grad.clone(), Some(backend.sum_rows(&grad)?)),
            None => (grad, None),
        };
        if let Some(added) = self.shortcut {
            grads.add(added, || Ok(grad.clone()))?;
        }
        let Some((norm, scale)) = norm else {
            if let (Some(bias), Some(shift)) = (bias, shift) {
                grads.add_parameter(bias, || Ok(shift))?;
            }
            return conv.backward_but_bias(g, x, &grad, backend, grads);
        };
        let [gamma, beta] = norm.parameters();
        // That of the folded weight: with what is added, those of all parameters follow from it.
        let weighs = gamma.trains() || own.is_some_and(Parameter::trains);
        let of_weight = || backend.conv_weight_vjp(g, x.0, &grad)?.to_dtype(conv.weight().dtype());
        let weight = if weighs { Some(of_weight()?) } else { None };
        if let (Some(shift), Some(weight)) = (&shift, &weight) {
            let folded = Folded { weight: conv.weight(), bias: conv.bias() };
            grads.add_parameter(gamma, || Ok(backend.fold_vjp(&norm.parts(), folded, weight, shift)?))?;
        }
        if let (Some(weight), Some(own)) = (&weight, own) {
            grads.add_parameter(own, || Ok(backend.scale_outputs(weight, scale)?))?;
        }
        if let Some(shift) = shift {
            if let Some(bias) = bias {
                grads.add_parameter(bias, || Ok(backend.scale_channels(&shift, scale)?))?;
            }
            grads.add_parameter(beta, || Ok(shift))?;
        }
        grads.add(x.1, || Ok(backend.conv_input_vjp(g, &backend.scale_outputs(conv.weight(), scale)?, &grad)?))
    }
}

impl Layer for ConvUnit {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.run(x, None, tape)
    }
}
