//! One pass through a network, and the tape that its gradients are found with.
//!
//! candle's own backward pass makes a zero tensor and an addition on one thread for every gradient, keeps every
//! activation until the loss is dropped and asks an operation for the gradients of constants too. Here operations are
//! recorded on a tape instead; only the end of the tape is known to candle.

mod bridge;
mod gradients;

pub use bridge::{backward, differentiable, infer, rehearse};
pub use gradients::{Gradients, Source};

use crate::params::Parameter;
use crate::{Mode, Result};
use candle_core::Tensor;
use gradients::Node;

/// A tensor on its way through a network.
///
/// It is contiguous and candle knows nothing of its history, so that nobody differentiates it by mistake: gradients
/// come from the pass that it belongs to. Images are channels last, (B, H, W, C).
#[derive(Debug, Clone)]
pub struct Value {
    tensor: Tensor,
    source: Source,
}

impl Value {
    /// A constant: no gradient flows to it.
    ///
    /// # Errors
    /// Those of candle's copy, if the tensor is not contiguous.
    pub fn constant(tensor: &Tensor) -> Result<Self> {
        Ok(Self { tensor: tensor.detach().contiguous()?, source: Source::NONE })
    }

    /// The values.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Extents.
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Where a gradient of this value goes.
    pub fn source(&self) -> Source {
        self.source
    }
}

/// One pass through a network: what it is for, and the tape if gradients are wanted.
#[derive(Debug)]
pub struct Pass {
    mode: Mode,
    tape: Option<Tape>,
}

#[derive(Default)]
struct Tape {
    nodes: Vec<Node>,
    /// Parameters that gradients will be found of, each once.
    parameters: Vec<Parameter>,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tape of {} operations on {} parameters", self.nodes.len(), self.parameters.len())
    }
}

impl Pass {
    /// What the pass is for.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Whether gradients are wanted at all: an operation that keeps something for them need not if not.
    pub fn records(&self) -> bool {
        self.tape.is_some()
    }

    /// Ends an operation: `out` was computed from `inputs` and `parameters`, and `backward` finds their gradients from
    /// that of `out`. If nothing wants a gradient, `backward` and all that it holds is dropped at once.
    ///
    /// ```
    /// # use npair_nn::{differentiable, Mode}; use candle_core::{Device, Var};
    /// // A square, whose gradient is 2 x.
    /// let x = Var::new(&[3f64], &Device::Cpu)?;
    /// let y = differentiable(x.as_tensor(), &Mode::Eval, |x, pass| {
    ///     let (out, source, kept) = (x.tensor().sqr()?, x.source(), x.tensor().clone());
    ///     Ok(pass.record(out, &[x], &[], move |grad, to| to.value(source, || Ok(((kept * 2.)? * grad)?))))
    /// })?;
    /// assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [6.]);
    /// # Ok::<(), npair_nn::Error>(())
    /// ```
    pub fn record(
        &mut self,
        out: Tensor,
        inputs: &[&Value],
        parameters: &[&Parameter],
        backward: impl FnOnce(Tensor, &mut Gradients) -> Result<()> + Send + 'static,
    ) -> Value {
        let out = out.detach();
        let Some(tape) = &mut self.tape else { return Value { tensor: out, source: Source::NONE } };
        let train = parameters.iter().filter(|p| p.trains());
        let wanted = inputs.iter().any(|v| v.source.wants()) || train.clone().next().is_some();
        if !wanted {
            return Value { tensor: out, source: Source::NONE };
        }
        for &parameter in train {
            if !tape.parameters.iter().any(|p| p.id() == parameter.id()) {
                tape.parameters.push(parameter.clone());
            }
        }
        let source = Source::node(tape.nodes.len());
        tape.nodes.push(Some(Box::new(backward)));
        Value { tensor: out, source }
    }

    /// An operation made of candle's own, differentiated by candle: for what is not worth kernels of its own. Variables
    /// that `f` captures do not get gradients.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn candle(&mut self, x: &Value, f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Value> {
        let (input, source) = (x.tensor.clone(), x.source);
        if !self.records() || !source.wants() {
            return Ok(Value { tensor: f(&input)?.detach().contiguous()?, source: Source::NONE });
        }
        let leaf = candle_core::Var::from_tensor(&input)?;
        let tracked = f(leaf.as_tensor())?;
        let out = tracked.detach().contiguous()?;
        Ok(self.record(out, &[x], &[], move |grad, to| {
            to.value(source, || {
                let grads = (tracked * grad)?.sum_all()?.backward()?;
                Ok(grads.get(&leaf).cloned().map_or_else(|| leaf.zeros_like(), Ok)?)
            })
        }))
    }
}
