//! What lies before and behind a transformer's blocks: tokens made of patches, features made of tokens.

use super::block::{Gelus, INIT, Mlp};
use super::kind::{Ends, Plan};
use crate::Result;
use npair_nn::{
    AttentionPool, ClassToken, FirstToken, Layer, LayerNorm, Node, PatchEmbed, PositionEmbedding, Tape, VarBuilder, sum,
};

/// Channels of the images.
const RGB: usize = 3;

/// From an image to tokens that know where they are.
#[derive(Debug)]
pub(super) struct Tokens {
    patches: PatchEmbed,
    places: Places,
    norm: Option<LayerNorm>,
}

#[derive(Debug)]
enum Places {
    Behind(ClassToken),
    Alone(PositionEmbedding),
}

impl Tokens {
    /// For images of `grid` patches, rows and columns, and the embedding of `stored` x `stored`.
    pub(super) fn new(vb: &VarBuilder, plan: &Plan, grid: [usize; 2], stored: usize) -> Result<Self> {
        let (patches, width, patch) = (vb.pp("patch_embed"), plan.width, plan.patch);
        let patches = match plan.ends {
            Ends::NormBefore => PatchEmbed::without_bias(&patches, RGB, width, patch, INIT)?,
            Ends::ClassToken | Ends::Pooled => PatchEmbed::new(&patches, RGB, width, patch, INIT)?,
        };
        let places = match plan.ends {
            Ends::Pooled => Places::Alone(PositionEmbedding::new(vb, width, grid, stored)?),
            Ends::ClassToken | Ends::NormBefore => Places::Behind(ClassToken::new(vb, width, grid, stored)?),
        };
        let norm = (plan.ends == Ends::NormBefore).then(|| LayerNorm::new(&vb.pp("norm_pre"), width, plan.epsilon));
        Ok(Self { patches, places, norm: norm.transpose()? })
    }

    pub(super) fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        let patches = self.patches.record(pixels, tape)?;
        let tokens = match &self.places {
            Places::Behind(class) => class.record(&patches, tape)?,
            Places::Alone(positions) => positions.record(&patches, tape)?,
        };
        match &self.norm {
            Some(norm) => Ok(norm.record(&tokens, tape)?),
            None => Ok(tokens),
        }
    }
}

/// From the last block's tokens to the features.
#[derive(Debug)]
pub(super) struct Features {
    norm: LayerNorm,
    pool: Option<Pool>,
}

/// A learned query, and what is added to what it finds.
#[derive(Debug)]
struct Pool {
    attention: AttentionPool,
    norm: LayerNorm,
    mlp: Mlp,
}

impl Features {
    pub(super) fn new(vb: &VarBuilder, plan: &Plan, gelu: Gelus) -> Result<Self> {
        let norm = LayerNorm::new(&vb.pp("norm"), plan.width, plan.epsilon)?;
        let pool = |vb: VarBuilder| -> Result<Pool> {
            Ok(Pool {
                attention: AttentionPool::new(&vb, plan.width, plan.heads, INIT)?,
                norm: LayerNorm::new(&vb.pp("norm"), plan.width, plan.epsilon)?,
                mlp: Mlp::with_gelu(&vb.pp("mlp"), plan.width, gelu)?,
            })
        };
        let pool = (plan.ends == Ends::Pooled).then(|| pool(vb.pp("attn_pool"))).transpose()?;
        Ok(Self { norm, pool })
    }

    /// Whether there is a layer behind the last norm.
    pub(super) fn pools(&self) -> bool {
        self.pool.is_some()
    }

    pub(super) fn record(&self, tokens: &Node, tape: &mut Tape) -> Result<Node> {
        let Some(pool) = &self.pool else {
            // The norm works token by token: only the class token's is needed.
            let class = FirstToken.record(tokens, tape)?;
            return Ok(self.norm.record(&class, tape)?);
        };
        let found = pool.attention.record(&self.norm.record(tokens, tape)?, tape)?;
        let more = pool.mlp.record(&pool.norm.record(&found, tape)?, tape)?;
        Ok(sum(&found, &more, tape)?)
    }
}
