//! Networks of others, as they are.

#[cfg(feature = "candle-transformers")]
mod families;

use crate::{Backbone, Error, InputSpec, Result};
use candle_core::{DType, Device, Tensor};
use npair_nn::{Layer, Mode, Node, Tape, ToChannelsFirst};

/// From images (B, C, H, W) to features (B, F).
type Run = dyn Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync;

/// Any function from images to features as a backbone that does not train: no gradient flows into it, nothing of its
/// passes is kept, and it runs in evaluation, whatever the mode.
///
/// This is how a network of another crate serves as it is: embed with it, or train a head on its features. With the
/// cargo feature `candle-transformers` there are constructors for families of that crate whose features are cheap to
/// get at: `res_net`, `conv_next`, `efficient_vit`, `fast_vit`, `hiera`, `mobile_net_v4`, `mobile_one`, `rep_vgg` and
/// `sig_lip`. Its other image models (BEiT, ConvMixer, DINOv2, EfficientNet, EVA-02, VGG, ViT) come with a classifier
/// or need words beside the image: give [`Self::new`] a closure that takes what is wanted out of them.
///
/// # Shapes
/// The function gets (B, C, H, W) and returns (B, F).
///
/// # Errors
/// [`Error::Features`] if it returns another shape.
///
/// ```
/// # use npair_backbones::{FrozenExtractor, InputSpec}; use candle_core::{DType, Device, Tensor};
/// // The mean of every channel.
/// let input = InputSpec { channels: 3, size: 4.into() };
/// let means = FrozenExtractor::new("means", input, 3, |x: &Tensor| x.mean((2, 3)));
/// let x = Tensor::ones((2, 3, 4, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(means.extract(&x)?.to_vec2::<f32>()?, [[1.; 3]; 2]);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
pub struct FrozenExtractor {
    name: String,
    input: InputSpec,
    features: usize,
    run: Box<Run>,
}

impl FrozenExtractor {
    /// A backbone that says it makes `features` features; `name` is for messages.
    pub fn new(
        name: impl Into<String>,
        input: InputSpec,
        features: usize,
        run: impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), input, features, run: Box::new(run) }
    }

    /// The same, whose number of features is found by running it on one black image.
    ///
    /// # Errors
    /// Those of the function, and [`Error::Features`] if it does not return (1, F).
    pub fn probe(
        name: impl Into<String>,
        input: InputSpec,
        (dtype, device): (DType, &Device),
        run: impl Fn(&Tensor) -> candle_core::Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Self> {
        let [channels, height, width] = input.dims();
        let black = Tensor::zeros((1, channels, height, width), dtype, device)?;
        let name = name.into();
        match *run(&black)?.dims() {
            [1, features] if features > 0 => Ok(Self::new(name, input, features, run)),
            ref got => Err(Error::Features { name, got: got.to_vec(), want: "(1, features)".to_owned() }),
        }
    }

    /// Features of images (B, C, H, W), a constant for gradients.
    ///
    /// # Errors
    /// [`Error::Input`] if the images are not those that it takes, [`Error::Features`], and those of the function.
    pub fn extract(&self, images: &Tensor) -> Result<Tensor> {
        let InputSpec { channels, size } = self.input;
        let batch = match *images.dims() {
            [b, c, h, w] if [c, h, w] == self.input.dims() => b,
            ref got => return Err(Error::Input { got: got.to_vec(), channels, size }),
        };
        let features = (self.run)(&images.detach())?.detach();
        if features.dims() != [batch, self.features] {
            let (got, want) = (features.dims().to_vec(), format!("({batch}, {})", self.features));
            return Err(Error::Features { name: self.name.clone(), got, want });
        }
        Ok(features.contiguous()?)
    }
}

impl Backbone for FrozenExtractor {
    fn record(&self, pixels: &Node, _: &mut Tape) -> Result<Node> {
        self.input.check(pixels)?;
        // A pass of its own, that keeps nothing.
        let images = ToChannelsFirst.forward_no_grad(pixels.tensor(), &Mode::Eval)?;
        Ok(Node::constant(&self.extract(&images)?)?)
    }

    fn features(&self) -> usize {
        self.features
    }

    fn input(&self) -> InputSpec {
        self.input
    }
}

impl std::fmt::Debug for FrozenExtractor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, input, features, .. } = self;
        f.debug_struct("FrozenExtractor")
            .field("name", name)
            .field("input", input)
            .field("features", features)
            .finish_non_exhaustive()
    }
}
