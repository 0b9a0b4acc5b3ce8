//! Vision transformers.

mod block;

pub(crate) use block::{EPSILON, INIT, Mlp};

use crate::{Backbone, Error, InputSpec, Result, size};
use block::Block;
use npair_nn::{ClassToken, FirstToken, Layer, LayerNorm, Node, PatchEmbed, Tape, VarBuilder};
use serde::{Deserialize, Serialize};

/// Settings of [`Vit`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VitConfig {
    /// Height and width of an image in pixels, a multiple of the patch, up to 4,096; 224.
    pub size: usize,
    /// Size of the images that the stored position embedding is for; unless given, that of the published weights (224
    /// for ViT, 518 for DINOv2). For images of another size it is interpolated in every pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position_size: Option<usize>,
    /// Probability with which the last block's branches are left out in training; it grows from 0 at the first block;
    /// 0.
    pub drop_path: f64,
}

impl Default for VitConfig {
    fn default() -> Self {
        Self { size: 224, position_size: None, drop_path: 0. }
    }
}

/// Which of the published networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VitKind {
    /// ViT-S/16, 12 blocks of width 384 with 6 heads (timm's `vit_small_patch16_224`).
    S16,
    /// ViT-B/16, 12 blocks of width 768 with 12 heads (timm's `vit_base_patch16_224`).
    B16,
    /// DINOv2's ViT-S/14: patches of 14 pixels, layer scale (timm's `vit_small_patch14_dinov2`).
    DinoV2S14,
    /// DINOv2's ViT-B/14 (timm's `vit_base_patch14_dinov2`).
    DinoV2B14,
}

impl VitKind {
    const BLOCKS: usize = 12;

    /// Width of a token and number of heads.
    fn extents(self) -> (usize, usize) {
        match self {
            Self::S16 | Self::DinoV2S14 => (384, 6),
            Self::B16 | Self::DinoV2B14 => (768, 12),
        }
    }

    /// Height and width of a patch in pixels, and of an image that the published position embedding is for; first factor
    /// of the layer scale, if there is one.
    fn published(self) -> (usize, usize, Option<f64>) {
        match self {
            Self::S16 | Self::B16 => (16, 224, None),
            Self::DinoV2S14 | Self::DinoV2B14 => (14, 518, Some(1e-5)),
        }
    }
}

/// A vision transformer: patches as tokens behind a class token, blocks of attention and MLP; the class token
/// behind the last norm is the features.
///
/// # Shapes
/// (B, size, size, 3) to (B, 384), or (B, 768) for the base ones. Parameters are named as timm names them (`blocks.0.attn.qkv.weight`).
///
/// # Numerics
/// An interpolated position embedding is timm's (`dynamic_img_size`): bicubic, antialiased.
///
/// # Source
/// Dosovitskiy et al., ICLR 2021; Touvron et al., ICML 2021 (the small one); Oquab et al., 2023 (DINOv2).
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
    config: VitConfig,
    width: usize,
    patches: PatchEmbed,
    tokens: ClassToken,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Vit {
    /// A network below `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting is out of range.
    pub fn new(vb: &VarBuilder, kind: VitKind, config: VitConfig) -> Result<Self> {
        let ((width, heads), (patch, published, first_scale)) = (kind.extents(), kind.published());
        let stored = config.position_size.unwrap_or(published);
        size::check("size", config.size, patch, patch)?;
        size::check("position_size", stored, patch, patch)?;
        if !(0. ..1.).contains(&config.drop_path) {
            let want = "a probability in [0, 1) is needed".to_owned();
            return Err(Error::Setting { name: "drop_path", got: config.drop_path.to_string(), want });
        }
        let block = |number: usize| {
            let drop = config.drop_path * number as f64 / (VitKind::BLOCKS - 1) as f64;
            let vb = vb.pp(format_args!("blocks.{number}"));
            Block::new(&vb, width, heads, first_scale, drop)
        };
        Ok(Self {
            config,
            width,
            patches: PatchEmbed::new(&vb.pp("patch_embed"), 3, width, patch, INIT)?,
            tokens: ClassToken::new(vb, width, config.size / patch, stored / patch)?,
            blocks: (0..VitKind::BLOCKS).map(block).collect::<Result<_>>()?,
            norm: LayerNorm::new(&vb.pp("norm"), width, EPSILON)?,
        })
    }
}

impl Backbone for Vit {
    fn record(&self, pixels: &Node, tape: &mut Tape) -> Result<Node> {
        self.input().check(pixels)?;
        let mut x = self.tokens.record(&self.patches.record(pixels, tape)?, tape)?;
        for block in &self.blocks {
            x = block.record(&x, tape)?;
        }
        // The norm works token by token: only the class token's is needed.
        let class = FirstToken.record(&x, tape)?;
        Ok(self.norm.record(&class, tape)?)
    }

    fn features(&self) -> usize {
        self.width
    }

    fn input(&self) -> InputSpec {
        InputSpec { channels: 3, size: self.config.size }
    }
}
