use crate::Result;
use crate::backend::Backend;
use crate::varmap::Parameter;
use candle_core::{Tensor, TensorId};
use std::collections::HashMap;

/// The backward half of an operation; none once it has run, or for the input of the pass.
pub(super) type Operation = Option<Backward>;
type Backward = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<()> + Send>;

impl std::fmt::Debug for Gradients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gradients of {} nodes and {} parameters", self.nodes.len(), self.parameters.len())
    }
}

/// The place of a node on its tape, where its gradient goes; none for a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId(Option<usize>);

impl NodeId {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn at(at: usize) -> Self {
        Self(Some(at))
    }

    /// Whether a gradient is wanted.
    pub fn wants_grad(self) -> bool {
        self.0.is_some()
    }
}

/// The gradients that a backward pass has found so far.
pub struct Gradients {
    backend: &'static dyn Backend,
    nodes: Vec<Option<Tensor>>,
    parameters: HashMap<TensorId, Tensor>,
}

impl Gradients {
    /// Adds the gradient that `find` computes to that of a node; `find` is called only if the node wants one. What it was made of is
    /// not kept.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn add(&mut self, id: NodeId, find: impl FnOnce() -> Result<Tensor>) -> Result<()> {
        let NodeId(Some(at)) = id else { return Ok(()) };
        let grad = find()?.detach();
        let slot = &mut self.nodes[at];
        *slot = Some(match slot.take() {
            None => grad,
            Some(sum) => self.backend.add(&sum, &grad)?,
        });
        Ok(())
    }

    /// Adds the gradient that `find` computes to that of a parameter; `find` is called only if the parameter trains. What it was made
    /// of is not kept.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn add_parameter(&mut self, parameter: &Parameter, find: impl FnOnce() -> Result<Tensor>) -> Result<()> {
        if !parameter.trains() {
            return Ok(());
        }
        // Of values in bf16 some are found in bf16; parameters are f32.
        let grad = find()?.detach().to_dtype(parameter.tensor().dtype())?;
        let sum = match self.parameters.remove(&parameter.id()) {
            None => grad,
            Some(sum) => self.backend.add(&sum, &grad)?,
        };
        self.parameters.insert(parameter.id(), sum);
        Ok(())
    }

    /// Takes the gradient of a parameter, if one was found.
    pub(super) fn take(&mut self, id: TensorId) -> Option<Tensor> {
        self.parameters.remove(&id)
    }

    /// Takes the gradient of the first node: the pass's input.
    pub(super) fn take_input(&mut self) -> Option<Tensor> {
        self.nodes.first_mut().and_then(Option::take)
    }

    /// Walks the tape from its end, from a gradient without tiny entries; what an operation kept is freed as soon as its
    /// gradients are found.
    pub(super) fn walk(
        mut operations: Vec<Operation>,
        end: NodeId,
        grad: Tensor,
        backend: &'static dyn Backend,
    ) -> Result<Self> {
        let mut all = Self { backend, nodes: vec![None; operations.len()], parameters: HashMap::new() };
        all.add(end, || Ok(backend.flush_to_zero(&grad)?))?;
        while let Some(node) = operations.pop() {
            let at = operations.len();
            let Some(backward) = node else { continue };
            if let Some(grad) = all.nodes[at].take() {
                backward(grad, &mut all)?;
            }
        }
        Ok(all)
    }
}
