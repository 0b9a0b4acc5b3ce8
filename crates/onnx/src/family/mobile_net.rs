//! [`npair_backbones::MobileNetV3`].

use super::EPSILON;
use super::inverted::{Manner, stage};
use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_nn::Activation;

const RE: Activation = Activation::Relu;
const HS: Activation = Activation::HardSwish;

/// Stride of the first block, and activation, of every stage.
pub(super) const SMALL: &[(usize, Activation)] = &[(2, RE), (2, RE), (2, HS), (1, HS), (2, HS)];
pub(super) const LARGE: &[(usize, Activation)] = &[(1, RE), (2, RE), (2, RE), (2, HS), (1, HS), (2, HS)];

pub(super) fn features(graph: &mut Graph, stages: &[(usize, Activation)], images: Value) -> Result<Value> {
    let mut x = graph.unit(&images, ["conv_stem", "bn1"], Step::half(2), EPSILON, HS)?;
    for (number, &(stride, activation)) in stages.iter().enumerate() {
        x = stage(graph, x, number, stride, Manner { activation, epsilon: EPSILON, same: false })?;
    }
    let end = format!("blocks.{}.0", stages.len());
    let names = [format!("{end}.conv"), format!("{end}.bn1")];
    let map = graph.unit(&x, [&names[0], &names[1]], Step::ONE, EPSILON, HS)?;
    let mean = graph.mean_pixel(&map)?;
    let head = graph.conv(&mean, "conv_head", Step::ONE)?;
    let made = graph.activation(&head, HS);
    Ok(graph.flatten(&made))
}
