//! The published networks, by what they differ in.

use npair_nn::Activation;

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
    /// The image tower of CLIP's ViT-B/32 (timm's `vit_base_patch32_clip_quickgelu_224`).
    ClipB32,
    /// The image tower of CLIP's ViT-B/16 (timm's `vit_base_patch16_clip_quickgelu_224`).
    ClipB16,
    /// The image tower of CLIP's ViT-L/14, 24 blocks of width 1,024 with 16 heads (timm's `vit_large_patch14_clip_quickgelu_224`).
    ClipL14,
    /// The image tower of SigLIP's ViT-B/16 (timm's `vit_base_patch16_siglip_224`).
    SigLipB16,
}

/// What a network is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// Width of a token.
    pub width: usize,
    /// Number of heads.
    pub heads: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Height and width of a patch in pixels.
    pub patch: usize,
    /// Height and width in pixels of an image that the published position embedding is for.
    pub published: u32,
    /// First factor of the layer scale, if there is one.
    pub first_scale: Option<f64>,
    /// What lies before and behind the blocks.
    pub ends: Ends,
    /// Epsilon of the layer norms.
    pub epsilon: f64,
    /// Between the linear layers of a block.
    pub gelu: VitGelu,
}

/// What lies before and behind the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// A class token, which is the features behind the last norm.
    ClassToken,
    /// The same, with a norm before the first block and patches without a bias.
    NormBefore,
    /// No class token: a learned query looks at all tokens behind the last norm.
    Pooled,
}

/// Which GELU a network has between the linear layers of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VitGelu {
    /// `x Phi(x)`: ViT, DINOv2, most of OpenCLIP's networks.
    Exact,
    /// [`Activation::QuickGelu`]: OpenAI's CLIP, MetaCLIP, DFN.
    Quick,
    /// [`Activation::TanhGelu`]: SigLIP.
    Tanh,
}

impl VitGelu {
    /// The approximation; none for the exact one.
    pub(super) fn approximation(self) -> Option<Activation> {
        match self {
            Self::Exact => None,
            Self::Quick => Some(Activation::QuickGelu),
            Self::Tanh => Some(Activation::TanhGelu),
        }
    }
}

/// Epsilon of layer norms, where a paper's code has PyTorch's own.
const TORCH_EPSILON: f64 = 1e-5;

impl VitKind {
    /// Height and width of a patch in pixels.
    pub fn patch(self) -> usize {
        self.plan().patch
    }

    pub(super) fn plan(self) -> Plan {
        let base = Plan {
            width: 768,
            heads: 12,
            blocks: 12,
            patch: 16,
            published: 224,
            first_scale: None,
            ends: Ends::ClassToken,
            epsilon: super::EPSILON,
            gelu: VitGelu::Exact,
        };
        let small = Plan { width: 384, heads: 6, ..base };
        let dino = |of: Plan| Plan { patch: 14, published: 518, first_scale: Some(1e-5), ..of };
        let clip = Plan { ends: Ends::NormBefore, epsilon: TORCH_EPSILON, gelu: VitGelu::Quick, ..base };
        match self {
            Self::S16 => small,
            Self::B16 => base,
            Self::DinoV2S14 => dino(small),
            Self::DinoV2B14 => dino(base),
            Self::ClipB32 => Plan { patch: 32, ..clip },
            Self::ClipB16 => clip,
            Self::ClipL14 => Plan { width: 1024, heads: 16, blocks: 24, patch: 14, ..clip },
            Self::SigLipB16 => Plan { ends: Ends::Pooled, gelu: VitGelu::Tanh, ..base },
        }
    }
}
