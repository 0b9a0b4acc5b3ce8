//! [`npair_backbones::Vit`].

use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_backbones::{VitConfig, VitGelu};
use npair_nn::Activation;

/// The networks, by what cannot be seen in their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// ViT and DINOv2.
    Vit,
    Clip,
    SigLip,
}

impl Kind {
    fn epsilon(self) -> f64 {
        if self == Self::Clip { 1e-5 } else { 1e-6 }
    }

    fn gelu(self) -> VitGelu {
        match self {
            Self::Vit => VitGelu::Exact,
            Self::Clip => VitGelu::Quick,
            Self::SigLip => VitGelu::Tanh,
        }
    }
}

/// Width of a head, of all networks.
const HEAD: usize = 64;

/// What all blocks have in common.
#[derive(Debug, Clone, Copy)]
struct Plan {
    heads: usize,
    epsilon: f64,
    gelu: VitGelu,
}

pub(super) fn features(graph: &mut Graph, kind: Kind, config: &VitConfig, images: Value) -> Result<Value> {
    let mut x = tokens(graph, kind, images)?;
    let width = x.dims().last().copied().unwrap_or(0);
    let plan = Plan { heads: width / HEAD, epsilon: kind.epsilon(), gelu: config.gelu.unwrap_or(kind.gelu()) };
    for number in 0.. {
        let at = format!("blocks.{number}");
        if !graph.has(&format!("{at}.norm1.weight")) {
            break;
        }
        x = block(graph, &x, &at, plan)?;
    }
    if kind != Kind::SigLip {
        // The norm works token by token: only the class token's is needed.
        let class = graph.first_token(&x)?;
        return graph.layer_norm(&class, "norm", plan.epsilon);
    }
    let normed = graph.layer_norm(&x, "norm", plan.epsilon)?;
    let found = graph.attention_pool(&normed, "attn_pool", plan.heads)?;
    let normed = graph.layer_norm(&found, "attn_pool.norm", plan.epsilon)?;
    let more = mlp(graph, &normed, "attn_pool.mlp", plan.gelu)?;
    graph.sum(&found, &more)
}

/// From an image to tokens that know where they are.
fn tokens(graph: &mut Graph, kind: Kind, images: Value) -> Result<Value> {
    let map = graph.conv(&images, "patch_embed.proj", Step::PATCHES)?;
    let patches = graph.pixels_as_tokens(&map)?;
    // Its channels, rows and columns: what is no image was refused by then.
    let grid = [1, 2].map(|axis| map.dims().get(axis).copied().unwrap_or(0));
    match kind {
        Kind::Vit => graph.class_token(&patches, grid),
        Kind::Clip => {
            let tokens = graph.class_token(&patches, grid)?;
            graph.layer_norm(&tokens, "norm_pre", kind.epsilon())
        }
        Kind::SigLip => graph.positions(&patches, grid),
    }
}

/// `x + branch(norm(x))`, twice.
fn block(graph: &mut Graph, x: &Value, at: &str, plan: Plan) -> Result<Value> {
    let normed = graph.layer_norm(x, &format!("{at}.norm1"), plan.epsilon)?;
    let attended = graph.attention(&normed, &format!("{at}.attn"), plan.heads)?;
    let x = joined(graph, x, attended, &format!("{at}.ls1"))?;
    let normed = graph.layer_norm(&x, &format!("{at}.norm2"), plan.epsilon)?;
    let made = mlp(graph, &normed, &format!("{at}.mlp"), plan.gelu)?;
    joined(graph, &x, made, &format!("{at}.ls2"))
}

/// The branch, scaled if it has factors, added to `x`.
fn joined(graph: &mut Graph, x: &Value, branch: Value, scale: &str) -> Result<Value> {
    let branch = match graph.has(&format!("{scale}.gamma")) {
        true => graph.layer_scale(&branch, scale)?,
        false => branch,
    };
    graph.sum(x, &branch)
}

/// Two linear layers with a GELU between them.
pub(super) fn mlp(graph: &mut Graph, x: &Value, at: &str, gelu: VitGelu) -> Result<Value> {
    let hidden = graph.linear(x, &format!("{at}.fc1"))?;
    let bent = match gelu {
        VitGelu::Exact => graph.gelu(&hidden),
        VitGelu::Quick => graph.activation(&hidden, Activation::QuickGelu),
        VitGelu::Tanh => graph.activation(&hidden, Activation::TanhGelu),
    };
    graph.linear(&bent, &format!("{at}.fc2"))
}
