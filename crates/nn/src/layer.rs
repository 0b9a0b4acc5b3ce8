use crate::{Mode, Pass, Result, Value, differentiable, infer};
use candle_core::Tensor;

/// A function of one tensor, with parameters that train.
///
/// Images are channels last, (B, H, W, C): see [`crate::ToChannelsLast`].
pub trait Layer: Send + Sync {
    /// Applies the layer within a pass.
    ///
    /// # Errors
    /// If the input does not fit the layer; the message names the layer.
    fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value>;

    /// A pass of this layer alone, which candle can differentiate: see [`differentiable`].
    ///
    /// # Errors
    /// Those of [`Self::forward`].
    fn apply(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        differentiable(x, mode, |x, pass| self.forward(x, pass))
    }

    /// A pass of this layer alone in evaluation, of which nothing is kept: see [`infer`].
    ///
    /// # Errors
    /// Those of [`Self::forward`].
    fn infer(&self, x: &Tensor) -> Result<Tensor> {
        infer(x, |x, pass| self.forward(x, pass))
    }
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
    fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.forward(&x, pass))
    }
}
