//! [`npair_backbones::EfficientNetLite`].

use super::inverted::{Manner, stage};
use super::{TENSORFLOW_EPSILON, pooled};
use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_backbones::EfficientNetLiteConfig;
use npair_nn::Activation;

/// Of the first block of every stage.
const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

pub(super) fn features(graph: &mut Graph, config: &EfficientNetLiteConfig, images: Value) -> Result<Value> {
    let manner = Manner { activation: Activation::Relu6, epsilon: TENSORFLOW_EPSILON, same: true };
    let unit =
        |graph: &mut Graph, x: &Value, names, step| graph.unit(x, names, step, manner.epsilon, manner.activation);
    let mut x = unit(graph, &images, ["conv_stem", "bn1"], manner.step(2))?;
    for (number, stride) in STRIDES.into_iter().enumerate() {
        x = stage(graph, x, number, stride, manner)?;
    }
    let map = unit(graph, &x, ["conv_head", "bn2"], Step::ONE)?;
    pooled(graph, &map, config.pooling)
}
