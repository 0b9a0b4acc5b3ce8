//! The network that given weights are of.

use super::Plan;
use crate::draft::Draft;
use crate::{Error, Result};
use npair_backbones::BackboneConfig;

/// Chooses the network whose name is in that of the weights.
pub(super) fn choose(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let model = &mut draft.config.model;
    let Some(weights) = &model.pretrained else { return Ok(()) };
    if model.backbone.is_some() {
        return Ok(());
    }
    let Some(backbone) = named_in(weights) else {
        let known: Vec<&str> = BackboneConfig::all().iter().map(BackboneConfig::architecture).collect();
        let why = format!(
            "the name of {weights} does not tell which network it is of: set it to one of {}",
            known.join(", ")
        );
        return Err(Error::Setting { setting: "model.backbone", why });
    };
    plan.choose("model.backbone", backbone.architecture(), format!("by the name of {weights}"));
    model.backbone = Some(backbone);
    Ok(())
}

/// The network whose name stands in a text, whatever separates its parts; of several the longest.
fn named_in(text: &str) -> Option<BackboneConfig> {
    let plain = |text: &str| text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect::<String>();
    // Folders above the last two names are where things lie, not what they are.
    let names: Vec<&str> = text.rsplit(['/', '\\']).take(2).collect();
    let text: String = names.into_iter().rev().map(plain).collect();
    let all = BackboneConfig::all().into_iter();
    all.filter(|b| text.contains(&plain(b.architecture()))).max_by_key(|b| b.architecture().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_known_by_the_names_of_their_weights() {
        let named = |text: &str| named_in(text).map(|b| b.architecture());
        assert_eq!(named("weights/resnet50-0676ba61.pth"), Some("resnet50"));
        assert_eq!(named("hub:timm/resnet18.a1_in1k@main#model.safetensors"), Some("resnet18"));
        assert_eq!(named("resnet50/weights/model.safetensors"), None);
        assert_eq!(named("my/model.safetensors"), None);
    }
}
