//! [`npair_backbones::ConvNext`].

use super::vit::mlp;
use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_backbones::VitGelu;

const EPSILON: f64 = 1e-6;

pub(super) fn features(graph: &mut Graph, images: Value) -> Result<Value> {
    let stem = graph.conv(&images, "stem.0", Step::bare(4))?;
    let mut x = normed(graph, &stem, "stem.1")?;
    for stage in 0..4 {
        let at = format!("stages.{stage}");
        if stage > 0 {
            let before = normed(graph, &x, &format!("{at}.downsample.0"))?;
            x = graph.conv(&before, &format!("{at}.downsample.1"), Step::bare(2))?;
        }
        for number in 0.. {
            let at = format!("{at}.blocks.{number}");
            if !graph.has(&format!("{at}.conv_dw.weight")) {
                break;
            }
            x = block(graph, &x, &at)?;
        }
    }
    let mean = graph.mean(&x)?;
    graph.layer_norm(&mean, "head.norm", EPSILON)
}

/// The norm of every pixel's channels.
fn normed(graph: &mut Graph, x: &Value, name: &str) -> Result<Value> {
    let last = graph.channels_last(x)?;
    let normed = graph.layer_norm(&last, name, EPSILON)?;
    graph.channels_first(&normed)
}

fn block(graph: &mut Graph, x: &Value, at: &str) -> Result<Value> {
    let filtered = graph.conv(x, &format!("{at}.conv_dw"), Step::half(1))?;
    let last = graph.channels_last(&filtered)?;
    let normed = graph.layer_norm(&last, &format!("{at}.norm"), EPSILON)?;
    let made = mlp(graph, &normed, &format!("{at}.mlp"), VitGelu::Exact)?;
    let scaled = graph.layer_scale(&made, at)?;
    let branch = graph.channels_first(&scaled)?;
    graph.sum(x, &branch)
}
