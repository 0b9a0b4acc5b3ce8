use candle_core::{Tensor, TensorId, Var};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A trainable variable of a layer. It can be frozen: then no gradient is computed for it.
#[derive(Debug, Clone)]
pub struct Parameter {
    var: Var,
    trains: Arc<AtomicBool>,
}

impl Parameter {
    pub(super) fn new(var: Var) -> Self {
        Self { var, trains: Arc::new(AtomicBool::new(true)) }
    }

    /// The values; they change with every step of an optimizer.
    pub fn tensor(&self) -> &Tensor {
        self.var.as_tensor()
    }

    /// The variable.
    pub fn var(&self) -> &Var {
        &self.var
    }

    /// Extents.
    pub fn dims(&self) -> &[usize] {
        self.var.dims()
    }

    /// Whether it is not frozen.
    pub fn trains(&self) -> bool {
        self.trains.load(Ordering::Relaxed)
    }

    pub(super) fn set_trains(&self, trains: bool) {
        self.trains.store(trains, Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> TensorId {
        self.var.as_tensor().id()
    }
}
