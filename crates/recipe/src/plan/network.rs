//! The network that given weights are of.

use super::Plan;
use crate::draft::Draft;
use crate::{Error, Result, pretrained};
use npair_backbones::BackboneConfig;

/// Chooses the network whose name is in that of the weights.
pub(super) fn choose(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let model = &draft.config.model;
    let Some(weights) = &model.pretrained else { return Ok(()) };
    if model.backbone.is_some() {
        return Ok(());
    }
    let named = weights.clone();
    let Some(parsed) = pretrained::weights(&draft.config)? else { return Ok(()) };
    let Some(backbone) = npair_backbones::pretrained_backbone(&parsed, &pretrained::hub())? else {
        let known: Vec<&str> = BackboneConfig::all().iter().map(BackboneConfig::architecture).collect();
        let why = format!(
            "neither a config.json beside {named} nor its name tells which network it is of: set it to one of {}",
            known.join(", ")
        );
        return Err(Error::Setting { setting: "model.backbone", why });
    };
    plan.choose("model.backbone", backbone.architecture(), format!("that of {named}"));
    draft.config.model.backbone = Some(backbone);
    Ok(())
}
