use super::input;
use crate::backend::Grids;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

/// Puts a learned class token before the tokens of every image and adds a learned embedding of their positions.
///
/// The embedding may belong to another grid of patches than the image's: then that of the patches is interpolated
/// (bicubic, with the kernel widened where the grid shrinks, as timm and PyTorch do it), in every pass, so that what is
/// learned and stored keeps its size.
///
/// ```text
/// y = concat(class, x) + concat(position of class, interpolated positions of patches)
/// ```
///
/// # Shapes
/// (B, H W, D), class token (1, 1, D), embedding (1, 1 + S^2, D) with H x W the image's grid, S x S the stored one;
/// returns (B, 1 + G^2, D).
///
/// # Gradient
/// To input, class token and embedding, through the interpolation.
///
/// # Errors
/// [`Error::Input`] if the input has another shape.
///
/// # Source
/// Dosovitskiy et al., ICLR 2021, equation 1 and section 3.2.
#[derive(Debug, Clone)]
pub struct ClassToken {
    name: String,
    width: usize,
    grids: Grids,
    class: Parameter,
    positions: Parameter,
}

impl ClassToken {
    /// A layer for `grid` patches, rows and columns, with the embedding of `stored` x `stored`: `cls_token` and `pos_embed` below
    /// `vb`, normal with standard deviation 0.02.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent is 0, [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, width: usize, grid: [usize; 2], stored: usize) -> Result<Self> {
        let name = input::label(vb.prefix(), "class_token");
        let grids = Grids { stored, image: grid };
        if width * grids.patches() * stored == 0 {
            let what = format!("width {width}, grids {grid:?} and {stored}: all need to be at least 1");
            return Err(Error::Setting { layer: name, what });
        }
        let class = vb.trainable("cls_token", (1, 1, width), Init::Normal(0.02))?;
        let positions = vb.trainable("pos_embed", (1, 1 + stored * stored, width), Init::Normal(0.02))?;
        Ok(Self { name, width, grids, class, positions })
    }
}

impl Layer for ClassToken {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(&self.name, x)?;
        let (patches, width) = (self.grids.patches(), self.width);
        let &[_, t, c] = x.dims() else {
            return Err(input::wrong(&self.name, x, "tokens are (batch, tokens, channels)"));
        };
        if (t, c) != (patches, width) {
            return Err(input::wrong(&self.name, x, format!("the layer takes {patches} tokens of {width} channels")));
        }
        let (backend, id, grids) = (tape.backend(), x.id(), self.grids);
        let out = backend.class_token(grids, x.tensor(), self.class.tensor(), self.positions.tensor())?;
        let (class, positions) = (self.class.clone(), self.positions.clone());
        Ok(tape.push(out, &[x], &[&self.class, &self.positions], move |grad, grads| {
            if class.trains() || positions.trains() {
                let sum = backend.sum_images(&grad)?;
                grads.add_parameter(&class, || Ok(sum.narrow(1, 0, 1)?.force_contiguous()?))?;
                grads.add_parameter(&positions, || Ok(backend.positions_vjp(grids, &sum)?))?;
            }
            grads.add(id, || Ok(backend.without_first(&grad)?))
        }))
    }
}

/// The first token of every image: the class token behind a transformer.
///
/// # Shapes
/// (B, T, D) to (B, D).
///
/// # Gradient
/// To the first token.
///
/// # Errors
/// [`Error::Input`] if there is no token.
#[derive(Debug, Clone, Copy, Default)]
pub struct FirstToken;

impl Layer for FirstToken {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        const NAME: &str = "first_token";
        input::check(NAME, x)?;
        let &[_, t, _] = x.dims() else {
            return Err(input::wrong(NAME, x, "tokens are (batch, tokens, channels)"));
        };
        if t == 0 {
            return Err(input::wrong(NAME, x, "at least one token is needed"));
        }
        let (backend, id) = (tape.backend(), x.id());
        let out = backend.first(x.tensor())?;
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(backend.first_vjp(&grad, t)?))))
    }
}
