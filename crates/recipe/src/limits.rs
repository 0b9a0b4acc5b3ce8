//! Ranges of settings that can be known before anything is opened.

use crate::{Config, Error, Result};

/// A whole number and the range that it may be in: more is a slip, or would not fit in any memory.
type Whole = (&'static str, usize, usize, usize);

/// Most values of a layer for one picture: 256 MiB in f32.
const LARGEST: u64 = 1 << 26;

/// An error for the first setting that is out of range.
pub(crate) fn check(config: &Config) -> Result<()> {
    if i64::try_from(config.seed).is_err() {
        let why = format!("is {}, but TOML has whole numbers up to {} only", config.seed, i64::MAX);
        return Err(Error::Setting { setting: "seed", why });
    }
    let (m, d, t) = (&config.model, &config.data, &config.training);
    let images = config.images();
    let mut ranges: Vec<Whole> = vec![
        ("model.embedding", m.embedding, 1, 1 << 16),
        ("model.width", m.width, 1, 1 << 12),
        ("model.blocks", m.blocks, 1, 12),
        ("model.frozen_views", m.frozen_views, 0, 1000),
        ("images.size", images.size.shorter() as usize, 1, 1 << 12),
        ("images.size", images.size.longer() as usize, 1, 1 << 12),
        ("batch.classes", config.batch.classes, 2, 1 << 24),
        ("batch.per_class", config.batch.per_class, 1, 1 << 16),
        ("tta.views", config.tta.views, 1, 1000),
        ("data.glyphs.classes", d.glyphs.classes as usize, 2, 1 << 20),
        ("data.glyphs.instances", d.glyphs.instances as usize, 1, 1 << 16),
        ("data.glyphs.size", d.glyphs.size as usize, 8, 1 << 10),
        ("optimizer.accumulate", config.optimizer.accumulate, 1, 1 << 16),
        ("memory.size", config.memory.size, 0, 1 << 26),
        ("training.grad_cache", t.grad_cache, 0, 1 << 24),
        ("training.shards", t.shards, 0, 1 << 24),
        ("evaluation.vrf_trials", config.evaluation.vrf_trials, 1, 1 << 20),
        ("evaluation.k_means_runs", config.evaluation.k_means_runs, 1, 1 << 16),
        ("evaluation.pairs", config.evaluation.pairs, 1, 1 << 40),
    ];
    ranges.extend(m.hidden.iter().map(|&width| ("model.hidden", width, 1, 1 << 16)));
    ranges.extend(config.evaluation.recall_at.iter().map(|&k| ("evaluation.recall_at", k, 1, 1 << 24)));
    for (setting, got, low, high) in ranges {
        if !(low..=high).contains(&got) {
            return Err(Error::Setting { setting, why: format!("is {got}, but has to be from {low} to {high}") });
        }
    }
    // Values of the small ConvNet's first layer for one picture.
    let values = (m.width as u64) * images.size.area();
    if m.backbone.is_none() && !d.source.is_vectors() && values > LARGEST {
        let gib = values as f64 * 4. / f64::from(1 << 30);
        let why = format!(
            "{} filters of pictures of {} pixels take {gib:.0} GiB a picture: lower one of them",
            m.width,
            images.size.area()
        );
        return Err(Error::Setting { setting: "model.width", why });
    }
    learning(config)?;
    let weight = config.norm_penalty.weight;
    if !(0. ..=1e6).contains(&weight) {
        let why = format!("is {weight:e}, but has to be from 0 to 1e6");
        return Err(Error::Setting { setting: "norm_penalty.weight", why });
    }
    if !(0.0..1.0).contains(&m.dropout) {
        let why = format!("is {}, but has to be at least 0 and less than 1", m.dropout);
        return Err(Error::Setting { setting: "model.dropout", why });
    }
    Ok(())
}

/// An error for a factor of the learning rate, or a power of class draws, that is none.
fn learning(config: &Config) -> Result<()> {
    let temper = config.batch.temper;
    if !(0. ..=1.).contains(&temper) {
        let why = format!("is {temper}, but has to be from 0 (all classes alike) to 1 (by their number of examples)");
        return Err(Error::Setting { setting: "batch.temper", why });
    }
    let decay = config.optimizer.layer_decay;
    if !(decay > 0. && decay <= 1.) {
        let why = format!("is {decay}, but has to be above 0 and at most 1 (none); 0.65 to 0.9 is usual");
        return Err(Error::Setting { setting: "optimizer.layer_decay", why });
    }
    let s = &config.schedule;
    for (setting, factor) in [("schedule.factor", s.factor), ("schedule.floor", s.floor)] {
        if !(0. ..=1.).contains(&factor) {
            let why = format!("is {factor}, but has to be from 0 to 1: a part of the learning rate");
            return Err(Error::Setting { setting, why });
        }
    }
    if s.patience == 0 {
        let why = "is 0, but has to be at least 1 validation".to_owned();
        return Err(Error::Setting { setting: "schedule.patience", why });
    }
    Ok(())
}
