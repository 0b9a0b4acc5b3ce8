use super::input;
use crate::backend::Grids;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};
use candle_core::Tensor;

/// Adds a learned embedding of their positions to the tokens of every image, where there is no class token.
///
/// For an image with another grid of patches than the embedding's it is interpolated as that of
/// [`ClassToken`](crate::ClassToken) is.
///
/// ```text
/// y = x + interpolated positions
/// ```
///
/// # Shapes
/// (B, H W, D), embedding (1, S^2, D) with H x W the image's grid, S x S the stored one; returns (B, H W, D).
///
/// # Gradient
/// To input and embedding, through the interpolation.
///
/// # Errors
/// [`Error::Input`] if the input has another shape.
///
/// # Source
/// Zhai et al., ICCV 2023 (SigLIP); Dosovitskiy et al., ICLR 2021, section 3.2.
#[derive(Debug, Clone)]
pub struct PositionEmbedding {
    name: String,
    grids: Grids,
    positions: Parameter,
}

impl PositionEmbedding {
    /// A layer for `grid` patches, rows and columns, with the embedding of `stored` x `stored`: `pos_embed` below `vb`, normal with standard
    /// deviation 0.02.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent is 0, [`Error::Duplicate`] if the name is taken.
    pub fn new(vb: &VarBuilder, width: usize, grid: [usize; 2], stored: usize) -> Result<Self> {
        let name = input::label(vb.prefix(), "position_embedding");
        let grids = Grids { stored, image: grid };
        if width * grids.patches() * stored == 0 {
            let what = format!("width {width}, grids {grid:?} and {stored}: all need to be at least 1");
            return Err(Error::Setting { layer: name, what });
        }
        let positions = vb.trainable("pos_embed", (1, stored * stored, width), Init::Normal(0.02))?;
        Ok(Self { name, grids, positions })
    }
}

/// Tokens (1, T, D) behind a class token of zeros: what the interpolation knows how to handle.
fn behind_nothing(tokens: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
    let none = tokens.narrow(1, 0, 1)?.zeros_like()?;
    Ok((Tensor::cat(&[&none, tokens], 1)?, none))
}

impl Layer for PositionEmbedding {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(&self.name, x)?;
        let (patches, stored) = (self.grids.patches(), self.grids.stored);
        let width = self.positions.dims()[2];
        let &[_, t, c] = x.dims() else {
            return Err(input::wrong(&self.name, x, "tokens are (batch, tokens, channels)"));
        };
        if (t, c) != (patches, width) {
            let want = format!("the layer takes {patches} tokens of {width} channels");
            return Err(input::wrong(&self.name, x, want));
        }
        let (backend, id, grids) = (tape.backend(), x.id(), self.grids);
        let (table, class) = behind_nothing(&self.positions.tensor().detach())?;
        let out = backend.without_first(&backend.class_token(grids, x.tensor(), &class, &table)?)?;
        let positions = self.positions.clone();
        Ok(tape.push(out, &[x], &[&self.positions], move |grad, grads| {
            grads.add_parameter(&positions, || {
                let (sum, _) = behind_nothing(&backend.sum_images(&grad)?)?;
                let all = backend.positions_vjp(grids, &sum)?;
                Ok(all.narrow(1, 1, stored * stored)?.force_contiguous()?)
            })?;
            grads.add(id, || Ok(grad))
        }))
    }
}
