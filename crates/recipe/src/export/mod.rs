//! A trained network as other programs read it: a folder as the Hub has them, with a card, thresholds, a loader for PyTorch, and the
//! numbers that prove that it computes the same there.

mod card;
mod loader;

pub use card::Card;

use crate::{Error, LearnedVerifier, Result};
use candle_core::Tensor;
use npair_backbones::{EmbeddingModel, EmbeddingNet, Mode, VectorNet};
use npair_evaluate::write_file;
use npair_types::{Purpose, Streams};
use std::collections::BTreeMap;
use std::path::Path;

/// Examples that the proof is of.
const PROVED: usize = 3;

/// A network that can be exported.
pub enum Exportable {
    /// Of pictures.
    Pictures(EmbeddingNet),
    /// Of vectors.
    Vectors(VectorNet),
}

impl Exportable {
    fn model(&self) -> &dyn EmbeddingModel {
        match self {
            Self::Pictures(net) => net,
            Self::Vectors(net) => net,
        }
    }

    /// Shape of one example that it takes.
    fn example(&self) -> Vec<usize> {
        match self {
            Self::Pictures(net) => net.input().dims().to_vec(),
            Self::Vectors(net) => vec![net.config().input],
        }
    }
}

/// What lies beside the weights in an exported folder.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// What is known of the network.
    pub card: Option<Card<'a>>,
    /// Its thresholds.
    pub verifier: Option<&'a LearnedVerifier>,
}

/// Writes a network to a new folder as the Hub has them: `config.json`, `model.safetensors`, a card (`README.md`), `thresholds.json`,
/// a loader for PyTorch (`load.py`) and `check.safetensors`, examples with the embeddings that they have.
///
/// # Errors
/// If a file cannot be written; [`Error::Setting`] for a network that PyTorch has no counterpart of.
pub fn to_hub(net: &Exportable, beside: &Beside<'_>, folder: &Path) -> Result<()> {
    net.model().save(folder)?;
    proof(net, folder)?;
    write_file(&folder.join("load.py"), loader::of(net)?.as_bytes())?;
    if let Some(card) = &beside.card {
        write_file(&folder.join("README.md"), card.text(net).as_bytes())?;
    }
    beside.verifier.map_or(Ok(()), |verifier| verifier.write(folder))
}

/// Writes a network to a new folder for PyTorch: `backbone.safetensors` by timm's or torchvision's names, `head.safetensors`, and the
/// loader and the proof of [`to_hub`].
///
/// # Errors
/// Those of [`to_hub`].
pub fn to_torch(net: &Exportable, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let (mut backbone, mut head) = (BTreeMap::new(), BTreeMap::new());
    for (name, tensor) in net.model().tensors()? {
        match (name.strip_prefix("backbone."), name.strip_prefix("head.")) {
            (Some(plain), _) => drop(backbone.insert(plain.to_owned(), tensor)),
            (_, Some(plain)) => drop(head.insert(plain.to_owned(), tensor)),
            // Of vectors: hidden layers.
            _ => drop(backbone.insert(name, tensor)),
        }
    }
    for (name, tensors) in [("backbone.safetensors", &backbone), ("head.safetensors", &head)] {
        write_tensors(&folder.join(name), tensors)?;
    }
    proof(net, folder)?;
    Ok(write_file(&folder.join("load.py"), loader::of(net)?.as_bytes())?)
}

/// Writes a network to a new folder as `model.onnx` (opset 17, batches of any size), with the proof of [`to_hub`].
///
/// # Errors
/// If a file cannot be written.
pub fn to_onnx(net: &Exportable, facts: &[(String, String)], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
    let bytes = match net {
        Exportable::Pictures(net) => npair_onnx::onnx(net, facts)?,
        Exportable::Vectors(net) => npair_onnx::onnx_of_vectors(net, facts)?,
    };
    write_file(&folder.join("model.onnx"), &bytes)?;
    proof(net, folder)?;
    Ok(write_file(&folder.join("load.py"), ONNX_LOADER.as_bytes())?)
}

/// What proves an ONNX file.
const ONNX_LOADER: &str = r#""""Loads this network in ONNX Runtime: `load()`; run as a program it proves that embeddings are the same."""

import pathlib

import numpy
import onnxruntime
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).parent

def load():
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda examples: session.run(None, {name: numpy.asarray(examples, numpy.float32)})[0]

if __name__ == "__main__":
    known = load_file(HERE / "check.safetensors")
    found = load()(known["images"])
    error = abs(found - known["embeddings"]).max() / abs(known["embeddings"]).max()
    print(f"{len(found)} embeddings, the largest difference {error:.1e} of the largest value")
    # Rounding in f32, which deep networks multiply; what computes something else is off by much more.
    raise SystemExit(bool(error > 1e-4))
"#;

fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::file(path, e))?;
    Ok(write_file(path, &bytes)?)
}

/// Examples of normal values, and what the network makes of them.
fn proof(net: &Exportable, folder: &Path) -> Result<()> {
    let shape: Vec<usize> = [PROVED].into_iter().chain(net.example()).collect();
    let mut rng = Streams::new(0).open(Purpose::Evaluation, [14, 0]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| normal(&mut rng)).collect();
    let images = Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?;
    let embeddings = net.model().forward(&images, &Mode::Eval)?;
    let tensors = [("images", images), ("embeddings", embeddings)];
    write_tensors(&folder.join("check.safetensors"), &tensors.map(|(n, t)| (n.to_owned(), t)).into())
}

/// A normal value (Box and Muller).
fn normal(rng: &mut npair_types::ChaCha8Rng) -> f32 {
    use rand::Rng;
    let [u, v]: [f64; 2] = [rng.random(), rng.random()];
    ((-2. * u.max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
}
