//! The network that weights are of: as the `config.json` beside them says, or by their name.

use super::load::config_of;
use super::{Hub, Weights};
use crate::{BackboneConfig, EmbeddingNetConfig, Result, VitConfig, VitGelu};
use serde_json::Value;

/// Names that networks have in timm, transformers and files on the Hub, in small letters and digits alone.
const NAMES: [(&str, &str); 28] = [
    ("vitsmallpatch16", "vit-s16"),
    ("deitsmallpatch16", "vit-s16"),
    ("vitbasepatch16", "vit-b16"),
    ("deitbasepatch16", "vit-b16"),
    ("vitsmallpatch14dinov2", "dinov2-s14"),
    ("dinov2small", "dinov2-s14"),
    ("dinov2vits14", "dinov2-s14"),
    ("vitbasepatch14dinov2", "dinov2-b14"),
    ("dinov2base", "dinov2-b14"),
    ("dinov2vitb14", "dinov2-b14"),
    ("vitbasepatch32clip", "clip-b32"),
    ("clipvitbasepatch32", "clip-b32"),
    ("clipvitb32", "clip-b32"),
    ("vitbasepatch16clip", "clip-b16"),
    ("clipvitbasepatch16", "clip-b16"),
    ("clipvitb16", "clip-b16"),
    ("vitlargepatch14clip", "clip-l14"),
    ("clipvitlargepatch14", "clip-l14"),
    ("clipvitl14", "clip-l14"),
    ("vitbasepatch16siglip", "siglip-b16"),
    ("siglipbasepatch16", "siglip-b16"),
    ("convnexttiny", "convnext-t"),
    ("dlibfaceresnet", "dlib-face-net"),
    ("dlibfacerecognition", "dlib-face-net"),
    ("mobilenetv3small100", "mobilenetv3-small"),
    ("mobilenetv3large100", "mobilenetv3-large"),
    ("mobilenetv3smallminimal", ""),
    ("mobilenetv3largeminimal", ""),
];

impl BackboneConfig {
    /// The network whose name stands in a text, ours or timm's or that of transformers, whatever separates its parts; of several
    /// the longest. For a path the last two names count: folders above them are where things lie, not what they are.
    ///
    /// ```
    /// # use npair_backbones::BackboneConfig;
    /// let named = |text: &str| BackboneConfig::named_in(text).map(|config| config.architecture());
    /// assert_eq!(named("weights/resnet50-0676ba61.pth"), Some("resnet50"));
    /// assert_eq!(named("hub:timm/vit_base_patch16_clip_224.openai"), Some("clip-b16"));
    /// assert_eq!(named("hub:facebook/dinov2-small@main"), Some("dinov2-s14"));
    /// assert_eq!(named("my/model.safetensors"), None);
    /// ```
    pub fn named_in(text: &str) -> Option<Self> {
        let plain = |text: &str| text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        let names: Vec<&str> = text.rsplit(['/', '\\']).take(2).collect();
        let text: String = names.into_iter().rev().map(plain).collect();
        let own = Self::all().into_iter().map(|config| (plain(config.architecture()), config.architecture()));
        let all = own.chain(NAMES.map(|(name, architecture)| (name.to_owned(), architecture)));
        let (_, found) = all.filter(|(name, _)| text.contains(name.as_str())).max_by_key(|(name, _)| name.len())?;
        let mut config = Self::named(found)?;
        if let Some(vit) = config.clip() {
            let exact = ["laion", "datacomp", "commonpool"].iter().any(|word| text.contains(word));
            vit.gelu = (exact && !text.contains("quickgelu")).then_some(VitGelu::Exact);
        }
        Some(config)
    }

    /// The settings of a tower of CLIP.
    fn clip(&mut self) -> Option<&mut VitConfig> {
        match self {
            Self::ClipB32(vit) | Self::ClipB16(vit) | Self::ClipL14(vit) => Some(vit),
            _ => None,
        }
    }

    /// The settings of a vision transformer.
    fn vit(&mut self) -> Option<&mut VitConfig> {
        match self {
            Self::VitS16(vit) | Self::VitB16(vit) | Self::DinoV2S14(vit) | Self::DinoV2B14(vit) => Some(vit),
            Self::SigLipB16(vit) => Some(vit),
            _ => self.clip(),
        }
    }
}

/// The network that weights are of: what the `config.json` beside them says (npair's own, timm's `architecture`, transformers'
/// `model_type` with its extents), else what their name does; none where neither is known.
///
/// # Errors
/// Those of [`load_pretrained`](crate::EmbeddingNet::load_pretrained) that concern the file.
pub fn pretrained_backbone(weights: &Weights, hub: &Hub) -> Result<Option<BackboneConfig>> {
    let told = config_of(weights, hub)?.and_then(|config| of_config(&config));
    Ok(told.or_else(|| BackboneConfig::named_in(&weights.to_string())))
}

/// What a `config.json` says.
fn of_config(config: &Value) -> Option<BackboneConfig> {
    if let Ok(own) = serde_json::from_value::<EmbeddingNetConfig>(config.clone()) {
        return Some(own.backbone);
    }
    of_timm(config).or_else(|| of_transformers(config))
}

fn of_timm(config: &Value) -> Option<BackboneConfig> {
    let name = config.get("architecture")?.as_str()?;
    let told = config.get("pretrained_cfg").unwrap_or(config);
    let tag = told.get("tag").and_then(Value::as_str).unwrap_or("");
    let mut backbone = BackboneConfig::named_in(&format!("{name}.{tag}"))?;
    let size = told.get("input_size").and_then(|size| size.as_array()?.last()?.as_u64());
    if let (Some(vit), Some(size)) = (backbone.vit(), size) {
        of_size(vit, size);
    }
    Some(backbone)
}

/// Takes over the size of the pictures that positions were learned for.
fn of_size(vit: &mut VitConfig, size: u64) {
    if let Ok(size) = u32::try_from(size) {
        (vit.size, vit.position_size) = (size.into(), Some(size));
    }
}

fn of_transformers(config: &Value) -> Option<BackboneConfig> {
    let kind = config.get("model_type")?.as_str()?;
    let tower = config.get("vision_config").unwrap_or(config);
    let number = |key: &str, usual: u64| tower.get(key).and_then(Value::as_u64).unwrap_or(usual);
    let (width, patch) =
        (number("hidden_size", 768), number("patch_size", if kind.contains("clip") { 32 } else { 16 }));
    let name = match (kind.split('_').next()?, width, patch) {
        ("vit", 384, 16) => "vit-s16",
        ("vit", 768, 16) => "vit-b16",
        ("dinov2", 384, 14) => "dinov2-s14",
        ("dinov2", 768, 14) => "dinov2-b14",
        ("clip", 768, 32) => "clip-b32",
        ("clip", 768, 16) => "clip-b16",
        ("clip", 1024, 14) => "clip-l14",
        ("siglip", 768, 16) => "siglip-b16",
        _ => return None,
    };
    let mut backbone = BackboneConfig::named(name)?;
    let gelu = match tower.get("hidden_act").and_then(Value::as_str) {
        Some("gelu") => Some(VitGelu::Exact),
        Some("quick_gelu") => Some(VitGelu::Quick),
        Some("gelu_pytorch_tanh" | "gelu_new") => Some(VitGelu::Tanh),
        _ => None,
    };
    let usual = if kind == "dinov2" { 518 } else { 224 };
    if let Some(vit) = backbone.vit() {
        vit.gelu = gelu;
        of_size(vit, number("image_size", usual));
    }
    Some(backbone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(text: &str) -> Option<&'static str> {
        BackboneConfig::named_in(text).map(|config| config.architecture())
    }

    #[test]
    fn networks_are_known_by_the_names_of_their_weights() {
        assert_eq!(named("hub:timm/resnet18.a1_in1k@main#model.safetensors"), Some("resnet18"));
        assert_eq!(named("resnet50/weights/model.safetensors"), None);
        assert_eq!(named("tf_efficientnet_lite0-0aa007d2.pth"), Some("efficientnet-lite0"));
        assert_eq!(named("hub:google/siglip-base-patch16-224"), Some("siglip-b16"));
        assert_eq!(named("hub:openai/clip-vit-large-patch14"), Some("clip-l14"));
        // Another network of the same family is not taken for it.
        assert_eq!(named("tf_mobilenetv3_small_minimal_100.in1k"), None);
        assert_eq!(named("vit_small_patch14_reg4_dinov2.lvd142m"), None);
    }

    #[test]
    fn what_stands_in_a_config_is_taken_over() {
        let timm = json!({"architecture": "vit_base_patch16_siglip_384", "pretrained_cfg": {"tag": "webli", "input_size": [3, 384, 384]}});
        let want = VitConfig { size: 384.into(), position_size: Some(384), ..VitConfig::default() };
        assert_eq!(of_config(&timm), Some(BackboneConfig::SigLipB16(want)));
        let clip = json!({"model_type": "clip", "vision_config": {"patch_size": 16, "hidden_act": "gelu"}});
        let want = VitConfig { position_size: Some(224), gelu: Some(VitGelu::Exact), ..VitConfig::default() };
        assert_eq!(of_config(&clip), Some(BackboneConfig::ClipB16(want)));
        let laion = json!({"architecture": "vit_base_patch32_clip_224", "pretrained_cfg": {"tag": "laion2b"}});
        let Some(BackboneConfig::ClipB32(vit)) = of_config(&laion) else { panic!("another network") };
        assert_eq!(vit.gelu, Some(VitGelu::Exact));
        assert_eq!(of_config(&json!({"model_type": "clip", "vision_config": {"hidden_size": 512}})), None);
        let own = EmbeddingNetConfig::new(BackboneConfig::named("resnet34").unwrap(), 8);
        assert_eq!(of_config(&serde_json::to_value(&own).unwrap()), Some(own.backbone));
    }
}
