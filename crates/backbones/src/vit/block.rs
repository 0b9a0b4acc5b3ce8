//! A transformer's block, and its two-layer perceptron (MLP).

use crate::Result;
use npair_nn::{Attention, DropPath, Gelu, Init, Layer, LayerNorm, LayerScale, Linear, Node, Tape, VarBuilder, sum};

/// How weights of linear layers are drawn.
pub(crate) const INIT: Init = Init::Normal(0.02);

/// Epsilon of layer norms.
pub(crate) const EPSILON: f64 = 1e-6;

/// Two linear layers with a GELU between them: `fc1`, `fc2`.
#[derive(Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    /// Four times as wide inside.
    pub(crate) fn new(vb: &VarBuilder, width: usize) -> Result<Self> {
        Ok(Self {
            fc1: Linear::with_init(&vb.pp("fc1"), width, 4 * width, true, INIT)?,
            fc2: Linear::with_init(&vb.pp("fc2"), 4 * width, width, true, INIT)?,
        })
    }

    pub(crate) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let hidden = Gelu.record(&self.fc1.record(x, tape)?, tape)?;
        Ok(self.fc2.record(&hidden, tape)?)
    }
}

/// `x + branch(norm(x))`, twice: attention, then the MLP.
#[derive(Debug)]
pub(super) struct Block {
    norms: [LayerNorm; 2],
    attention: Attention,
    mlp: Mlp,
    scales: Option<[LayerScale; 2]>,
    drops: [DropPath; 2],
}

impl Block {
    /// A block below `vb`, with layer scale if it has a first factor.
    pub(super) fn new(vb: &VarBuilder, width: usize, heads: usize, scale: Option<f64>, drop: f64) -> Result<Self> {
        let scaled = |name: &str, first: f64| LayerScale::new(&vb.pp(name), width, first);
        Ok(Self {
            norms: [LayerNorm::new(&vb.pp("norm1"), width, EPSILON)?, LayerNorm::new(&vb.pp("norm2"), width, EPSILON)?],
            attention: Attention::new(&vb.pp("attn"), width, heads, INIT)?,
            mlp: Mlp::new(&vb.pp("mlp"), width)?,
            scales: scale
                .map(|first| Ok::<_, crate::Error>([scaled("ls1", first)?, scaled("ls2", first)?]))
                .transpose()?,
            drops: [DropPath::new(&vb.pp("drop_path1"), drop)?, DropPath::new(&vb.pp("drop_path2"), drop)?],
        })
    }

    pub(super) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let attended = self.attention.record(&self.norms[0].record(x, tape)?, tape)?;
        let x = self.joined(0, x, attended, tape)?;
        let made = self.mlp.record(&self.norms[1].record(&x, tape)?, tape)?;
        self.joined(1, &x, made, tape)
    }

    /// The branch, scaled and perhaps left out, added to `x`.
    fn joined(&self, number: usize, x: &Node, branch: Node, tape: &mut Tape) -> Result<Node> {
        let scaled = match &self.scales {
            Some(scales) => scales[number].record(&branch, tape)?,
            None => branch,
        };
        Ok(sum(x, &self.drops[number].record(&scaled, tape)?, tape)?)
    }
}
