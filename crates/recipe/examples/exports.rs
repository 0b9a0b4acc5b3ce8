//! Exports every architecture for PyTorch, with weights drawn at random, to folders of their own:
//!
//! ```sh
//! cargo run --release -p npair-recipe --example exports -- DIR
//! for folder in DIR/*; do python $folder/load.py; done
//! ```

use candle_core::{DType, Device, Tensor};
use npair_backbones::{BackboneConfig, EmbeddingNet, EmbeddingNetConfig, Output, VectorNet, VectorNetConfig};
use npair_recipe::export::{Beside, Exportable, to_hub, to_torch};
use npair_types::{ChaCha8Rng, Purpose, Streams};
use rand::Rng;
use std::collections::HashMap;
use std::path::Path;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let folder = std::env::args().nth(1).ok_or("give the folder that the exports are written to")?;
    let folder = Path::new(&folder);
    for backbone in BackboneConfig::all() {
        let name = backbone.architecture();
        let mut config = EmbeddingNetConfig::new(sized(backbone)?, 16);
        if name.ends_with("b16") {
            config.output = Output::UnitLength;
        }
        let net = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
        shake(&net)?;
        to_torch(&Exportable::Pictures(net), &folder.join(name))?;
    }
    let config = VectorNetConfig { hidden: vec![32, 24], ..VectorNetConfig::linear(20, 8) };
    let net = VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
    Ok(to_hub(&Exportable::Vectors(net), &Beside::default(), &folder.join("vector-net"))?)
}

/// At a size that is not the published one, and so small that it takes no time.
fn sized(backbone: BackboneConfig) -> Result<BackboneConfig, Failed> {
    let size = match backbone.architecture() {
        "conv-net" | "casia-net" => return Ok(backbone),
        name if name.starts_with("dinov2") || name == "clip-l14" => 70,
        "dlib-face-net" => 110,
        _ => 96,
    };
    let mut value = serde_json::to_value(backbone)?;
    value["size"] = size.into();
    Ok(serde_json::from_value(value)?)
}

/// Moves what begins as 0 or 1, or nearly: nothing is to agree because it does nothing.
fn shake(net: &EmbeddingNet) -> Result<(), Failed> {
    let mut rng: ChaCha8Rng = Streams::new(2).open(Purpose::Evaluation, [0, 0]);
    let mut moved = HashMap::new();
    for (name, tensor) in net.varmap().tensors()? {
        let tensor = match tensor.rank() {
            1 => {
                let noise: Vec<f32> = (0..tensor.elem_count()).map(|_| 0.2 * rng.random::<f32>()).collect();
                let noise = Tensor::from_vec(noise, tensor.dims(), &Device::Cpu)?;
                (tensor + noise)?
            }
            _ => tensor,
        };
        moved.insert(name, tensor);
    }
    Ok(net.varmap().load(&moved)?)
}
