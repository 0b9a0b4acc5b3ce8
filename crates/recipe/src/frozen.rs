//! A frozen backbone: the features of its pictures are computed once, before training, and kept beside the run, so that a step
//! costs what its head costs.

use crate::{Config, Error, Result};
use candle_core::{Device, Tensor};
use npair_backbones::EmbeddingNet;
use npair_evaluate::{FeatureInputs, Inputs, Splits, write_file};
use npair_types::Streams;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The file of a run's folder with the features that it trains on.
const FEATURES: &str = "features.safetensors";

/// Hears how much of the work before training is done: so many of so many pictures.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Features in the place of pictures, for the splits that training looks at.
pub(crate) struct Features {
    /// By the split's name; nothing where no features are asked for.
    splits: Vec<(&'static str, Arc<FeatureInputs>)>,
}

impl Features {
    /// Reads what a run kept.
    pub(crate) fn kept(config: &Config, net: &Arc<EmbeddingNet>, splits: &Splits, folder: &Path) -> Option<Self> {
        let bytes = std::fs::read(folder.join(FEATURES)).ok()?;
        let tensors: HashMap<String, Tensor> = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).ok()?;
        let read = |(name, inputs, views): (&'static str, Arc<dyn Inputs>, usize)| {
            let values = tensors.get(name)?.flatten_all().and_then(|t| t.to_vec1()).ok()?;
            Some((name, Arc::new(FeatureInputs::of_values(inputs, net.clone(), views, values).ok()?)))
        };
        let splits = wanted(config, splits).into_iter().map(read).collect::<Option<_>>()?;
        Some(Self { splits })
    }

    /// Computes them with the network as it is.
    pub(crate) fn compute(
        config: &Config,
        net: &Arc<EmbeddingNet>,
        splits: &Splits,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let wanted = wanted(config, splits);
        let all: usize = wanted.iter().map(|(_, inputs, views)| inputs.len() * (views + 1)).sum();
        let (mut before, mut made) = (0, Vec::new());
        for (name, inputs, views) in wanted {
            let rows = inputs.len() * (views + 1);
            let how = (views, Streams::new(config.seed));
            let features = FeatureInputs::compute(inputs, net.clone(), how, &mut |n| progress(before + n, all))?;
            made.push((name, Arc::new(features)));
            before += rows;
        }
        Ok(Self { splits: made })
    }

    /// The splits with features in the place of pictures.
    pub(crate) fn feed(&self, splits: &Splits) -> Splits {
        let mut fed = splits.clone();
        for (name, features) in &self.splits {
            let features: Arc<dyn Inputs> = features.clone();
            match *name {
                "train" => fed.train = Some(features),
                "val" => fed.val = Some(features),
                "seen" => fed.seen = Some(features),
                _ => fed.gallery = Some(features),
            }
        }
        fed
    }

    /// Writes them to a run's folder.
    pub(crate) fn keep(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FEATURES);
        let tensor = |(name, features): &(&'static str, Arc<FeatureInputs>)| {
            let values = features.values();
            Ok((*name, Tensor::from_slice(values, values.len(), &Device::Cpu)?))
        };
        let tensors = self.splits.iter().map(tensor).collect::<Result<Vec<_>>>()?;
        let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::file(&path, e))?;
        Ok(write_file(&path, &bytes)?)
    }
}

/// The splits that training looks at: what is learned from in all its views, what is chosen by, and what is probed.
fn wanted(config: &Config, splits: &Splits) -> Vec<(&'static str, Arc<dyn Inputs>, usize)> {
    let mut wanted: Vec<(&'static str, Arc<dyn Inputs>, usize)> = Vec::new();
    wanted.extend(splits.train.clone().map(|train| ("train", train, config.model.frozen_views)));
    wanted.extend(splits.val.clone().map(|val| ("val", val, 0)));
    if config.training.probe_every > 0 {
        match (&splits.seen, &splits.val) {
            (Some(seen), _) => wanted.push(("seen", seen.clone(), 0)),
            (None, Some(_)) => {}
            (None, None) => wanted.extend(splits.gallery.clone().map(|gallery| ("gallery", gallery, 0))),
        }
    }
    wanted
}

/// An error unless a frozen backbone makes sense.
pub(crate) fn check(config: &Config) -> Result<()> {
    let model = &config.model;
    let wrong = |setting, why: &str| Err(Error::Setting { setting, why: why.to_owned() });
    if !model.frozen {
        if model.frozen_views > 0 {
            return wrong("model.frozen_views", "is for a frozen backbone: set model.frozen=true, or leave it out");
        }
        return Ok(());
    }
    if config.data.source.is_vectors() {
        return wrong("model.frozen", "is for networks of pictures; vectors have no backbone: leave it out");
    }
    if model.pretrained.is_none() {
        return wrong("model.frozen", "keeps features of a trained network: give its weights, model.pretrained=FILE");
    }
    if !model.freeze.is_empty() {
        return wrong(
            "model.freeze",
            "says less than model.frozen=true, which freezes the whole backbone: leave one out",
        );
    }
    Ok(())
}
