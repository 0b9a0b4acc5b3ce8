//! The tape of a pass through a network, with which gradients are found.
//!
//! candle's own backward pass makes a zero tensor and an addition on one thread for every gradient, keeps every
//! activation until the loss is dropped and asks an operation for the gradients of constants too. Here operations are
//! recorded on a tape instead; only the end of the tape is known to candle.

mod bridge;
mod gradients;

pub use bridge::{backward, forward, forward_no_grad, forward_no_grad_on, forward_on};
pub use gradients::{Gradients, NodeId};

use crate::backend::Backend;
use crate::kernel::packed::PackedOnce;
use crate::varmap::Parameter;
use crate::{Mode, Result};
use candle_core::Tensor;
use gradients::Operation;

/// A tensor on its way through a network: an operation's result on a [`Tape`].
///
/// It is contiguous and candle knows nothing of its history, so that nobody differentiates it by mistake: gradients
/// come from the tape that it belongs to. Images are channels last, (B, H, W, C).
#[derive(Debug, Clone)]
pub struct Node {
    tensor: Tensor,
    id: NodeId,
}

impl Node {
    /// A constant: no gradient flows to it.
    ///
    /// # Errors
    /// Those of candle's copy, if the tensor is not contiguous.
    pub fn constant(tensor: &Tensor) -> Result<Self> {
        Ok(Self { tensor: tensor.detach().contiguous()?, id: NodeId::NONE })
    }

    /// The values.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Extents.
    pub fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Where its gradient goes.
    pub fn id(&self) -> NodeId {
        self.id
    }
}

/// One pass through a network: what it is for, and, if gradients are wanted, how they are found.
#[derive(Debug)]
pub struct Tape {
    mode: Mode,
    backend: &'static dyn Backend,
    /// None without gradients.
    recording: Option<Recording>,
}

#[derive(Default)]
struct Recording {
    operations: Vec<Operation>,
    /// Parameters that gradients will be found of, each once.
    parameters: Vec<Parameter>,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recording of {} operations on {} parameters", self.operations.len(), self.parameters.len())
    }
}

impl Tape {
    /// What the pass is for.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// What operations are computed with.
    pub(crate) fn backend(&self) -> &'static dyn Backend {
        self.backend
    }

    /// Whether gradients are wanted at all: an operation that keeps something for them need not if not.
    pub fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// Where a layer's packed weights stay in evaluation. In training they change with every step, and their memory is given back.
    pub(crate) fn keeps<'a>(&self, packed: &'a PackedOnce) -> Option<&'a PackedOnce> {
        if self.is_recording() {
            packed.forget();
            return None;
        }
        Some(packed)
    }

    /// The node of an operation: `out` was computed from `inputs` and `parameters`, and `backward` finds their gradients from
    /// that of `out`. If nothing wants a gradient, `backward` and all that it holds is dropped at once.
    ///
    /// ```
    /// # use npair_nn::{forward, Mode}; use candle_core::{Device, Var};
    /// // A square, whose gradient is 2 x.
    /// let x = Var::new(&[3f64], &Device::Cpu)?;
    /// let y = forward(x.as_tensor(), &Mode::Eval, |x, tape| {
    ///     let (out, id, kept) = (x.tensor().sqr()?, x.id(), x.tensor().clone());
    ///     Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(((kept * 2.)? * grad)?))))
    /// })?;
    /// assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [6.]);
    /// # Ok::<(), npair_nn::Error>(())
    /// ```
    pub fn push(
        &mut self,
        out: Tensor,
        inputs: &[&Node],
        parameters: &[&Parameter],
        backward: impl FnOnce(Tensor, &mut Gradients) -> Result<()> + Send + 'static,
    ) -> Node {
        let out = out.detach();
        let Some(recording) = &mut self.recording else { return Node { tensor: out, id: NodeId::NONE } };
        let train = parameters.iter().filter(|p| p.trains());
        let wanted = inputs.iter().any(|v| v.id.wants_grad()) || train.clone().next().is_some();
        if !wanted {
            return Node { tensor: out, id: NodeId::NONE };
        }
        for &parameter in train {
            if !recording.parameters.iter().any(|p| p.id() == parameter.id()) {
                recording.parameters.push(parameter.clone());
            }
        }
        let id = NodeId::at(recording.operations.len());
        recording.operations.push(Some(Box::new(backward)));
        Node { tensor: out, id }
    }

    /// An operation made of candle's own, differentiated by candle: for what is not worth kernels of its own. Variables
    /// that `f` captures do not get gradients.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn candle(&mut self, x: &Node, f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Node> {
        let (input, id) = (x.tensor.clone(), x.id);
        if !self.is_recording() || !id.wants_grad() {
            return Ok(Node { tensor: f(&input)?.detach().contiguous()?, id: NodeId::NONE });
        }
        let leaf = candle_core::Var::from_tensor(&input)?;
        let tracked = f(leaf.as_tensor())?;
        let out = tracked.detach().contiguous()?;
        Ok(self.push(out, &[x], &[], move |grad, grads| {
            grads.add(id, || {
                let grads = (tracked * grad)?.sum_all()?.backward()?;
                Ok(grads.get(&leaf).cloned().map_or_else(|| leaf.zeros_like(), Ok)?)
            })
        }))
    }
}
