use crate::{Error, Result, Stages};
use npair_nn::{Node, Tape};
use npair_types::ImageSize;

/// What images a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputSpec {
    /// Channels of an image.
    pub channels: usize,
    /// Height and width of an image in pixels.
    pub size: ImageSize,
}

impl InputSpec {
    /// Channels, height and width.
    pub const fn dims(self) -> [usize; 3] {
        let [height, width] = self.size.dims();
        [self.channels, height, width]
    }

    /// That images within a pass, (B, H, W, C), are those that the network takes.
    ///
    /// # Errors
    /// [`Error::Input`] if they are not.
    pub fn check(self, pixels: &Node) -> Result<()> {
        let Self { channels, size } = self;
        match *pixels.dims() {
            [_, h, w, c] if [c, h, w] == self.dims() => Ok(()),
            // The message speaks of images as they came in.
            [b, h, w, c] => Err(Error::Input { got: vec![b, c, h, w], channels, size }),
            _ => Err(Error::Input { got: pixels.dims().to_vec(), channels, size }),
        }
    }
}

/// A network from images to features.
pub trait Backbone: Send + Sync {
    /// Features of images, which are channels last within a pass.
    ///
    /// # Shapes
    /// (B, H, W, C) to (B, F).
    ///
    /// # Errors
    /// [`crate::Error::Input`] if the images are not those of [`Self::input`].
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node>;

    /// F, the number of features.
    fn features(&self) -> usize;

    /// The images it takes.
    fn input(&self) -> InputSpec;

    /// Its layers in their order, by the names of their parameters: every parameter that trains is in one of them. What has few
    /// weights behind a block (a norm, an exponent) goes with that block. None for a network that says nothing of its depth.
    fn stages(&self) -> Stages {
        Stages::new()
    }
}
