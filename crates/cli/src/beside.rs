//! What the scores of a run are held against.

use crate::progress;
use anyhow::Result;
use npair_evaluate::{Baseline, Inputs, SampledInputs};
use npair_metrics::Embeddings;
use npair_recipe::{Config, Device};
use npair_types::{ExampleId, Labels, Streams};
use std::sync::Arc;

/// Guessing, pixels, and the network before training where a device to compute it on is given. Of more examples than
/// [`Baseline::MOST_EXAMPLES`] a sample of whole classes is compared, the run's own embeddings among them: few examples are found more
/// easily than many.
pub fn baselines(
    config: &Config,
    side: &Arc<dyn Inputs>,
    set: &Embeddings,
    first: Option<Device>,
    notes: &mut Vec<String>,
) -> Result<Vec<Baseline>> {
    let streams = Streams::new(config.seed);
    let chance = Baseline::chance(side.labels());
    let sampled = SampledInputs::whole_classes(side.clone(), Baseline::MOST_EXAMPLES, streams)?;
    let ids = sampled.examples().to_vec();
    if ids.len() == side.len() {
        let mut found = vec![chance];
        found.extend(pixels(config, side, side.as_ref(), &ids, notes)?);
        found.extend(untrained(config, side, first, notes));
        return Ok(found);
    }
    let of_sample: Arc<dyn Inputs> = Arc::new(sampled);
    notes.push(format!(
        "pixels and the network before training are held against this run on a sample, {} examples of {} whole classes drawn by seed",
        ids.len(),
        of_sample.labels().classes().len()
    ));
    let mut found = vec![of_run(config, set, &ids)?, Baseline::chance(of_sample.labels())];
    found.extend(pixels(config, side, of_sample.as_ref(), &ids, notes)?);
    found.extend(untrained(config, &of_sample, first, notes));
    let named = |of: Baseline| Baseline { name: format!("sample: {}", of.name), ..of };
    Ok(std::iter::once(chance).chain(found.into_iter().map(named)).collect())
}

/// The run itself on some of the examples.
fn of_run(config: &Config, set: &Embeddings, ids: &[ExampleId]) -> Result<Baseline> {
    let rows: Vec<usize> = ids.iter().map(|id| id.0).collect();
    let labels = Labels::from_ids(rows.iter().map(|&row| set.labels().get(row)).collect())?;
    let chosen = set.select(&rows, labels).map_err(npair_evaluate::Error::from)?;
    Ok(Baseline::by(config.evaluation.measure, "this run", &chosen, Streams::new(config.seed))?)
}

/// The pixels of examples: of the pictures that they are by number, or as the network sees them.
fn pixels(
    config: &Config,
    side: &Arc<dyn Inputs>,
    seen: &dyn Inputs,
    ids: &[ExampleId],
    notes: &mut Vec<String>,
) -> Result<Vec<Baseline>> {
    let streams = Streams::new(config.seed);
    if config.data.views > 0 {
        // The pictures behind two views are the same: their pixels are compared as the network sees them.
        let found = progress::told(|tell| {
            tell("pixels".to_owned());
            Baseline::pixels_as_seen(seen, streams)
        })?;
        if found.is_none() {
            notes.push("pixels as seen are left out: they would take more than a GiB".to_owned());
        }
        return Ok(found.into_iter().collect());
    }
    let Some(pictures) = side.pictures() else { return Ok(Vec::new()) };
    Ok(progress::told(|tell| {
        tell("pixels".to_owned());
        Baseline::pixels(pictures, ids, config.images().channels, streams)
    })?)
}

/// The scores of the network as it was before training.
fn untrained(
    config: &Config,
    side: &Arc<dyn Inputs>,
    device: Option<Device>,
    notes: &mut Vec<String>,
) -> Option<Baseline> {
    let config = Config { device: device?, ..config.clone() };
    let found = progress::told(|tell| {
        tell("the network as it was before training".to_owned());
        let (name, set) = npair_recipe::first_embeddings(&config, side)?;
        Ok::<_, anyhow::Error>(Baseline::of_embeddings(name, &set, Streams::new(config.seed))?)
    });
    found.map_err(|error| notes.push(format!("the network before training is left out: {error:#}"))).ok()
}
