use crate::Result;
use candle_core::Tensor;
use npair_nn::Mode;

/// What images a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputSpec {
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image in pixels.
    pub size: usize,
}

/// A network from images to features.
pub trait Backbone: Send + Sync {
    /// Features of images.
    ///
    /// # Shapes    (B, C, H, W) to (B, F).
    ///
    /// # Errors
    /// [`crate::Error::Input`] if the images are not those of [`Self::input`].
    fn forward(&self, pixels: &Tensor, mode: &Mode) -> Result<Tensor>;

    /// F, the number of features.
    fn features(&self) -> usize;

    /// The images it takes.
    fn input(&self) -> InputSpec;
}
