use crate::{
    Backbone, CasiaNet, CasiaNetConfig, ConvNet, ConvNetConfig, ConvNext, ConvNextConfig, DlibFaceNet,
    DlibFaceNetConfig, EfficientNetLite, EfficientNetLiteConfig, EfficientNetLiteKind, GoogLeNet, GoogLeNetConfig,
    GoogLeNetOriginal, GoogLeNetOriginalConfig, InputSpec, MobileNetV3, MobileNetV3Config, MobileNetV3Kind, Preprocess,
    ResNet, ResNetConfig, ResNetDepth, Result, Vit, VitConfig, VitKind,
};
use candle_core::{D, Tensor};
use npair_nn::VarBuilder;
use serde::{Deserialize, Serialize};

/// The version of `config.json` that this build writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// All that is needed to build a network again: the content of `config.json`. Unknown keys are errors.
///
/// ```
/// # use npair_backbones::EmbeddingNetConfig;
/// let text = r#"{"format": 1, "backbone": {"architecture": "conv-net", "width": 32}, "embedding": 16}"#;
/// let config: EmbeddingNetConfig = serde_json::from_str(text).unwrap();
/// assert_eq!(config.backbone.input().size, 28.into());
/// assert!(serde_json::from_str::<EmbeddingNetConfig>(&text.replace("width", "widht")).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingNetConfig {
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
    /// Whether all batch norms keep their running statistics in training, too (their scales and shifts go on training): for
    /// fine-tuning on small batches; no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub frozen_norms: bool,
    /// How images are made into pixels: the data pipeline's own words, carried along.
    #[serde(default)]
    pub preprocess: serde_json::Value,
    /// Anything else that belongs to the network (who trained it, on what), carried along.
    #[serde(default)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl EmbeddingNetConfig {
    /// A network without dropout that gives embeddings of width `embedding` as they are.
    pub fn new(backbone: BackboneConfig, embedding: usize) -> Self {
        let (frozen_norms, preprocess, extra) = Default::default();
        Self { format: FORMAT, backbone, embedding, dropout: 0., output: Output::Raw, frozen_norms, preprocess, extra }
    }
}

/// What stands above a backbone: dropout and a linear layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadConfig {
    /// D, the width of an embedding.
    pub embedding: usize,
    /// Probability of dropout before the linear layer.
    pub dropout: f64,
    /// How embeddings leave the network.
    pub output: Output,
}

impl HeadConfig {
    /// Embeddings of width D as they are, without dropout.
    pub fn of_width(embedding: usize) -> Self {
        Self { embedding, dropout: 0., output: Output::Raw }
    }
}

/// How embeddings leave the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// As the head makes them: the paper's choice, where the norm is held by regularization.
    #[default]
    Raw,
    /// Divided by their Euclidean norm.
    UnitLength,
}

/// Smallest squared norm that an embedding is divided by: keeps the derivative finite for an embedding of zeros.
const SMALLEST_SQUARE: f64 = 1e-24;

impl Output {
    /// Embeddings as they leave the network, of what its last layer made.
    pub(crate) fn apply(self, raw: Tensor) -> Result<Tensor> {
        match self {
            Self::Raw => Ok(raw),
            Self::UnitLength => {
                let norm = (raw.sqr()?.sum_keepdim(D::Minus1)? + SMALLEST_SQUARE)?.sqrt()?;
                Ok(raw.broadcast_div(&norm)?)
            }
        }
    }
}

/// A network from images to features: a table whose key `architecture` chooses it, or that name alone for its usual settings.
///
/// ```
/// # use npair_backbones::BackboneConfig;
/// let config: BackboneConfig = serde_json::from_str(r#"{"architecture": "resnet50", "size": 128}"#).unwrap();
/// assert_eq!(config.input().size, 128.into());
/// assert_eq!(config.architecture(), "resnet50");
/// let config: BackboneConfig = serde_json::from_str(r#""resnet50""#).unwrap();
/// assert_eq!(config.input().size, 224.into());
/// ```
// The derived code reads and writes the table: `word` adds the name alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "architecture", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BackboneConfig {
    /// [`ConvNet`].
    ConvNet(ConvNetConfig),
    /// [`GoogLeNet`], with batch norm.
    #[serde(rename = "googlenet")]
    GoogLeNet(GoogLeNetConfig),
    /// [`GoogLeNetOriginal`], the network of 2014.
    #[serde(rename = "googlenet-original")]
    GoogLeNetOriginal(GoogLeNetOriginalConfig),
    /// [`CasiaNet`].
    CasiaNet(CasiaNetConfig),
    /// [`ResNet`] of 18 layers.
    #[serde(rename = "resnet18")]
    ResNet18(ResNetConfig),
    /// [`ResNet`] of 34 layers.
    #[serde(rename = "resnet34")]
    ResNet34(ResNetConfig),
    /// [`ResNet`] of 50 layers.
    #[serde(rename = "resnet50")]
    ResNet50(ResNetConfig),
    /// [`Vit`], ViT-S/16.
    #[serde(rename = "vit-s16")]
    VitS16(VitConfig),
    /// [`Vit`], ViT-B/16.
    #[serde(rename = "vit-b16")]
    VitB16(VitConfig),
    /// [`Vit`], DINOv2's ViT-S/14.
    #[serde(rename = "dinov2-s14")]
    DinoV2S14(VitConfig),
    /// [`Vit`], DINOv2's ViT-B/14.
    #[serde(rename = "dinov2-b14")]
    DinoV2B14(VitConfig),
    /// [`Vit`], the image tower of CLIP's ViT-B/32.
    #[serde(rename = "clip-b32")]
    ClipB32(VitConfig),
    /// [`Vit`], the image tower of CLIP's ViT-B/16.
    #[serde(rename = "clip-b16")]
    ClipB16(VitConfig),
    /// [`Vit`], the image tower of CLIP's ViT-L/14.
    #[serde(rename = "clip-l14")]
    ClipL14(VitConfig),
    /// [`Vit`], the image tower of SigLIP's ViT-B/16.
    #[serde(rename = "siglip-b16")]
    SigLipB16(VitConfig),
    /// [`ConvNext`], ConvNeXt-T.
    #[serde(rename = "convnext-t")]
    ConvNextT(ConvNextConfig),
    /// [`EfficientNetLite`], the first and smallest network.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0(EfficientNetLiteConfig),
    /// [`EfficientNetLite`], the second network.
    #[serde(rename = "efficientnet-lite1")]
    EfficientNetLite1(EfficientNetLiteConfig),
    /// [`EfficientNetLite`], the third network.
    #[serde(rename = "efficientnet-lite2")]
    EfficientNetLite2(EfficientNetLiteConfig),
    /// [`EfficientNetLite`], the fourth network.
    #[serde(rename = "efficientnet-lite3")]
    EfficientNetLite3(EfficientNetLiteConfig),
    /// [`EfficientNetLite`], the fifth and largest network.
    #[serde(rename = "efficientnet-lite4")]
    EfficientNetLite4(EfficientNetLiteConfig),
    /// [`MobileNetV3`], the small one.
    #[serde(rename = "mobilenetv3-small")]
    MobileNetV3Small(MobileNetV3Config),
    /// [`MobileNetV3`], the large one.
    #[serde(rename = "mobilenetv3-large")]
    MobileNetV3Large(MobileNetV3Config),
    /// [`DlibFaceNet`], a metric embedding of faces.
    #[serde(rename = "dlib-face-net")]
    DlibFaceNet(DlibFaceNetConfig),
}

impl BackboneConfig {
    /// Every architecture with its usual settings.
    pub fn all() -> [Self; 24] {
        [
            Self::ConvNet(Default::default()),
            Self::GoogLeNet(Default::default()),
            Self::GoogLeNetOriginal(Default::default()),
            Self::CasiaNet(Default::default()),
            Self::ResNet18(Default::default()),
            Self::ResNet34(Default::default()),
            Self::ResNet50(Default::default()),
            Self::VitS16(Default::default()),
            Self::VitB16(Default::default()),
            Self::DinoV2S14(Default::default()),
            Self::DinoV2B14(Default::default()),
            Self::ClipB32(Default::default()),
            Self::ClipB16(Default::default()),
            Self::ClipL14(Default::default()),
            Self::SigLipB16(Default::default()),
            Self::ConvNextT(Default::default()),
            Self::EfficientNetLite0(Default::default()),
            Self::EfficientNetLite1(Default::default()),
            Self::EfficientNetLite2(Default::default()),
            Self::EfficientNetLite3(Default::default()),
            Self::EfficientNetLite4(Default::default()),
            Self::MobileNetV3Small(Default::default()),
            Self::MobileNetV3Large(Default::default()),
            Self::DlibFaceNet(Default::default()),
        ]
    }

    /// The architecture's name, as the key `architecture` has it.
    pub fn architecture(&self) -> &'static str {
        match self {
            Self::ConvNet(_) => "conv-net",
            Self::GoogLeNet(_) => "googlenet",
            Self::GoogLeNetOriginal(_) => "googlenet-original",
            Self::CasiaNet(_) => "casia-net",
            Self::ResNet18(_) => "resnet18",
            Self::ResNet34(_) => "resnet34",
            Self::ResNet50(_) => "resnet50",
            Self::VitS16(_) => "vit-s16",
            Self::VitB16(_) => "vit-b16",
            Self::DinoV2S14(_) => "dinov2-s14",
            Self::DinoV2B14(_) => "dinov2-b14",
            Self::ClipB32(_) => "clip-b32",
            Self::ClipB16(_) => "clip-b16",
            Self::ClipL14(_) => "clip-l14",
            Self::SigLipB16(_) => "siglip-b16",
            Self::ConvNextT(_) => "convnext-t",
            Self::EfficientNetLite0(_) => "efficientnet-lite0",
            Self::EfficientNetLite1(_) => "efficientnet-lite1",
            Self::EfficientNetLite2(_) => "efficientnet-lite2",
            Self::EfficientNetLite3(_) => "efficientnet-lite3",
            Self::EfficientNetLite4(_) => "efficientnet-lite4",
            Self::MobileNetV3Small(_) => "mobilenetv3-small",
            Self::MobileNetV3Large(_) => "mobilenetv3-large",
            Self::DlibFaceNet(_) => "dlib-face-net",
        }
    }

    /// The architecture of that name with its usual settings.
    ///
    /// ```
    /// # use npair_backbones::BackboneConfig;
    /// assert_eq!(BackboneConfig::named("casia-net").unwrap().input().channels, 1);
    /// assert!(BackboneConfig::named("casianet").is_none());
    /// ```
    pub fn named(architecture: &str) -> Option<Self> {
        Self::all().into_iter().find(|config| config.architecture() == architecture)
    }

    /// Builds the network below `vb`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if a setting is out of range.
    pub fn build(&self, vb: &VarBuilder) -> Result<Box<dyn Backbone>> {
        Ok(match *self {
            Self::ConvNet(config) => Box::new(ConvNet::new(vb, config)?),
            Self::GoogLeNet(config) => Box::new(GoogLeNet::new(vb, config)?),
            Self::GoogLeNetOriginal(config) => Box::new(GoogLeNetOriginal::new(vb, config)?),
            Self::CasiaNet(config) => Box::new(CasiaNet::new(vb, config)?),
            Self::ResNet18(config) => Box::new(ResNet::new(vb, ResNetDepth::L18, config)?),
            Self::ResNet34(config) => Box::new(ResNet::new(vb, ResNetDepth::L34, config)?),
            Self::ResNet50(config) => Box::new(ResNet::new(vb, ResNetDepth::L50, config)?),
            Self::VitS16(config) => Box::new(Vit::new(vb, VitKind::S16, config)?),
            Self::VitB16(config) => Box::new(Vit::new(vb, VitKind::B16, config)?),
            Self::DinoV2S14(config) => Box::new(Vit::new(vb, VitKind::DinoV2S14, config)?),
            Self::DinoV2B14(config) => Box::new(Vit::new(vb, VitKind::DinoV2B14, config)?),
            Self::ClipB32(config) => Box::new(Vit::new(vb, VitKind::ClipB32, config)?),
            Self::ClipB16(config) => Box::new(Vit::new(vb, VitKind::ClipB16, config)?),
            Self::ClipL14(config) => Box::new(Vit::new(vb, VitKind::ClipL14, config)?),
            Self::SigLipB16(config) => Box::new(Vit::new(vb, VitKind::SigLipB16, config)?),
            Self::ConvNextT(config) => Box::new(ConvNext::new(vb, config)?),
            Self::EfficientNetLite0(config) => {
                Box::new(EfficientNetLite::new(vb, EfficientNetLiteKind::Lite0, config)?)
            }
            Self::EfficientNetLite1(config) => {
                Box::new(EfficientNetLite::new(vb, EfficientNetLiteKind::Lite1, config)?)
            }
            Self::EfficientNetLite2(config) => {
                Box::new(EfficientNetLite::new(vb, EfficientNetLiteKind::Lite2, config)?)
            }
            Self::EfficientNetLite3(config) => {
                Box::new(EfficientNetLite::new(vb, EfficientNetLiteKind::Lite3, config)?)
            }
            Self::EfficientNetLite4(config) => {
                Box::new(EfficientNetLite::new(vb, EfficientNetLiteKind::Lite4, config)?)
            }
            Self::MobileNetV3Small(config) => Box::new(MobileNetV3::new(vb, MobileNetV3Kind::Small, config)?),
            Self::MobileNetV3Large(config) => Box::new(MobileNetV3::new(vb, MobileNetV3Kind::Large, config)?),
            Self::DlibFaceNet(config) => Box::new(DlibFaceNet::new(vb, config)?),
        })
    }

    /// How pictures were made into pixels for the weights that the architecture was published with; none for a network that
    /// takes other than RGB.
    ///
    /// ```
    /// # use npair_backbones::BackboneConfig;
    /// let pretraining = BackboneConfig::named("efficientnet-lite0").unwrap().pretraining().unwrap();
    /// assert_eq!((pretraining.mean[0], pretraining.std[0]), (127. / 255., 128. / 255.));
    /// assert!(BackboneConfig::named("conv-net").unwrap().pretraining().is_none());
    /// ```
    pub fn pretraining(&self) -> Option<Preprocess> {
        (self.input().channels == 3).then(|| Preprocess::published(self.architecture()))
    }

    /// The sizes of images, in pixels, that the network takes are multiples of this: of the patch for a vision transformer, else 1.
    ///
    /// ```
    /// # use npair_backbones::BackboneConfig;
    /// let step = |name: &str| BackboneConfig::named(name).map(|config| config.size_step());
    /// assert_eq!((step("dinov2-s14"), step("clip-b32"), step("resnet50")), (Some(14), Some(32), Some(1)));
    /// ```
    pub fn size_step(&self) -> usize {
        match self {
            Self::VitS16(_) => VitKind::S16.patch(),
            Self::VitB16(_) => VitKind::B16.patch(),
            Self::DinoV2S14(_) => VitKind::DinoV2S14.patch(),
            Self::DinoV2B14(_) => VitKind::DinoV2B14.patch(),
            Self::ClipB32(_) => VitKind::ClipB32.patch(),
            Self::ClipB16(_) => VitKind::ClipB16.patch(),
            Self::ClipL14(_) => VitKind::ClipL14.patch(),
            Self::SigLipB16(_) => VitKind::SigLipB16.patch(),
            _ => 1,
        }
    }

    /// The images that the network takes.
    pub fn input(&self) -> InputSpec {
        let (channels, size) = match self {
            Self::ConvNet(config) => (config.channels, config.size),
            Self::CasiaNet(config) => (config.channels, config.size),
            Self::GoogLeNet(config) => (3, config.size),
            Self::GoogLeNetOriginal(config) => (3, config.size),
            Self::ResNet18(config) | Self::ResNet34(config) | Self::ResNet50(config) => (3, config.size),
            Self::VitS16(config)
            | Self::VitB16(config)
            | Self::DinoV2S14(config)
            | Self::DinoV2B14(config)
            | Self::ClipB32(config)
            | Self::ClipB16(config)
            | Self::ClipL14(config)
            | Self::SigLipB16(config) => (3, config.size),
            Self::ConvNextT(config) => (3, config.size),
            Self::EfficientNetLite0(config)
            | Self::EfficientNetLite1(config)
            | Self::EfficientNetLite2(config)
            | Self::EfficientNetLite3(config)
            | Self::EfficientNetLite4(config) => (3, config.size),
            Self::MobileNetV3Small(config) | Self::MobileNetV3Large(config) => (3, config.size),
            Self::DlibFaceNet(config) => (3, config.size),
        };
        InputSpec { channels, size }
    }
}
