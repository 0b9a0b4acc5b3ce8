use crate::{Backbone, ConvNet, ConvNetConfig, Result};
use npair_nn::Path;
use serde::{Deserialize, Serialize};

/// The version of `config.json` that this build writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// All that is needed to build a network again: the content of `config.json`. Unknown keys are errors.
///
/// ```
/// # use npair_backbones::ModelConfig;
/// let text = r#"{"format": 1, "backbone": {"architecture": "conv-net", "width": 32}, "embedding": 16}"#;
/// let config: ModelConfig = serde_json::from_str(text).unwrap();
/// assert_eq!(config.backbone.input().size, 28);
/// assert!(serde_json::from_str::<ModelConfig>(&text.replace("width", "widht")).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Version of this format.
    pub format: u32,
    /// The network below the head.
    pub backbone: BackboneConfig,
    /// D, the width of an embedding.
    pub embedding: usize,
    /// Probability of dropout before the head; 0.
    #[serde(default)]
    pub dropout: f64,
    /// How embeddings leave the network; as they are.
    #[serde(default)]
    pub output: Output,
    /// How images are made into pixels: the data pipeline's own words, carried along.
    #[serde(default)]
    pub preprocess: serde_json::Value,
    /// Anything else that belongs to the network (who trained it, on what), carried along.
    #[serde(default)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl ModelConfig {
    /// A network without dropout that gives embeddings of width `embedding` as they are.
    pub fn new(backbone: BackboneConfig, embedding: usize) -> Self {
        let (preprocess, extra) = Default::default();
        Self { format: FORMAT, backbone, embedding, dropout: 0., output: Output::Raw, preprocess, extra }
    }
}

/// How embeddings leave the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// As the head makes them: the paper's choice, where the norm is held by regularisation.
    #[default]
    Raw,
    /// Divided by their Euclidean norm.
    UnitLength,
}

/// A network from images to features, chosen by the key `architecture`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BackboneConfig {
    /// [`ConvNet`].
    ConvNet(ConvNetConfig),
}

impl BackboneConfig {
    /// Builds the network below `path`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if a setting is out of range.
    pub fn build(&self, path: &Path) -> Result<Box<dyn Backbone>> {
        match self {
            Self::ConvNet(config) => Ok(Box::new(ConvNet::new(path, *config)?)),
        }
    }

    /// The images that the network takes.
    pub fn input(&self) -> crate::InputSpec {
        match self {
            Self::ConvNet(config) => crate::InputSpec { channels: config.channels, size: config.size },
        }
    }
}
