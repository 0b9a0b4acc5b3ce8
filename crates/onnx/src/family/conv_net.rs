//! [`npair_backbones::ConvNet`].

use super::EPSILON;
use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_nn::{Activation, PoolConfig};

pub(super) fn features(graph: &mut Graph, images: Value) -> Result<Value> {
    let mut x = images;
    for number in 1.. {
        let (conv, norm) = (format!("block{number}.conv"), format!("block{number}.norm"));
        if !graph.has(&format!("{conv}.weight")) {
            break;
        }
        x = graph.unit(&x, [&conv, &norm], Step::half(1), EPSILON, Activation::Relu)?;
        x = graph.max_pool(&x, PoolConfig::square(2))?;
    }
    Ok(graph.flatten(&x))
}
