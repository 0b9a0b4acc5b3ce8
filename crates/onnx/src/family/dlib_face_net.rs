//! [`npair_backbones::DlibFaceNet`].

use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_nn::{Activation, PoolConfig};

/// Blocks in their order; those that halve the map are called so.
const BLOCKS: [&str; 14] = [
    "conv32_1",
    "conv32_2",
    "conv32_3",
    "conv64_down",
    "conv64_1",
    "conv64_2",
    "conv64_3",
    "conv128_down",
    "conv128_1",
    "conv128_2",
    "conv256_down",
    "conv256_1",
    "conv256_2",
    "conv256_down_out",
];

pub(super) fn features(graph: &mut Graph, images: Value) -> Result<Value> {
    let stem = graph.conv(&images, "conv32_down", Step::bare(2))?;
    let stem = graph.activation(&stem, Activation::Relu);
    let mut x = graph.max_pool(&stem, PoolConfig::square(3).stride(2))?;
    for at in BLOCKS {
        x = block(graph, &x, at)?;
    }
    let mean = graph.mean(&x)?;
    graph.linear(&mean, "fc")
}

/// `relu(f(x) + shortcut(x))`, with zeros where one is smaller than the other.
fn block(graph: &mut Graph, x: &Value, at: &str) -> Result<Value> {
    let halves = at.contains("down");
    let first = graph.conv(x, &format!("{at}.conv1"), if halves { Step::bare(2) } else { Step::half(1) })?;
    let first = graph.activation(&first, Activation::Relu);
    let inner = graph.conv(&first, &format!("{at}.conv2"), Step::half(1))?;
    let shortcut = if halves { graph.mean_pool(x, PoolConfig::square(2))? } else { x.clone() };
    let [channels, height, width] = [0, 1, 2].map(|axis| inner.dims()[axis].max(shortcut.dims()[axis]));
    let inner = graph.with_zeros_behind(&inner, [channels, height, width])?;
    let shortcut = graph.with_zeros_behind(&shortcut, [channels, height, width])?;
    let sum = graph.sum(&inner, &shortcut)?;
    Ok(graph.activation(&sum, Activation::Relu))
}
