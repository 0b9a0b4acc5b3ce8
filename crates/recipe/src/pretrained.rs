//! Weights that a run starts from, and what they say about pictures.

use crate::{Config, Error, Result};
use npair_backbones::{BackboneConfig, EmbeddingNet, Hub, Interpolation, Preprocess, PretrainedPreprocess, Weights};
use npair_data::{AugmentConfig, Channels, Filter, PipelineConfig, Resize};
use std::env;
use std::path::PathBuf;

/// What `model.pretrained` names.
pub(crate) fn weights(config: &Config) -> Result<Option<Weights>> {
    let parse = |text: &String| text.parse::<Weights>();
    config
        .model
        .pretrained
        .as_ref()
        .map(parse)
        .transpose()
        .map_err(|e| Error::Setting { setting: "model.pretrained", why: e.to_string() })
}

/// How the Hub is reached, from the environment: HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE, as Python's
/// `huggingface_hub` has them.
pub(crate) fn hub() -> Hub {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let below = |name: &str, rest: &str| set(name).map(|folder| PathBuf::from(folder).join(rest));
    let cache = set("HF_HUB_CACHE").map(PathBuf::from).or_else(|| below("HF_HOME", "hub"));
    let home = || {
        below("XDG_CACHE_HOME", "huggingface/hub")
            .or_else(|| below("HOME", ".cache/huggingface/hub"))
            .or_else(|| below("USERPROFILE", ".cache/huggingface/hub"))
    };
    let offline =
        set("HF_HUB_OFFLINE").is_some_and(|v| !matches!(v.to_lowercase().as_str(), "0" | "false" | "no" | "off"));
    Hub { cache: cache.or_else(home), token: set("HF_TOKEN"), endpoint: set("HF_ENDPOINT"), offline }
}

/// What the weights say about pictures, if they are pretrained and say anything.
pub(crate) fn told_images(config: &Config, backbone: &BackboneConfig) -> Result<Option<PipelineConfig>> {
    let Some(weights) = weights(config)? else { return Ok(None) };
    let Some(preprocess) = npair_backbones::pretrained_preprocess(&weights, &hub(), backbone)? else { return Ok(None) };
    Ok(Some(match preprocess {
        PretrainedPreprocess::Own(value) => serde_json::from_value(value).map_err(|e| Error::Setting {
            setting: "model.pretrained",
            why: format!("the config.json of {weights} says how pictures are made into pixels in a way that is not known ({e}); give [images]"),
        })?,
        PretrainedPreprocess::Described(told) => pipeline(&told),
    }))
}

/// Takes `[images]` over from the weights where the configuration leaves it open; else says where the two differ.
pub(crate) fn take_images(config: &mut Config, backbone: &BackboneConfig, notes: &mut Vec<String>) -> Result<()> {
    let Some(told) = told_images(config, backbone)? else { return Ok(()) };
    match &config.images {
        None => config.images = Some(told),
        Some(images) if (&images.mean, &images.std) != (&told.mean, &told.std) => notes.push(format!(
            "[images] has mean {:?} and std {:?}, the weights were trained with {:?} and {:?}",
            images.mean, images.std, told.mean, told.std
        )),
        Some(_) => {}
    }
    Ok(())
}

/// In the words of the data pipeline; cut out at random and mirrored in training.
fn pipeline(told: &Preprocess) -> PipelineConfig {
    PipelineConfig {
        channels: if told.mean.len() == 1 { Channels::Grey } else { Channels::Rgb },
        size: told.size.into(),
        resize: Resize::ShortSide(told.resize.max(told.size)),
        filter: match told.interpolation {
            Interpolation::Bilinear => Filter::Bilinear,
            Interpolation::Bicubic => Filter::CatmullRom,
            Interpolation::Lanczos => Filter::Lanczos3,
        },
        mean: told.mean.clone(),
        std: told.std.clone(),
        augment: AugmentConfig { crop: true, flip: 0.5, ..AugmentConfig::default() },
        ..PipelineConfig::default()
    }
}

/// Loads the weights into the network, and says how they fitted.
pub(crate) fn load(config: &Config, net: &EmbeddingNet, notes: &mut Vec<String>) -> Result<()> {
    let Some(weights) = weights(config)? else { return Ok(()) };
    let report = net.load_pretrained_but(&weights, &hub(), &config.model.ignore)?;
    notes.push(format!("weights of {weights}: {report}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weights_say_becomes_a_pipeline_that_works() {
        let told = Preprocess::torchvision("googlenet");
        let made = pipeline(&told);
        assert_eq!((made.channels, made.size, made.resize), (Channels::Rgb, 224.into(), Resize::ShortSide(256)));
        assert_eq!((&made.mean[..], &made.std[..]), (&[0.5; 3][..], &[0.5; 3][..]));
        let odd = Preprocess { resize: 10, ..told };
        // A cut that is larger than the picture is no pipeline.
        assert!(npair_data::Pipeline::new(pipeline(&odd)).is_ok());
    }
}
