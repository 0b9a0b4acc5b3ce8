use super::attention::attend;
use super::tokens::FirstToken;
use super::{Linear, concat, input};
use crate::kernel::attention::Heads;
use crate::varmap::{Init, Parameter, VarBuilder};
use crate::{Error, Layer, Node, Result, Tape};

/// Multi-head attention pooling: one learned query looks at all tokens of an image.
///
/// ```text
/// q = latent W_q^T + b_q     k, v = x W_kv^T + b_kv     per head, each of width D = C / heads
/// y = concat over heads of softmax(q k^T / sqrt(D)) v    then a linear layer
/// ```
///
/// # Shapes
/// (B, T, C), T tokens per image; returns (B, C).
///
/// # Gradient
/// To input and all parameters.
///
/// # Numerics
/// The query stands in for that of every token and the first token's result is taken: the soft-max's rows of T - 1 tokens are made in
/// vain. Their products are 4 T^2 C operations where keys and values take 4 T C^2: T / C as many, a quarter for 196 tokens of 768.
///
/// # Errors
/// [`Error::Input`] if the input is not (B, T, C).
///
/// # Source
/// Zhai et al., CVPR 2022 (Scaling vision transformers, MAP head); Lee et al., ICML 2019, section 3.2.
#[derive(Debug, Clone)]
pub struct AttentionPool {
    name: String,
    channels: usize,
    heads: usize,
    latent: Parameter,
    query: Linear,
    keys_and_values: Linear,
    projection: Linear,
}

impl AttentionPool {
    /// A layer with `heads` heads over `channels` channels: `latent` (1, 1, C), `q`, `kv` (2 C, C) and `proj`, with biases, below
    /// `vb`, as timm's `AttentionPoolLatent`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the heads divide the channels, [`Error::Duplicate`] if the names are taken.
    pub fn new(vb: &VarBuilder, channels: usize, heads: usize, init: Init) -> Result<Self> {
        let name = input::label(vb.prefix(), "attention_pool");
        if channels * heads == 0 || !channels.is_multiple_of(heads) {
            let what = format!("{heads} heads over {channels} channels: the heads have to divide the channels");
            return Err(Error::Setting { layer: name, what });
        }
        let linear = |part: &str, outputs| Linear::with_init(&vb.pp(part), channels, outputs, true, init);
        let (query, keys_and_values, projection) =
            (linear("q", channels)?, linear("kv", 2 * channels)?, linear("proj", channels)?);
        let latent = vb.trainable("latent", (1, 1, channels), init)?;
        Ok(Self { name, channels, heads, latent, query, keys_and_values, projection })
    }

    /// The query at every token: (B, T, C).
    fn queries(&self, like: &Node, tape: &mut Tape) -> Result<Node> {
        let latent = self.latent.clone();
        let out = latent.tensor().detach().to_dtype(like.tensor().dtype())?;
        let latent = tape.push(out, &[], &[&self.latent], move |grad, grads| grads.add_parameter(&latent, || Ok(grad)));
        let query = self.query.record(&latent, tape)?;
        let (backend, id, channels) = (tape.backend(), query.id(), self.channels);
        let all = query.tensor().broadcast_as(like.dims())?.contiguous()?;
        Ok(tape.push(all, &[&query], &[], move |grad, grads| {
            grads.add(id, || Ok(backend.sum_rows(&grad)?.to_dtype(grad.dtype())?.reshape((1, 1, channels))?))
        }))
    }
}

impl Layer for AttentionPool {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let &[batch, tokens, channels] = x.dims() else {
            return Err(input::wrong(&self.name, x, "tokens are (batch, tokens, channels)"));
        };
        if channels != self.channels || tokens == 0 {
            let want = format!("the layer takes at least one token of {} channels", self.channels);
            return Err(input::wrong(&self.name, x, want));
        }
        input::check(&self.name, x)?;
        let heads = Heads { batch, tokens, heads: self.heads, width: channels / self.heads };
        let queries = self.queries(x, tape)?;
        let keys_and_values = self.keys_and_values.record(x, tape)?;
        let qkv = concat(&[&queries, &keys_and_values], tape)?;
        let mixed = FirstToken.record(&attend(heads, &qkv, tape)?, tape)?;
        self.projection.record(&mixed, tape)
    }
}
