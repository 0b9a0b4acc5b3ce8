use crate::params::Parameter;
use crate::{Result, op};
use candle_core::{Tensor, TensorId};
use std::collections::HashMap;

/// The backward half of an operation; none once it has run, or for the input of the pass.
pub(super) type Node = Option<Backward>;
type Backward = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<()> + Send>;

impl std::fmt::Debug for Gradients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gradients of {} values and {} parameters", self.values.len(), self.parameters.len())
    }
}

/// Where the gradient of a value goes: nowhere, or to the operation that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(Option<usize>);

impl Source {
    pub(super) const NONE: Self = Self(None);

    pub(super) fn node(at: usize) -> Self {
        Self(Some(at))
    }

    /// Whether a gradient is wanted.
    pub fn wants(self) -> bool {
        self.0.is_some()
    }
}

/// The gradients that a backward pass has found so far.
#[derive(Default)]
pub struct Gradients {
    values: Vec<Option<Tensor>>,
    parameters: HashMap<TensorId, Tensor>,
}

impl Gradients {
    /// Adds the gradient that `find` computes to that of a value; `find` is called only if the value wants one.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn value(&mut self, source: Source, find: impl FnOnce() -> Result<Tensor>) -> Result<()> {
        let Source(Some(at)) = source else { return Ok(()) };
        let grad = find()?;
        debug_assert!(!grad.track_op(), "a gradient that keeps what it was made of");
        let slot = &mut self.values[at];
        *slot = Some(match slot.take() {
            None => grad,
            Some(sum) => op::add(&sum, &grad)?,
        });
        Ok(())
    }

    /// Adds the gradient that `find` computes to that of a parameter; `find` is called only if the parameter trains.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn parameter(&mut self, parameter: &Parameter, find: impl FnOnce() -> Result<Tensor>) -> Result<()> {
        if !parameter.trains() {
            return Ok(());
        }
        let grad = find()?;
        debug_assert!(!grad.track_op(), "a gradient that keeps what it was made of");
        let sum = match self.parameters.remove(&parameter.id()) {
            None => grad,
            Some(sum) => op::add(&sum, &grad)?,
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
        self.values.first_mut().and_then(Option::take)
    }

    /// Walks the tape from its end, from gradients without traces; what an operation kept is freed as soon as its gradients are found.
    pub(super) fn walk(mut nodes: Vec<Node>, end: Source, grad: Tensor) -> Result<Self> {
        let mut all = Self { values: vec![None; nodes.len()], parameters: HashMap::new() };
        all.value(end, || op::without_traces(&grad))?;
        while let Some(node) = nodes.pop() {
            let at = nodes.len();
            let Some(backward) = node else { continue };
            if let Some(grad) = all.values[at].take() {
                backward(grad, &mut all)?;
            }
        }
        Ok(all)
    }
}
