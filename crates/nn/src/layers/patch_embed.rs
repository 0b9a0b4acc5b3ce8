use super::{Conv2d, Conv2dConfig, input};
use crate::varmap::{Init, VarBuilder};
use crate::{Layer, Node, Result, Tape};

/// Cuts an image into square patches that do not overlap and makes a token of each, with one linear layer for all.
///
/// # Shapes
/// (B, H, W, C), H and W multiples of the patch, weight (D, C, patch, patch), bias (D); returns (B, T, D)
/// with `T = H W / patch^2`, row by row.
///
/// # Gradient
/// To input, weight and bias.
///
/// # Errors
/// [`crate::Error::Input`] if the patch does not divide the image.
///
/// # Source
/// Dosovitskiy et al., ICLR 2021, equation 1.
#[derive(Debug, Clone)]
pub struct PatchEmbed {
    name: String,
    patch: usize,
    projection: Conv2d,
}

impl PatchEmbed {
    /// A layer for patches of `patch` x `patch` pixels: `proj.weight` and `proj.bias` below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if an extent is 0, [`crate::Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, channels: usize, width: usize, patch: usize, init: Init) -> Result<Self> {
        Self::with_config(vb, [channels, width], Conv2dConfig::square(patch).stride(patch), init)
    }

    /// The same without a bias: CLIP's, whose tokens are normalized before the first block.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn without_bias(vb: &VarBuilder, channels: usize, width: usize, patch: usize, init: Init) -> Result<Self> {
        Self::with_config(vb, [channels, width], Conv2dConfig::square(patch).stride(patch).without_bias(), init)
    }

    fn with_config(vb: &VarBuilder, [channels, width]: [usize; 2], config: Conv2dConfig, init: Init) -> Result<Self> {
        let patch = config.stride.0;
        let projection = Conv2d::with_init(&vb.pp("proj"), channels, width, config, init)?;
        Ok(Self { name: input::label(vb.prefix(), "patch_embed"), patch, projection })
    }
}

impl Layer for PatchEmbed {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let [_, h, w, _] = input::images(&self.name, x, None)?;
        if !h.is_multiple_of(self.patch) || !w.is_multiple_of(self.patch) {
            let want = format!("height and width have to be multiples of the patch's {} pixels", self.patch);
            return Err(input::wrong(&self.name, x, want));
        }
        let map = self.projection.record(x, tape)?;
        let (shape, id) = (map.tensor().shape().clone(), map.id());
        let tokens = map.tensor().flatten(1, 2)?;
        Ok(tape.push(tokens, &[&map], &[], move |grad, grads| grads.add(id, || Ok(grad.reshape(shape)?))))
    }
}
