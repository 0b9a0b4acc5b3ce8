//! A transformer's block, and its two-layer perceptron (MLP).

use super::kind::Plan;
use crate::Result;
use npair_nn::{
    Activation, Attention, DropPath, Init, Layer, LayerNorm, LayerScale, Linear, Node, Tape, VarBuilder, sum,
};

/// How weights of linear layers are drawn.
pub(crate) const INIT: Init = Init::Normal(0.02);

/// Epsilon of layer norms.
pub(crate) const EPSILON: f64 = 1e-6;

/// A GELU, or one of its approximations.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gelus {
    Exact,
    By(Activation),
}

impl Gelus {
    pub(super) fn of(approximation: Option<Activation>) -> Self {
        approximation.map_or(Self::Exact, Self::By)
    }
}

/// Two linear layers with a GELU between them: `fc1`, `fc2`.
#[derive(Debug)]
pub(crate) struct Mlp {
    fc1: Linear,
    gelu: Gelus,
    fc2: Linear,
}

impl Mlp {
    /// Four times as wide inside, with the exact GELU.
    pub(crate) fn new(vb: &VarBuilder, width: usize) -> Result<Self> {
        Self::with_gelu(vb, width, Gelus::Exact)
    }

    pub(super) fn with_gelu(vb: &VarBuilder, width: usize, gelu: Gelus) -> Result<Self> {
        Ok(Self {
            gelu,
            fc1: Linear::with_init(&vb.pp("fc1"), width, 4 * width, true, INIT)?,
            fc2: Linear::with_init(&vb.pp("fc2"), 4 * width, width, true, INIT)?,
        })
    }

    pub(crate) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        Ok(self.fc2.record(&self.hidden(x, tape)?, tape)?)
    }

    /// Added to a shortcut, perhaps scaled before.
    pub(crate) fn record_add(
        &self,
        x: &Node,
        shortcut: &Node,
        scale: Option<&LayerScale>,
        tape: &mut Tape,
    ) -> Result<Node> {
        Ok(self.fc2.record_add(&self.hidden(x, tape)?, shortcut, scale, tape)?)
    }

    fn hidden(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        Ok(match self.gelu {
            Gelus::Exact => self.fc1.record_gelu(x, tape)?,
            Gelus::By(activation) => activation.record(&self.fc1.record(x, tape)?, tape)?,
        })
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
    /// A block below `vb`, whose branches are left out with probability `drop` in training.
    pub(super) fn new(vb: &VarBuilder, plan: &Plan, gelu: Gelus, drop: f64) -> Result<Self> {
        let width = plan.width;
        let scaled = |name: &str, first: f64| LayerScale::new(&vb.pp(name), width, first);
        let norm = |name: &str| LayerNorm::new(&vb.pp(name), width, plan.epsilon);
        Ok(Self {
            norms: [norm("norm1")?, norm("norm2")?],
            attention: Attention::new(&vb.pp("attn"), width, plan.heads, INIT)?,
            mlp: Mlp::with_gelu(&vb.pp("mlp"), width, gelu)?,
            scales: plan
                .first_scale
                .map(|first| Ok::<_, crate::Error>([scaled("ls1", first)?, scaled("ls2", first)?]))
                .transpose()?,
            drops: [DropPath::new(&vb.pp("drop_path1"), drop)?, DropPath::new(&vb.pp("drop_path2"), drop)?],
        })
    }

    pub(super) fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let normed = self.norms[0].record(x, tape)?;
        let x = if self.drops[0].drops(tape) {
            let attended = self.attention.record(&normed, tape)?;
            self.joined(0, x, attended, tape)?
        } else {
            self.attention.record_add(&normed, x, self.scale(0), tape)?
        };
        let normed = self.norms[1].record(&x, tape)?;
        if self.drops[1].drops(tape) {
            let made = self.mlp.record(&normed, tape)?;
            return self.joined(1, &x, made, tape);
        }
        self.mlp.record_add(&normed, &x, self.scale(1), tape)
    }

    fn scale(&self, number: usize) -> Option<&LayerScale> {
        self.scales.as_ref().map(|scales| &scales[number])
    }

    /// The branch, scaled and perhaps left out, added to `x`.
    fn joined(&self, number: usize, x: &Node, branch: Node, tape: &mut Tape) -> Result<Node> {
        let scaled = match self.scale(number) {
            Some(scale) => scale.record(&branch, tape)?,
            None => branch,
        };
        Ok(sum(x, &self.drops[number].record(&scaled, tape)?, tape)?)
    }
}
