use crate::{Backbone, Error, InputSpec, ModelConfig, Output, Result};
use candle_core::{D, DType, Device, Tensor};
use npair_nn::{
    Dropout, Init, Layer, Linear, Mode, Params, Pass, ToChannelsLast, Value, differentiable, infer, rehearse,
};
use npair_types::Streams;

/// Smallest squared norm that an embedding is divided by: keeps the derivative finite for an embedding of zeros.
const SMALLEST_SQUARE: f64 = 1e-24;

/// A backbone and a linear head: images to embeddings.
///
/// # Shapes    (B, C, H, W) to (B, D).
///
/// ```
/// # use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet, ModelConfig}; use npair_nn::Mode;
/// # use npair_types::Streams; use candle_core::{DType, Device, Tensor};
/// let config = ModelConfig::new(BackboneConfig::ConvNet(ConvNetConfig { width: 4, ..Default::default() }), 8);
/// let net = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
/// let pixels = Tensor::zeros((3, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&pixels, &Mode::Eval)?.dims(), [3, 8]);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
pub struct EmbeddingNet {
    config: ModelConfig,
    params: Params,
    backbone: Box<dyn Backbone>,
    dropout: Dropout,
    head: Linear,
}

impl EmbeddingNet {
    /// The network of `config`, its first weights drawn from `streams`: parameters `backbone.*` and `head.*`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(config: ModelConfig, streams: Streams, dtype: DType, device: &Device) -> Result<Self> {
        if config.embedding == 0 {
            let want = "an embedding needs at least one dimension".to_owned();
            return Err(Error::Setting { name: "embedding", got: "0".to_owned(), want });
        }
        let params = Params::new(streams, dtype, device);
        let root = params.root();
        let backbone = config.backbone.build(&root.child("backbone"))?;
        let dropout = Dropout::new(&root.child("dropout"), config.dropout)?;
        // So small that inner products of embeddings start at about 1: an N-pair loss that starts far above log N spends its
        // first hundreds of steps on shrinking norms.
        let (features, width) = (backbone.features() as f64, config.embedding as f64);
        let init = Init::Normal((features * width.sqrt()).sqrt().recip());
        let head = Linear::with_init(&root.child("head"), backbone.features(), config.embedding, true, init)?;
        Ok(Self { config, params, backbone, dropout, head })
    }

    /// Embeddings of images. In training candle can differentiate them, once; in evaluation nothing is kept for that.
    ///
    /// # Errors
    /// [`Error::Input`] if the images are not those that [`Self::input`] asks for.
    pub fn forward(&self, pixels: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(pixels)?;
        let run = |pixels: &Value, pass: &mut Pass| self.run(pixels, pass);
        self.finish(match mode {
            Mode::Eval => infer(pixels, run)?,
            Mode::Train { .. } => differentiable(pixels, mode, run)?,
        })
    }

    /// Embeddings to the bit as [`forward`](Self::forward) gives them in this mode, of which nothing is kept: neither for
    /// gradients nor in running statistics.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn rehearse(&self, pixels: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(pixels)?;
        self.finish(rehearse(pixels, mode, |pixels, pass| self.run(pixels, pass))?)
    }

    fn check(&self, pixels: &Tensor) -> Result<()> {
        let &[_, channels, height, width] = pixels.dims() else {
            let InputSpec { channels, size } = self.input();
            return Err(Error::Input { got: pixels.dims().to_vec(), channels, size });
        };
        let wanted = self.input();
        if (channels, height, width) != (wanted.channels, wanted.size, wanted.size) {
            return Err(Error::Input { got: pixels.dims().to_vec(), channels: wanted.channels, size: wanted.size });
        }
        Ok(())
    }

    fn run(&self, pixels: &Value, pass: &mut Pass) -> npair_nn::Result<Value> {
        let images = ToChannelsLast.forward(pixels, pass)?;
        let features = self.backbone.forward(&images, pass).map_err(candle_core::Error::from)?;
        self.head.forward(&self.dropout.forward(&features, pass)?, pass)
    }

    fn finish(&self, raw: Tensor) -> Result<Tensor> {
        match self.config.output {
            Output::Raw => Ok(raw),
            Output::UnitLength => {
                let norm = (raw.sqr()?.sum_keepdim(D::Minus1)? + SMALLEST_SQUARE)?.sqrt()?;
                Ok(raw.broadcast_div(&norm)?)
            }
        }
    }

    /// The settings.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// D, the width of an embedding.
    pub fn embedding(&self) -> usize {
        self.config.embedding
    }

    /// F, the width of the features below the head.
    pub fn features(&self) -> usize {
        self.backbone.features()
    }

    /// The images that the network takes.
    pub fn input(&self) -> InputSpec {
        self.backbone.input()
    }
}

impl std::fmt::Debug for EmbeddingNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingNet").field("config", &self.config).finish_non_exhaustive()
    }
}
