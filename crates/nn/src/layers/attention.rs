use super::{Linear, input};
use crate::kernel::attention::Heads;
use crate::kernel::by_dtype;
use crate::op::{shaped, tensor, with};
use crate::params::{Init, Path};
use crate::{Error, Layer, Pass, Result, Value, composed};

/// Multi-head self-attention.
///
/// ```text
/// q, k, v = x W^T + b                                    per head, each of width D = C / heads
/// y = concat over heads of softmax(q k^T / sqrt(D)) v    then a linear layer
/// ```
///
/// # Shapes
/// (B, T, C), T tokens per image; the result has the input's.
///
/// # Gradient
/// To input and all parameters; candle-nn's `sdpa` and `softmax_last_dim` cut it.
///
/// # Numerics
/// On the CPU the T x T soft-max is made in blocks of rows and never kept: the way back makes it again, bit
/// by bit, from the maximum and sum of every row. On a device it is kept.
///
/// # Errors
/// [`Error::Input`] if the input is not (B, T, C).
///
/// # Source
/// Vaswani et al., NIPS 2017, section 3.2.
#[derive(Debug, Clone)]
pub struct Attention {
    name: String,
    channels: usize,
    heads: usize,
    qkv: Linear,
    projection: Linear,
}

impl Attention {
    /// A layer with `heads` heads over `channels` channels: `qkv.weight` (3 C, C), `qkv.bias`, `proj.weight`,
    /// `proj.bias` below `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the heads divide the channels, [`Error::Duplicate`] if the names are taken.
    pub fn new(path: &Path, channels: usize, heads: usize, init: Init) -> Result<Self> {
        let name = input::label(path.name(), "attention");
        if channels * heads == 0 || !channels.is_multiple_of(heads) {
            let what = format!("{heads} heads over {channels} channels: the heads have to divide the channels");
            return Err(Error::Setting { layer: name, what });
        }
        let qkv = Linear::with_init(&path.child("qkv"), channels, 3 * channels, true, init)?;
        let projection = Linear::with_init(&path.child("proj"), channels, channels, true, init)?;
        Ok(Self { name, channels, heads, qkv, projection })
    }
}

impl Layer for Attention {
    fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        let &[batch, tokens, channels] = x.dims() else {
            return Err(input::wrong(&self.name, x, "tokens are (batch, tokens, channels)"));
        };
        if channels != self.channels || tokens == 0 {
            let want = format!("the layer takes at least one token of {} channels", self.channels);
            return Err(input::wrong(&self.name, x, want));
        }
        let heads = Heads { batch, tokens, heads: self.heads, width: channels / self.heads };
        let qkv = self.qkv.forward(x, pass)?;
        let mixed = attend(heads, &qkv, &self.name, pass)?;
        self.projection.forward(&mixed, pass)
    }
}

/// The mixing of tokens: (B, T, 3 C) to (B, T, C).
fn attend(heads: Heads, qkv: &Value, name: &str, pass: &mut Pass) -> Result<Value> {
    let shape = (heads.batch, heads.tokens, heads.heads * heads.width);
    let (kept, source, name) = (qkv.tensor().clone(), qkv.source(), name.to_owned());
    if composed::wanted(&kept) {
        let (out, attended) = composed::attention::attend(heads, &kept)?;
        return Ok(pass.record(out, &[qkv], &[], move |grad, to| to.value(source, || Ok(attended.back(&grad)?))));
    }
    let mixed: candle_core::Result<Value> = by_dtype!(kept.dtype(), &name, T => {
        let (out, rows) = with(&kept, |v: &[T]| Ok(heads.attend(v)))?;
        let out = tensor(out, shape)?;
        let result = out.clone();
        Ok(pass.record(out, &[qkv], &[], move |grad, to| {
            to.value(source, || {
                Ok(with(&kept, |v: &[T]| with(&result, |y| with(&grad, |g| {
                    shaped(heads.attend_back(v, y, &rows, g), &kept)
                })))?)
            })
        }))
    });
    Ok(mixed?)
}
