//! Trained embedding networks as ONNX files: [`onnx`] for a network of pictures, [`onnx_of_vectors`] for one of vectors.
//!
//! | what | how |
//! |---|---|
//! | operators | ONNX's own, of opset [`OPSET`]; f32 |
//! | in | `images` (batch, C, H, W), pixels normalised as the network was trained with; `vectors` (batch, F) |
//! | out | `embeddings` (batch, D), of unit length if the network gives such |
//! | batch | of any size; height and width are fixed in the file |
//! | weights | within the file, by the network's names; those of linear layers over tokens lie transposed, as `NAME.transposed` |
//! | mode | evaluation: running statistics, no dropout, no branch left out |
//!
//! A transformer's position embedding that is for another grid than the image's is interpolated once, when the file is made, by
//! the network's own layer; with it lies the class token, already added, as `backbone.pos_embed.GxG`.
//!
//! A file is made of bytes, and writing them is the caller's. The same network gives the same bytes. Every weight of a network has
//! to find its place in the graph exactly once; what is left over or missing is an error.
//!
//! A room in `family` holds the graph of a family of networks, in the words of `graph`.
#![forbid(unsafe_code)]

mod error;
mod family;
mod graph;
mod proto;
mod weights;

pub use error::{Error, Result};

use graph::Graph;
use npair_backbones::{EmbeddingNet, Output, VectorNet};
use npair_nn::Activation;

/// The version of ONNX's set of operators that the files ask for.
pub const OPSET: i64 = 17;

/// The file of a network of pictures. `facts` become its `metadata_props`: how pixels are normalised, what it was trained on.
///
/// # Shapes
/// In the file, `images` (batch, C, H, W) to `embeddings` (batch, D).
///
/// # Numerics
/// In f32, whatever the network's number type. A runtime sums in another order than the network does.
///
/// # Errors
/// [`Error::Architecture`] for a network over a backbone that has no settings of ours, [`Error::Large`] for one of 2 GiB or more,
/// [`Error::Fact`] if two facts have one name.
///
/// # Examples
/// ```
/// # use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig};
/// # use npair_types::Streams; use candle_core::{DType, Device};
/// let config = EmbeddingNetConfig::new(BackboneConfig::ConvNet(ConvNetConfig { width: 4, ..Default::default() }), 8);
/// let net = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
/// let bytes = npair_onnx::onnx(&net, &[("trained on".to_owned(), "omniglot".to_owned())])?;
/// assert_eq!(bytes, npair_onnx::onnx(&net, &[("trained on".to_owned(), "omniglot".to_owned())])?);
/// # Ok::<(), npair_onnx::Error>(())
/// ```
pub fn onnx(net: &EmbeddingNet, facts: &[(String, String)]) -> Result<Vec<u8>> {
    let Some(config) = net.config() else {
        return Err(Error::Architecture { name: net.name().to_owned() });
    };
    let input = net.input();
    let (mut graph, images) = Graph::new(net.varmap().tensors()?, "images", &input.dims())?;
    graph.set_prefix("backbone.");
    let features = family::features(&mut graph, &config.backbone, images)?;
    graph.set_prefix("");
    let raw = graph.linear(&features, "head")?;
    let embeddings = finished(&mut graph, raw, config.output);
    graph.file(net.name(), embeddings, "embeddings", facts)
}

/// The file of a network of vectors, as [`onnx`] makes that of one of pictures.
///
/// # Shapes
/// In the file, `vectors` (batch, F) to `embeddings` (batch, D).
///
/// # Errors
/// Those of [`onnx`].
///
/// # Examples
/// ```
/// # use npair_backbones::{VectorNet, VectorNetConfig}; use npair_types::Streams; use candle_core::{DType, Device};
/// let net = VectorNet::new(VectorNetConfig::linear(100, 16), Streams::new(1), DType::F32, &Device::Cpu)?;
/// assert!(npair_onnx::onnx_of_vectors(&net, &[])?.len() > 4 * net.varmap().count());
/// # Ok::<(), npair_onnx::Error>(())
/// ```
pub fn onnx_of_vectors(net: &VectorNet, facts: &[(String, String)]) -> Result<Vec<u8>> {
    let config = net.config();
    let (mut graph, mut x) = Graph::new(net.varmap().tensors()?, "vectors", &[config.input])?;
    for at in 0..config.hidden.len() {
        let hidden = graph.linear(&x, &format!("hidden.{at}"))?;
        x = graph.activation(&hidden, Activation::Relu);
    }
    let raw = graph.linear(&x, "head")?;
    let embeddings = finished(&mut graph, raw, config.output);
    graph.file("vector-net", embeddings, "embeddings", facts)
}

/// Embeddings as they leave a network.
fn finished(graph: &mut Graph, raw: graph::Value, output: Output) -> graph::Value {
    match output {
        Output::Raw => raw,
        Output::UnitLength => graph.unit_length(&raw),
    }
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
