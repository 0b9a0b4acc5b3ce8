use super::input;
use crate::kernel::resample::Resample;
use crate::kernel::{Element, by_dtype, column_sums, tokens};
use crate::op::{shaped, tensor, with};
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape, composed};

/// Puts a learned class token before the tokens of every image and adds a learned embedding of their places.
///
/// The embedding may belong to another grid of patches than the image's: then that of the patches is interpolated
/// (bicubic, with the kernel widened where the grid shrinks, as timm and PyTorch do it), in every pass, so that what is
/// learned and stored keeps its size.
///
/// ```text
/// y = concat(class, x) + concat(place of class, interpolated places of patches)
/// ```
///
/// # Shapes
/// (B, G^2, D), class token (1, 1, D), embedding (1, 1 + S^2, D) with G the image's grid, S the stored one;
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
    grid: usize,
    stored: usize,
    class: Parameter,
    places: Parameter,
}

impl ClassToken {
    /// A layer for `grid` x `grid` patches with the embedding of `stored` x `stored`: `cls_token` and `pos_embed` below
    /// `vb`, normal with standard deviation 0.02.
    ///
    /// # Errors
    /// [`Error::Setting`] if an extent is 0, [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, width: usize, grid: usize, stored: usize) -> Result<Self> {
        let name = input::label(vb.prefix(), "class_token");
        if width * grid * stored == 0 {
            let what = format!("width {width}, grids {grid} and {stored}: all need to be at least 1");
            return Err(Error::Setting { layer: name, what });
        }
        let class = vb.trainable("cls_token", (1, 1, width), Init::Normal(0.02))?;
        let places = vb.trainable("pos_embed", (1, 1 + stored * stored, width), Init::Normal(0.02))?;
        Ok(Self { name, width, grid, stored, class, places })
    }

    /// From the stored embedding to the image's grid; none if they are the same.
    fn resample<T: Element>(&self) -> Option<Resample<T>> {
        (self.grid != self.stored).then(|| Resample::new(self.stored, self.grid))
    }
}

impl ClassToken {
    fn composed(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        use composed::tokens;
        let (stored, grid) = (self.stored, self.grid);
        let out = tokens::prepend(x.tensor(), self.class.tensor(), self.places.tensor(), stored, grid)?;
        let (layer, id) = (self.clone(), x.id());
        Ok(tape.push(out, &[x], &[&self.class, &self.places], move |grad, grads| {
            let sum = tokens::sum_of_images(&grad)?;
            grads.add_parameter(&layer.class, || Ok(sum.narrow(1, 0, 1)?.contiguous()?))?;
            grads.add_parameter(&layer.places, || Ok(tokens::places_back(&sum, stored, grid)?))?;
            grads.add(id, || Ok(grad.narrow(1, 1, grid * grid)?.contiguous()?))
        }))
    }
}

impl Layer for ClassToken {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        input::check(&self.name, x)?;
        let (patches, width) = (self.grid * self.grid, self.width);
        let &[batch, t, c] = x.dims() else {
            return Err(input::wrong(&self.name, x, "tokens are (batch, tokens, channels)"));
        };
        if (t, c) != (patches, width) {
            return Err(input::wrong(&self.name, x, format!("the layer takes {patches} tokens of {width} channels")));
        }
        let (dtype, shape) = (x.tensor().dtype(), (batch, 1 + patches, width));
        let (class, places) = (self.class.tensor(), self.places.tensor());
        if composed::wanted(x.tensor()) {
            return self.composed(x, tape);
        }
        let out = by_dtype!(dtype, &self.name, T => with(x.tensor(), |x: &[T]| with(class, |class: &[T]| with(places, |places| {
            let (of_class, of_patches) = places.split_at(width);
            let resampled = self.resample().map(|r| r.forward(of_patches, width));
            let head: Vec<T> = class.iter().zip(of_class).map(|(&c, &p)| c + p).collect();
            tensor(tokens::prepend(x, &head, resampled.as_deref().unwrap_or(of_patches)), shape)
        }))))?;
        let (layer, kept, id) = (self.clone(), x.tensor().clone(), x.id());
        Ok(tape.push(out, &[x], &[&self.class, &self.places], move |grad, grads| {
            let (name, line) = (&layer.name, (1 + patches) * width);
            let (class, places) = (layer.class.tensor(), layer.places.tensor());
            grads.add_parameter(&layer.class, || {
                Ok(by_dtype!(dtype, name, T => with(&grad, |g: &[T]| {
                    let mut sums = column_sums(line, g);
                    sums.truncate(width);
                    shaped(sums, class)
                }))?)
            })?;
            grads.add_parameter(&layer.places, || {
                Ok(by_dtype!(dtype, name, T => with(&grad, |g: &[T]| {
                    let sums = column_sums(line, g);
                    let (of_class, of_patches) = sums.split_at(width);
                    match layer.resample() {
                        None => shaped(sums, places),
                        Some(r) => shaped([of_class, &r.backward(of_patches, width)].concat(), places),
                    }
                }))?)
            })?;
            grads.add(id, || {
                Ok(by_dtype!(dtype, name, T => with(&grad, |g: &[T]| shaped(tokens::tail(g, width, line), &kept)))?)
            })
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
        let &[batch, t, width] = x.dims() else {
            return Err(input::wrong(NAME, x, "tokens are (batch, tokens, channels)"));
        };
        if t == 0 {
            return Err(input::wrong(NAME, x, "at least one token is needed"));
        }
        let (kept, id) = (x.tensor().clone(), x.id());
        if composed::wanted(&kept) {
            return Ok(tape.push(composed::tokens::first(&kept)?, &[x], &[], move |grad, grads| {
                grads.add(id, || Ok(composed::tokens::first_back(&grad, t)?))
            }));
        }
        let out = by_dtype!(kept.dtype(), NAME, T => with(&kept, |x: &[T]| {
            tensor(tokens::heads(x, width, t * width), (batch, width))
        }))?;
        Ok(tape.push(out, &[x], &[], move |grad, grads| {
            grads.add(id, || {
                Ok(by_dtype!(grad.dtype(), NAME, T => with(&grad, |g: &[T]| {
                    shaped(tokens::heads_back(g, width, t * width), &kept)
                }))?)
            })
        }))
    }
}
