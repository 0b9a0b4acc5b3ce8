//! Random weights in which nothing is 0 or 1 that a new network has so.

use candle_core::{Device, Result, Tensor};
use npair_types::{Purpose, Streams};
use rand::Rng;
use std::collections::{BTreeMap, HashMap};

/// What becomes of a new network's weight.
enum Kind {
    /// Uniform in a range.
    Between(f32, f32),
    /// Multiplied.
    Times(f32),
}

fn kind(name: &str, tensor: &Tensor) -> Kind {
    let part = name.rsplit('.').next().unwrap_or(name);
    match part {
        "running_mean" => Kind::Between(-0.5, 0.5),
        // A little above 1: with smaller ones a deep network multiplies rounding errors by a hundred on its way up, and with larger
        // ones nothing of an image is left at its end (the check looks at both).
        "running_var" => Kind::Between(0.7, 1.7),
        "gamma" => Kind::Between(0.2, 0.6),
        "p" => Kind::Between(2.2, 2.8),
        "bias" => Kind::Between(-0.1, 0.1),
        // Tokens so small that a norm's epsilon is seen in what it makes of them.
        "weight" if name.contains("patch_embed.") || name.contains("stem.0.") => Kind::Times(0.05),
        "latent" => Kind::Times(20.),
        // A norm's.
        "weight" if tensor.rank() == 1 => Kind::Between(0.5, 1.5),
        _ => Kind::Times(1.),
    }
}

/// New values for all of a new network's weights.
pub fn shaken(tensors: BTreeMap<String, Tensor>) -> Result<HashMap<String, Tensor>> {
    let mut rng = Streams::new(3).open(Purpose::Synthesis, [0, 0]);
    let mut shake = |(name, tensor): (String, Tensor)| {
        let shaken = match kind(&name, &tensor) {
            Kind::Times(factor) => (&tensor * f64::from(factor))?,
            Kind::Between(from, to) => {
                let values: Vec<f32> = (0..tensor.elem_count()).map(|_| rng.random_range(from..to)).collect();
                Tensor::from_vec(values, tensor.shape(), &Device::Cpu)?
            }
        };
        Ok((name, shaken))
    };
    tensors.into_iter().map(&mut shake).collect()
}
