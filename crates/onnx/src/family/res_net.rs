//! [`npair_backbones::ResNet`].

use super::{EPSILON, pooled};
use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_backbones::ResNetConfig;
use npair_nn::{Activation, PoolConfig};

pub(super) fn features(graph: &mut Graph, config: &ResNetConfig, images: Value) -> Result<Value> {
    let stem = graph.unit(&images, ["conv1", "bn1"], Step::half(2), EPSILON, Activation::Relu)?;
    let mut x = graph.max_pool(&stem, PoolConfig::square(3).stride(2).padding(1))?;
    for stage in 1..=4 {
        for number in 0.. {
            let at = format!("layer{stage}.{number}");
            if !graph.has(&format!("{at}.conv1.weight")) {
                break;
            }
            x = block(graph, &x, &at, if stage > 1 && number == 0 { 2 } else { 1 })?;
        }
    }
    pooled(graph, &x, config.pooling)
}

/// `relu(f(x) + shortcut(x))`: two convolutions of 3 x 3, or three of which the middle one is.
fn block(graph: &mut Graph, x: &Value, at: &str, stride: usize) -> Result<Value> {
    let count = if graph.has(&format!("{at}.conv3.weight")) { 3 } else { 2 };
    // The stride lies in the first convolution of 3 x 3.
    let strided = count - 1;
    let mut inner = x.clone();
    for number in 1..=count {
        let step = Step::half(if number == strided { stride } else { 1 });
        let activation = if number == count { Activation::None } else { Activation::Relu };
        let names = [format!("{at}.conv{number}"), format!("{at}.bn{number}")];
        inner = graph.unit(&inner, [&names[0], &names[1]], step, EPSILON, activation)?;
    }
    let names = [format!("{at}.downsample.0"), format!("{at}.downsample.1")];
    let shortcut = match graph.has(&format!("{}.weight", names[0])) {
        true => graph.unit(x, [&names[0], &names[1]], Step::bare(stride), EPSILON, Activation::None)?,
        false => x.clone(),
    };
    let sum = graph.sum(&inner, &shortcut)?;
    Ok(graph.activation(&sum, Activation::Relu))
}
