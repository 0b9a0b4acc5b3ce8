//! A frozen backbone: the features of its pictures are computed once, before training, and kept beside the run, so that a step
//! costs what its head costs.

use crate::config::ScheduleName;
use crate::{Config, Error, Result};
use candle_core::{Device, Tensor};
use npair_backbones::EmbeddingNet;
use npair_evaluate::{Baseline, FeatureInputs, Inputs, Splits, write_file};
use npair_metrics::Embeddings;
use npair_types::Streams;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The file of a run's folder with the features that it trains on.
const FEATURES: &str = "features.safetensors";

/// Changed views of every training picture on whose features the head alone learns.
pub(crate) const HEAD_VIEWS: usize = 1;

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

    /// Recall@1 of the features of the validation split, compared by cosine; none without one.
    pub(crate) fn recall_as_they_come(&self, config: &Config) -> Result<Option<f64>> {
        let Some((_, val)) = self.splits.iter().find(|(name, _)| *name == "val") else { return Ok(None) };
        let width = val.values().len() / val.len().max(1);
        let rows = Embeddings::new(val.values(), width, val.labels().clone())?;
        Ok(Baseline::of_embeddings("features", &rows, Streams::new(config.seed))?.get("recall@1"))
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

/// The settings by which the head alone learns, before everything does: at the rate that the head has.
pub(crate) fn head_alone(config: &Config) -> Config {
    let scale = config.optimizer.group.iter().find(|group| group.prefix == "head").map_or(1., |group| group.lr_scale);
    let mut alone = config.clone();
    alone.model.frozen = true;
    alone.model.frozen_views = HEAD_VIEWS;
    alone.model.freeze.clear();
    alone.optimizer.learning_rate *= scale;
    (alone.optimizer.group, alone.optimizer.layer_decay) = (Vec::new(), 1.);
    if alone.schedule.name == ScheduleName::Plateau {
        // Nothing is validated while the head learns.
        alone.schedule.name = ScheduleName::Constant;
    }
    alone.schedule.warm_up = alone.schedule.warm_up.min(config.model.head_steps / 10);
    alone.training.steps = config.model.head_steps;
    (alone.training.average, alone.training.patience) = (0., 0);
    (alone.training.grad_cache, alone.model.head_steps) = (0, 0);
    alone
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
    if model.head_steps > 0 && (model.frozen || model.pretrained.is_none()) {
        return wrong("model.head_steps", "is for a pretrained network that trains whole: leave it out");
    }
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
