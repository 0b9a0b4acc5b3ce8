//! The block of MobileNets and EfficientNets.

use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_nn::Activation;

/// What all blocks of a network, or of a stage, have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub activation: Activation,
    pub epsilon: f64,
    /// Whether zeros around the image are TensorFlow's.
    pub same: bool,
}

impl Manner {
    pub(super) fn step(self, stride: usize) -> Step {
        if self.same { Step::same(stride) } else { Step::half(stride) }
    }
}

/// The blocks `blocks.STAGE.0` and so on, of which the first has a stride.
pub(super) fn stage(graph: &mut Graph, x: Value, number: usize, stride: usize, manner: Manner) -> Result<Value> {
    let mut x = x;
    for place in 0.. {
        let at = format!("blocks.{number}.{place}");
        if !graph.has(&format!("{at}.conv_dw.weight")) {
            break;
        }
        x = block(graph, &x, &at, if place == 0 { stride } else { 1 }, manner)?;
    }
    Ok(x)
}

/// `x + f(x)`, or `f(x)` where the shape changes.
fn block(graph: &mut Graph, x: &Value, at: &str, stride: usize, manner: Manner) -> Result<Value> {
    let Manner { activation, epsilon, .. } = manner;
    // Without a convolution that widens, `conv_pw` is the one that narrows.
    let widens = graph.has(&format!("{at}.conv_pwl.weight"));
    let mut norms = 0;
    let mut unit = |graph: &mut Graph, x: &Value, conv: &str, step, activation| {
        norms += 1;
        let names = [format!("{at}.{conv}"), format!("{at}.bn{norms}")];
        graph.unit(x, [&names[0], &names[1]], step, epsilon, activation)
    };
    let mut inner = x.clone();
    if widens {
        inner = unit(graph, &inner, "conv_pw", Step::ONE, activation)?;
    }
    inner = unit(graph, &inner, "conv_dw", manner.step(stride), activation)?;
    if graph.has(&format!("{at}.se.conv_reduce.weight")) {
        inner = excited(graph, &inner, &format!("{at}.se"))?;
    }
    let last = if widens { "conv_pwl" } else { "conv_pw" };
    let made = unit(graph, &inner, last, Step::ONE, Activation::None)?;
    if made.dims() == x.dims() && stride == 1 { graph.sum(x, &made) } else { Ok(made) }
}

/// Squeeze-and-excitation.
fn excited(graph: &mut Graph, x: &Value, at: &str) -> Result<Value> {
    let mean = graph.mean_pixel(x)?;
    let reduced = graph.conv(&mean, &format!("{at}.conv_reduce"), Step::ONE)?;
    let reduced = graph.activation(&reduced, Activation::Relu);
    let factors = graph.conv(&reduced, &format!("{at}.conv_expand"), Step::ONE)?;
    let factors = graph.activation(&factors, Activation::HardSigmoid);
    graph.gate(x, &factors)
}
