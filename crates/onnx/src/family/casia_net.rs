//! [`npair_backbones::CasiaNet`].

use crate::Result;
use crate::graph::{Graph, Step, Value};
use npair_nn::{Activation, PoolConfig};

const STAGES: usize = 5;

pub(super) fn features(graph: &mut Graph, images: Value) -> Result<Value> {
    let mut x = images;
    for stage in 1..=STAGES {
        if stage > 1 {
            x = graph.max_pool(&x, PoolConfig::square(2).ceil())?;
        }
        for place in 1..=2 {
            x = graph.conv(&x, &format!("conv{stage}{place}"), Step::half(1))?;
            // None behind the last.
            if (stage, place) != (STAGES, 2) {
                x = graph.activation(&x, Activation::Relu);
            }
        }
    }
    graph.mean(&x)
}
