use crate::{EmbeddingModel, EmbeddingNet, Error, Result, Stages};
use candle_core::{DType, Device, Tensor, Var};
use npair_nn::{Mode, Node, Tape, forward, forward_no_grad};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// The head of a network whose backbone is frozen: it takes the backbone's features, computed once by
/// [`EmbeddingNet::extract`], and it alone trains. What it saves is the whole network, which takes images.
///
/// # Shapes
/// (B, F) to (B, D).
///
/// # Examples
/// ```
/// # use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingModel, EmbeddingNet, EmbeddingNetConfig, HeadOnFeatures};
/// # use npair_nn::Mode; use npair_types::Streams; use candle_core::{DType, Device, Tensor}; use std::sync::Arc;
/// let config = EmbeddingNetConfig::new(BackboneConfig::ConvNet(ConvNetConfig { width: 4, ..Default::default() }), 8);
/// let net = Arc::new(EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?);
/// let pixels = Tensor::ones((3, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// let head = HeadOnFeatures::new(net.clone());
/// let by_features = EmbeddingModel::forward(&head, &net.extract(&pixels)?, &Mode::Eval)?;
/// assert_eq!(by_features.to_vec2::<f32>()?, net.forward(&pixels, &Mode::Eval)?.to_vec2::<f32>()?);
/// assert_eq!(head.variables().len(), 2); // weight and bias
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct HeadOnFeatures {
    net: Arc<EmbeddingNet>,
}

impl HeadOnFeatures {
    /// The head of a network, which shares its variables.
    pub fn new(net: Arc<EmbeddingNet>) -> Self {
        Self { net }
    }

    /// The whole network.
    pub fn net(&self) -> &Arc<EmbeddingNet> {
        &self.net
    }

    fn check(&self, features: &Tensor) -> Result<()> {
        match *features.dims() {
            [_, width] if width == self.net.features() => Ok(()),
            ref got => Err(Error::Rows { got: got.to_vec(), width: self.net.features() }),
        }
    }
}

impl EmbeddingModel for HeadOnFeatures {
    fn forward(&self, features: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(features)?;
        let run = |features: &Node, tape: &mut Tape| self.net.run_head(features, tape);
        self.net.finish(match mode {
            Mode::Eval => forward_no_grad(features, &Mode::Eval, run)?,
            Mode::Train { .. } => forward(features, mode, run)?,
        })
    }

    fn forward_no_grad(&self, features: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(features)?;
        self.net.finish(forward_no_grad(features, mode, |features, tape| self.net.run_head(features, tape))?)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.net.varmap().trainable().into_iter().filter(|(name, _)| name.starts_with("head.")).collect()
    }

    fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        EmbeddingModel::tensors(self.net.as_ref())
    }

    fn set_tensors(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        EmbeddingModel::set_tensors(self.net.as_ref(), tensors)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        EmbeddingModel::save(self.net.as_ref(), folder)
    }

    fn name(&self) -> &str {
        self.net.name()
    }

    fn stages(&self) -> Stages {
        Stages::new().then(["head"])
    }

    fn device(&self) -> Device {
        self.net.varmap().device().clone()
    }

    fn dtype(&self) -> DType {
        self.net.varmap().dtype()
    }
}
