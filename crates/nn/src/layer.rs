use crate::{Mode, Node, Result, Tape, forward, forward_no_grad};
use candle_core::Tensor;

/// A function of one tensor, with parameters that train.
///
/// Images are channels last, (B, H, W, C): see [`crate::ToChannelsLast`].
pub trait Layer: Send + Sync {
    /// Applies the layer to a node and pushes its operations onto the tape: what a network is made of.
    ///
    /// # Errors
    /// If the input does not fit the layer; the message names the layer.
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node>;

    /// The layer on a tensor, as candle's modules have it; candle can differentiate the result: see
    /// [`forward`](crate::forward()).
    ///
    /// # Errors
    /// Those of [`Self::record`].
    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        forward(x, mode, |x, tape| self.record(x, tape))
    }

    /// The same values, of which nothing is kept: see [`forward_no_grad`](crate::forward_no_grad()).
    ///
    /// # Errors
    /// Those of [`Self::record`].
    fn forward_no_grad(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        forward_no_grad(x, mode, |x, tape| self.record(x, tape))
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
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        self.0.iter().try_fold(x.clone(), |x, layer| layer.record(&x, tape))
    }
}
