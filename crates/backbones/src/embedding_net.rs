use crate::{Backbone, EmbeddingNetConfig, Error, HeadConfig, InputSpec, Result, Stages};
use candle_core::{DType, Device, Tensor};
use npair_nn::{
    Dropout, Init, Layer, Linear, Mode, Node, Tape, ToChannelsLast, VarBuilder, VarMap, forward, forward_no_grad,
};
use npair_types::Streams;

/// A backbone and a linear head: images to embeddings. The backbone is a built-in one, by its settings, or
/// [any other](Self::over).
///
/// # Shapes
/// (B, C, H, W) to (B, D).
///
/// # Examples
/// ```
/// # use npair_backbones::{BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig}; use npair_nn::Mode;
/// # use npair_types::Streams; use candle_core::{DType, Device, Tensor};
/// let config = EmbeddingNetConfig::new(BackboneConfig::ConvNet(ConvNetConfig { width: 4, ..Default::default() }), 8);
/// let net = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
/// let pixels = Tensor::zeros((3, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(net.forward(&pixels, &Mode::Eval)?.dims(), [3, 8]);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
pub struct EmbeddingNet {
    name: String,
    head_config: HeadConfig,
    /// None over a backbone that has no settings of ours.
    config: Option<EmbeddingNetConfig>,
    varmap: VarMap,
    backbone: Box<dyn Backbone>,
    dropout: Dropout,
    head: Linear,
}

impl EmbeddingNet {
    /// The network of `config`, its first weights drawn from `streams`: parameters `backbone.*` and `head.*`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(config: EmbeddingNetConfig, streams: Streams, dtype: DType, device: &Device) -> Result<Self> {
        let name = config.backbone.architecture();
        let head = HeadConfig { embedding: config.embedding, dropout: config.dropout, output: config.output };
        let net = Self::over(name, head, VarMap::new(streams, dtype, device), |vb| config.backbone.build(vb))?;
        net.varmap.freeze_norms(config.frozen_norms);
        Ok(Self { config: Some(config), ..net })
    }

    /// A head over any backbone, which `build` makes from the builder that it is given: parameters `backbone.*` and `head.*` of
    /// `params`. `name` is for messages. Such a network saves its weights, but no `config.json`: whoever built the backbone
    /// builds it again.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range, and those of `build`.
    ///
    /// # Examples
    /// ```
    /// # use npair_backbones::{EmbeddingNet, FrozenExtractor, HeadConfig, InputSpec}; use npair_nn::VarMap;
    /// # use npair_types::Streams; use candle_core::{DType, Device, Tensor};
    /// let input = InputSpec { channels: 3, size: 4.into() };
    /// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
    /// let net = EmbeddingNet::over("means", HeadConfig::of_width(2), varmap, |_| {
    ///     Ok(Box::new(FrozenExtractor::new("means", input, 3, |x: &Tensor| x.mean((2, 3)))))
    /// })?;
    /// assert_eq!(net.varmap().trainable().len(), 2); // the head's weight and bias
    /// # Ok::<(), npair_backbones::Error>(())
    /// ```
    pub fn over(
        name: impl Into<String>,
        head: HeadConfig,
        varmap: VarMap,
        build: impl FnOnce(&VarBuilder) -> Result<Box<dyn Backbone>>,
    ) -> Result<Self> {
        if head.embedding == 0 {
            let want = "an embedding needs at least one dimension".to_owned();
            return Err(Error::Setting { name: "embedding", got: "0".to_owned(), want });
        }
        let root = varmap.root();
        let backbone = build(&root.pp("backbone"))?;
        let dropout = Dropout::new(&root.pp("dropout"), head.dropout)?;
        // So small that inner products of embeddings start at about 1: an N-pair loss that starts far above log N spends its
        // first hundreds of steps on shrinking norms.
        let (features, width) = (backbone.features() as f64, head.embedding as f64);
        let init = Init::Normal((features * width.sqrt()).sqrt().recip());
        let linear = Linear::with_init(&root.pp("head"), backbone.features(), head.embedding, true, init)?;
        Ok(Self { name: name.into(), head_config: head, config: None, varmap, backbone, dropout, head: linear })
    }

    /// Embeddings of images. In training candle can differentiate them, once; in evaluation nothing is kept for that.
    ///
    /// # Errors
    /// [`Error::Input`] if the images are not those that [`Self::input`] asks for.
    pub fn forward(&self, pixels: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(pixels)?;
        let run = |pixels: &Node, tape: &mut Tape| self.run(pixels, tape);
        self.finish(match mode {
            Mode::Eval => forward_no_grad(pixels, &Mode::Eval, run)?,
            Mode::Train { .. } => forward(pixels, mode, run)?,
        })
    }

    /// Embeddings to the bit as [`forward`](Self::forward) gives them in this mode, of which nothing is kept: neither for
    /// gradients nor in running statistics.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_no_grad(&self, pixels: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.check(pixels)?;
        self.finish(forward_no_grad(pixels, mode, |pixels, tape| self.run(pixels, tape))?)
    }

    fn check(&self, pixels: &Tensor) -> Result<()> {
        let &[_, channels, height, width] = pixels.dims() else {
            let InputSpec { channels, size } = self.input();
            return Err(Error::Input { got: pixels.dims().to_vec(), channels, size });
        };
        let wanted = self.input();
        if [channels, height, width] != wanted.dims() {
            return Err(Error::Input { got: pixels.dims().to_vec(), channels: wanted.channels, size: wanted.size });
        }
        Ok(())
    }

    fn run(&self, pixels: &Node, tape: &mut Tape) -> npair_nn::Result<Node> {
        let features = self.below_head(pixels, tape)?;
        self.run_head(&features, tape)
    }

    fn below_head(&self, pixels: &Node, tape: &mut Tape) -> npair_nn::Result<Node> {
        let images = ToChannelsLast.record(pixels, tape)?;
        Ok(self.backbone.record(&images, tape).map_err(candle_core::Error::from)?)
    }

    pub(crate) fn run_head(&self, features: &Node, tape: &mut Tape) -> npair_nn::Result<Node> {
        self.head.record(&self.dropout.record(features, tape)?, tape)
    }

    /// Features of images, below the head, as evaluation sees them: constants for gradients.
    ///
    /// # Shapes
    /// (B, C, H, W) to (B, F).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn extract(&self, pixels: &Tensor) -> Result<Tensor> {
        self.check(pixels)?;
        Ok(forward_no_grad(pixels, &Mode::Eval, |pixels, tape| self.below_head(pixels, tape))?)
    }

    pub(crate) fn finish(&self, raw: Tensor) -> Result<Tensor> {
        self.head_config.output.apply(raw)
    }

    /// The settings; none over a backbone that has no settings of ours.
    pub fn config(&self) -> Option<&EmbeddingNetConfig> {
        self.config.as_ref()
    }

    /// What messages call it: the architecture.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters.
    pub fn varmap(&self) -> &VarMap {
        &self.varmap
    }

    /// D, the width of an embedding.
    pub fn embedding(&self) -> usize {
        self.head_config.embedding
    }

    /// F, the width of the features below the head.
    pub fn features(&self) -> usize {
        self.backbone.features()
    }

    /// The images that the network takes.
    pub fn input(&self) -> InputSpec {
        self.backbone.input()
    }

    /// The layers of the backbone in their order, then the head.
    ///
    /// ```
    /// # use npair_backbones::{BackboneConfig, EmbeddingNet, EmbeddingNetConfig};
    /// # use npair_types::Streams; use candle_core::{DType, Device};
    /// let config = EmbeddingNetConfig::new(BackboneConfig::ConvNet(Default::default()), 8);
    /// let net = EmbeddingNet::new(config, Streams::new(1), DType::F32, &Device::Cpu)?;
    /// let stages = net.stages();
    /// assert_eq!((stages.depth_of("backbone.block1.conv.weight"), stages.depth_of("head.bias")), (Some(0), Some(4)));
    /// # Ok::<(), npair_backbones::Error>(())
    /// ```
    pub fn stages(&self) -> Stages {
        self.backbone.stages().below("backbone").then(["head"])
    }
}

impl std::fmt::Debug for EmbeddingNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, head_config, .. } = self;
        f.debug_struct("EmbeddingNet").field("name", name).field("head", head_config).finish_non_exhaustive()
    }
}
