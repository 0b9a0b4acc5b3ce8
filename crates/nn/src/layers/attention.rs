use super::{LayerScale, Linear, input};
use crate::kernel::attention::Heads;
use crate::varmap::{Init, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

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
/// On the CPU the T x T soft-max is made in blocks of rows and never kept: the backward pass makes it again,
/// from the maximum and sum of every row. On a device it is kept.
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
    /// `proj.bias` below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the heads divide the channels, [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, channels: usize, heads: usize, init: Init) -> Result<Self> {
        let name = input::label(vb.prefix(), "attention");
        if channels * heads == 0 || !channels.is_multiple_of(heads) {
            let what = format!("{heads} heads over {channels} channels: the heads have to divide the channels");
            return Err(Error::Setting { layer: name, what });
        }
        let qkv = Linear::with_init(&vb.pp("qkv"), channels, 3 * channels, true, init)?;
        let projection = Linear::with_init(&vb.pp("proj"), channels, channels, true, init)?;
        Ok(Self { name, channels, heads, qkv, projection })
    }
}

impl Attention {
    /// `shortcut + y`, or with a scale `shortcut + gamma y`: see [`Linear::record_add`].
    ///
    /// # Errors
    /// Those of the layer and of [`Linear::record_add`].
    pub fn record_add(&self, x: &Node, shortcut: &Node, scale: Option<&LayerScale>, tape: &mut Tape) -> Result<Node> {
        let mixed = self.mix(x, tape)?;
        self.projection.record_add(&mixed, shortcut, scale, tape)
    }

    /// What comes before the last linear layer.
    fn mix(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let &[batch, tokens, channels] = x.dims() else {
            return Err(input::wrong(&self.name, x, "tokens are (batch, tokens, channels)"));
        };
        if channels != self.channels || tokens == 0 {
            let want = format!("the layer takes at least one token of {} channels", self.channels);
            return Err(input::wrong(&self.name, x, want));
        }
        let heads = Heads { batch, tokens, heads: self.heads, width: channels / self.heads };
        let qkv = self.qkv.record(x, tape)?;
        attend(heads, &qkv, tape)
    }
}

impl Layer for Attention {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let mixed = self.mix(x, tape)?;
        self.projection.record(&mixed, tape)
    }
}

/// The mixing of tokens: (B, T, 3 C) to (B, T, C).
pub(super) fn attend(heads: Heads, qkv: &Node, tape: &mut Tape) -> Result<Node> {
    let (out, vjp) = tape.backend().attention(heads, qkv.tensor())?;
    let id = qkv.id();
    Ok(tape.push(out, &[qkv], &[], move |grad, grads| grads.add(id, || Ok(vjp(&grad)?))))
}
