//! Vision transformers.

mod block;
mod ends;
mod kind;

pub(crate) use block::{EPSILON, INIT, Mlp};
pub use kind::{VitGelu, VitKind};

use crate::{Backbone, Error, InputSpec, Result, Stages, size};
use block::{Block, Gelus};
use ends::{Features, Tokens};
use kind::Plan;
use npair_nn::{Node, Tape, VarBuilder};
use npair_types::ImageSize;
use serde::{Deserialize, Serialize};

/// Settings of [`Vit`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    /// Height and width of an image in pixels, a multiple of the patch, up to 4,096; 224.
    pub size: ImageSize,
    /// Size of the images that the stored position embedding is for; unless given, that of the published weights (224
    /// for ViT, CLIP and SigLIP, 518 for DINOv2). For images of another size it is interpolated in every pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_size: Option<u32>,
    /// Probability with which the last block's branches are left out in training; it grows from 0 at the first block;
    /// 0.
    pub drop_path: f64,
    /// The GELU of the blocks; unless given, that of the published weights (exact for ViT and DINOv2, OpenAI's quick one for
    /// CLIP, by tanh for SigLIP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gelu: Option<VitGelu>,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self { size: ImageSize::square(224), position_size: None, drop_path: 0., gelu: None }
    }
}

/// A vision transformer: patches as tokens, behind a class token but for SigLIP, and blocks of attention and MLP. The features are
/// the class token behind the last norm; SigLIP's are what a learned query finds among all tokens.
///
/// # Shapes
/// (B, H, W, 3) to (B, 384), or (B, 768) for the base and (B, 1024) for the large ones. Parameters are named as timm names
/// them (`blocks.0.attn.qkv.weight`); those of transformers are read too. What CLIP projects its features with, to compare them with
/// texts, is left out.
///
/// # Numerics
/// An interpolated position embedding is timm's (`dynamic_img_size`): bicubic, antialiased.
///
/// # Source
/// Dosovitskiy et al., ICLR 2021; Touvron et al., ICML 2021 (the small one); Oquab et al., 2023 (DINOv2); Radford et al., ICML 2021
/// (CLIP); Zhai et al., ICCV 2023 (SigLIP).
///
/// ```
/// # use npair_backbones::{Backbone, Vit, VitConfig, VitKind}; use npair_nn::VarMap; use npair_types::Streams;
/// # use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = Vit::new(&varmap.root(), VitKind::S16, VitConfig::default())?;
/// // timm's 22,050,664 without the classifier's 385,000.
/// assert_eq!((net.features(), varmap.count()), (384, 21_665_664));
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// let net = Vit::new(&varmap.root(), VitKind::B16, VitConfig::default())?;
/// // 86,567,656 without 769,000.
/// assert_eq!((net.features(), varmap.count()), (768, 85_798_656));
/// # Ok::<(), npair_backbones::Error>(())
/// ```
#[derive(Debug)]
pub struct Vit {
    size: ImageSize,
    width: usize,
    tokens: Tokens,
    blocks: Vec<Block>,
    features: Features,
}

impl Vit {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(vb: &VarBuilder, kind: VitKind, config: VitConfig) -> Result<Self> {
        Self::planned(vb, kind.plan(), config)
    }

    fn planned(vb: &VarBuilder, plan: Plan, config: VitConfig) -> Result<Self> {
        let (patch, stored) = (plan.patch as u32, config.position_size.unwrap_or(plan.published));
        size::check("size", config.size, patch, patch)?;
        size::check("position_size", ImageSize::square(stored), patch, patch)?;
        if !(0. ..1.).contains(&config.drop_path) {
            let want = "a probability in [0, 1) is needed".to_owned();
            return Err(Error::Setting { name: "drop_path", got: config.drop_path.to_string(), want });
        }
        let gelu = Gelus::of(config.gelu.unwrap_or(plan.gelu).approximation());
        let block = |number: usize| {
            let drop = config.drop_path * number as f64 / (plan.blocks - 1).max(1) as f64;
            Block::new(&vb.pp(format_args!("blocks.{number}")), &plan, gelu, drop)
        };
        Ok(Self {
            size: config.size,
            width: plan.width,
            tokens: Tokens::new(vb, &plan, config.size.map(|side| side / patch).dims(), (stored / patch) as usize)?,
            blocks: (0..plan.blocks).map(block).collect::<Result<_>>()?,
            features: Features::new(vb, &plan, gelu)?,
        })
    }
}

impl Backbone for Vit {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = self.tokens.record(pixels, tape)?;
        for block in &self.blocks {
            x = block.record(&x, tape)?;
        }
        self.features.record(&x, tape)
    }

    fn features(&self) -> usize {
        self.width
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.size }
    }

    fn stages(&self) -> Stages {
        let stages = Stages::new().then(["patch_embed", "cls_token", "pos_embed", "norm_pre"]);
        let blocks = (0..self.blocks.len()).map(|number| format!("blocks.{number}"));
        let stages = blocks.fold(stages, |stages, block| stages.then([block])).and("norm");
        if self.features.pools() { stages.then(["attn_pool"]) } else { stages }
    }
}
