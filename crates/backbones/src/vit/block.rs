//! A transformer's block, and its two-layer perceptron.

use crate::Result;
use npair_nn::{Attention, DropPath, Gelu, Init, Layer, LayerNorm, LayerScale, Linear, Pass, Path, Value, sum};

/// How weights of linear layers are drawn.
pub(crate) const INIT: Init = Init::Normal(0.02);

/// Epsilon of layer norms.
pub(crate) const EPSILON: f64 = 1e-6;

/// Two linear layers with a GELU between them: `fc1`, `fc2`.
#[derive(Debug)]
pub(crate) struct Perceptron {
    wide: Linear,
    narrow: Linear,
}

impl Perceptron {
    /// Four times as wide inside.
    pub(crate) fn new(path: &Path, width: usize) -> Result<Self> {
        Ok(Self {
            wide: Linear::with_init(&path.child("fc1"), width, 4 * width, true, INIT)?,
            narrow: Linear::with_init(&path.child("fc2"), 4 * width, width, true, INIT)?,
        })
    }

    pub(crate) fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        let wide = Gelu.forward(&self.wide.forward(x, pass)?, pass)?;
        Ok(self.narrow.forward(&wide, pass)?)
    }
}

/// `x + branch(norm(x))`, twice: attention, then the perceptron.
#[derive(Debug)]
pub(super) struct Block {
    norms: [LayerNorm; 2],
    attention: Attention,
    perceptron: Perceptron,
    scales: Option<[LayerScale; 2]>,
    drops: [DropPath; 2],
}

impl Block {
    /// A block below `path`, with layer scale if it has a first factor.
    pub(super) fn new(path: &Path, width: usize, heads: usize, scale: Option<f64>, drop: f64) -> Result<Self> {
        let scaled = |name: &str, first: f64| LayerScale::new(&path.child(name), width, first);
        Ok(Self {
            norms: [
                LayerNorm::new(&path.child("norm1"), width, EPSILON)?,
                LayerNorm::new(&path.child("norm2"), width, EPSILON)?,
            ],
            attention: Attention::new(&path.child("attn"), width, heads, INIT)?,
            perceptron: Perceptron::new(&path.child("mlp"), width)?,
            scales: scale
                .map(|first| Ok::<_, crate::Error>([scaled("ls1", first)?, scaled("ls2", first)?]))
                .transpose()?,
            drops: [DropPath::new(&path.child("drop_path1"), drop)?, DropPath::new(&path.child("drop_path2"), drop)?],
        })
    }

    pub(super) fn forward(&self, x: &Value, pass: &mut Pass) -> Result<Value> {
        let attended = self.attention.forward(&self.norms[0].forward(x, pass)?, pass)?;
        let x = self.joined(0, x, attended, pass)?;
        let made = self.perceptron.forward(&self.norms[1].forward(&x, pass)?, pass)?;
        self.joined(1, &x, made, pass)
    }

    /// The branch, scaled and perhaps left out, added to `x`.
    fn joined(&self, number: usize, x: &Value, branch: Value, pass: &mut Pass) -> Result<Value> {
        let scaled = match &self.scales {
            Some(scales) => scales[number].forward(&branch, pass)?,
            None => branch,
        };
        Ok(sum(x, &self.drops[number].forward(&scaled, pass)?, pass)?)
    }
}
