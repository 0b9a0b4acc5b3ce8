use crate::{Mode, Result};
use candle_core::Tensor;

/// A function of one tensor, with parameters that train.
pub trait Layer: Send + Sync {
    /// Applies the layer.
    ///
    /// # Errors
    /// If the input does not fit the layer; the message names the layer.
    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor>;
}

/// Layers one after the other.
#[derive(Default)]
pub struct Sequential(Vec<Box<dyn Layer>>);

impl Sequential {
    /// No layers: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more layer at the end.
    pub fn then(mut self, layer: impl Layer + 'static) -> Self {
        self.0.push(Box::new(layer));
        self
    }

    /// How many layers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sequential of {} layers", self.len())
    }
}

impl Layer for Sequential {
    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x, mode))
    }
}
