//! [`npair_backbones::GoogLeNet`] and [`npair_backbones::GoogLeNetOriginal`].

use super::{TENSORFLOW_EPSILON, pooled};
use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_backbones::GoogLeNetConfig;
use npair_nn::{Activation, PoolConfig};

/// Modules by stage; a pool halves the map before the first of stages 4 and 5.
const STAGES: [&[&str]; 3] = [&["3a", "3b"], &["4a", "4b", "4c", "4d", "4e"], &["5a", "5b"]];

/// Pixels that were normalized with ImageNet's means and deviations, and those of 0.5 and 0.5 that torchvision's weights want.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f64; 3] = [0.229, 0.224, 0.225];

pub(super) fn with_norms(graph: &mut Graph, config: &GoogLeNetConfig, images: Value) -> Result<Value> {
    let x = match config.transform_input {
        true => graph.affine(&images, &DEVIATION.map(|d| d / 0.5), &MEAN.map(|m| (m - 0.5) / 0.5))?,
        false => images,
    };
    let x = unit(graph, &x, "conv1", Step::half(2))?;
    let x = graph.max_pool(&x, halving())?;
    let x = unit(graph, &x, "conv2", Step::ONE)?;
    let x = unit(graph, &x, "conv3", Step::half(1))?;
    let x = graph.max_pool(&x, halving())?;
    let x = modules(graph, x, PoolConfig::square(2).ceil())?;
    pooled(graph, &x, config.pooling)
}

pub(super) fn original(graph: &mut Graph, images: Value) -> Result<Value> {
    let response = |graph: &mut Graph, x: &Value| graph.response_norm(x, 5, 1e-4, 0.75);
    let x = unit(graph, &images, "conv1", Step::half(2))?;
    let x = graph.max_pool(&x, halving())?;
    let x = response(graph, &x);
    let x = unit(graph, &x, "conv2", Step::ONE)?;
    let x = unit(graph, &x, "conv3", Step::half(1))?;
    let x = response(graph, &x);
    let x = graph.max_pool(&x, halving())?;
    let x = modules(graph, x, halving())?;
    graph.mean(&x)
}

fn halving() -> PoolConfig {
    PoolConfig::square(3).stride(2).ceil()
}

/// The nine modules and the pools between their stages.
fn modules(graph: &mut Graph, images: Value, last_pool: PoolConfig) -> Result<Value> {
    let mut x = images;
    for (stage, names) in STAGES.iter().enumerate() {
        match stage {
            0 => {}
            1 => x = graph.max_pool(&x, halving())?,
            _ => x = graph.max_pool(&x, last_pool)?,
        }
        for name in *names {
            x = inception(graph, &x, &format!("inception{name}"))?;
        }
    }
    Ok(x)
}

/// Four branches side by side.
fn inception(graph: &mut Graph, x: &Value, at: &str) -> Result<Value> {
    let single = unit(graph, x, &format!("{at}.branch1"), Step::ONE)?;
    let mut branches = vec![single];
    for branch in ["branch2", "branch3"] {
        let reduced = unit(graph, x, &format!("{at}.{branch}.0"), Step::ONE)?;
        branches.push(unit(graph, &reduced, &format!("{at}.{branch}.1"), Step::half(1))?);
    }
    let pool = graph.max_pool(x, PoolConfig::square(3).stride(1).padding(1).ceil())?;
    branches.push(unit(graph, &pool, &format!("{at}.branch4.1"), Step::ONE)?);
    graph.concat(&branches)
}

/// Convolution, the norm if there is one, ReLU.
fn unit(graph: &mut Graph, x: &Value, at: &str, step: Step) -> Result<Value> {
    let (conv, norm) = (format!("{at}.conv"), format!("{at}.bn"));
    if graph.has(&format!("{norm}.weight")) {
        return graph.unit(x, [&conv, &norm], step, TENSORFLOW_EPSILON, Activation::Relu);
    }
    let map = graph.conv(x, &conv, step)?;
    Ok(graph.activation(&map, Activation::Relu))
}
