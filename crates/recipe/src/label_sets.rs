//! Classes that are sets of labels (`data.label_separator`): what they share is learned and judged.

use crate::{Config, Error, Result};
use candle_core::{Device, Tensor};
use npair_batch::{BatchSampler, LabelSampler};
use npair_data::Amount;
use npair_evaluate::Inputs;
use npair_losses::{Accepts, Batch, Loss};
use npair_types::{ChaCha8Rng, ClassId, LabelSets, Labels, TupleKind};
use std::collections::BTreeMap;

/// The labels of the classes of some inputs, by the names of their classes.
///
/// None unless `data.label_separator` says what stands between the labels of a name.
pub fn label_sets(config: &Config, inputs: &dyn Inputs) -> Option<LabelSets> {
    let separator = config.data.label_separator.as_deref()?;
    let index = inputs.class_index();
    let names: Vec<_> = index.classes().iter().map(|&class| (class, inputs.class_name(class))).collect();
    Some(LabelSets::from_names(names.iter().map(|(class, name)| (*class, name.as_str())), separator))
}

/// An error unless sets of labels make sense.
pub(crate) fn check(config: &Config) -> Result<()> {
    let Some(separator) = config.data.label_separator.as_deref() else { return Ok(()) };
    let wrong = |setting, why: &str| Err(Error::Setting { setting, why: why.to_owned() });
    if separator.trim().is_empty() {
        return wrong(
            "data.label_separator",
            "is empty: it is what stands between the labels of a class's name, \"|\" say",
        );
    }
    let d = &config.data;
    if d.source.is_vectors() {
        return wrong(
            "data.label_separator",
            "is of the names of pictures' classes, but these are vectors: leave it out",
        );
    }
    if config.batch.per_class < 2 {
        let why = "is 1, but with data.label_separator a batch has at least 2 examples that have each label";
        return wrong("batch.per_class", why);
    }
    let kept_back = d.seen != Amount::Count(0) && d.seen != Amount::Fraction(0.);
    let others = [
        ("data.views", d.views > 0, "has no classes at all"),
        ("data.rotations", d.rotations, "makes classes of turned ones, which have no labels"),
        ("data.seen", kept_back, "keeps examples of every class back, but hardly two have the same labels"),
        ("batch.mining", config.batch.mining.is_some(), "chooses the classes of a batch, but labels do"),
        ("batch.groups", config.batch.groups > 0, "chooses the classes of a batch, but labels do"),
        ("batch.temper", config.batch.temper > 0., "chooses the classes of a batch, but labels do"),
        ("miner", config.miner.is_some(), "forms tuples of one class and another, but classes share labels"),
    ];
    match others.into_iter().find(|(_, set, _)| *set) {
        Some((setting, _, why)) => wrong(setting, &format!("{why} (data.label_separator): leave one of them out")),
        None => Ok(()),
    }
}

/// An error unless the names of some classes are sets, of which two have something in common.
pub(crate) fn check_names(config: &Config, learned: &dyn Inputs) -> Result<()> {
    let (Some(sets), Some(separator)) = (label_sets(config, learned), &config.data.label_separator) else {
        return Ok(());
    };
    let wrong = |why: String| Err(Error::Setting { setting: "data.label_separator", why });
    let index = learned.class_index();
    if index.classes().iter().all(|&class| sets.labels(class).len() < 2) {
        return wrong(format!(
            "is `{separator}`, which stands in no class's name: leave it out, or set it to what does"
        ));
    }
    if sharing(&sets, index.classes()).is_none() {
        return wrong(format!(
            "is `{separator}`, but no two of {} sets have a label in common: leave it out",
            index.len()
        ));
    }
    Ok(())
}

/// Two classes that are not the same and share a label.
fn sharing(sets: &LabelSets, classes: &[ClassId]) -> Option<[ClassId; 2]> {
    let mut having = BTreeMap::<u32, ClassId>::new();
    classes.iter().find_map(|&class| {
        sets.labels(class).iter().find_map(|&label| having.insert(label, class).map(|other| [other, class]))
    })
}

/// An error for a loss that needs two examples of exactly the same labels, which a batch may have none of: tried on two examples that
/// share a label and are not the same.
pub(crate) fn check_loss(config: &Config, sets: &LabelSets, learned: &dyn Inputs, loss: &dyn Loss) -> Result<()> {
    let Some(two) = sharing(sets, learned.class_index().classes()) else { return Ok(()) };
    let width = config.model.embedding;
    let rows: Vec<f32> = (0..2 * width).map(|i| if i % width == i / width { 1. } else { 0.5 }).collect();
    let tried = Tensor::from_vec(rows, (2, width), &loss_device(loss))
        .map_err(npair_losses::Error::from)
        .and_then(|rows| Batch::new(&rows, &Labels::from_ids(two.to_vec())?))
        .and_then(|batch| loss.forward(&batch));
    match tried {
        Err(npair_losses::Error::TooFew { .. }) => Err(Error::Setting {
            setting: "loss.name",
            why: format!(
                "is {}, which needs two pictures of exactly the same labels in every batch, but with data.label_separator a batch has \
                 pictures that share some: multi-sup-con is the loss for those",
                config.loss.name()
            ),
        }),
        _ => Ok(()),
    }
}

/// Where a loss computes: where its variables lie.
fn loss_device(loss: &dyn Loss) -> Device {
    loss.variables().first().map_or(Device::Cpu, |(_, var)| var.device().clone())
}

/// Batches of examples that share labels.
pub(crate) fn sampler(
    config: &Config,
    inputs: &dyn Inputs,
    sets: &LabelSets,
    accepts: Accepts,
    rng: ChaCha8Rng,
) -> Result<Box<dyn BatchSampler>> {
    if accepts.check(TupleKind::Labeled, None, false).is_err() || accepts.needs_two_per_class() {
        let why = format!(
            "is {}, which takes pairs of one class, but with data.label_separator a batch has examples that share labels: \
             multi-sup-con is the loss for those",
            config.loss.name()
        );
        return Err(Error::Setting { setting: "loss.name", why });
    }
    let batch = &config.batch;
    let sampler = LabelSampler::new(&inputs.class_index(), sets, batch.classes, batch.per_class, rng);
    match sampler {
        Ok(sampler) => Ok(Box::new(sampler)),
        Err(npair_batch::Error::TooFewClasses { need, least, have }) => {
            let why = format!(
                "a batch needs {need} labels that at least {least} examples have, the data has {have}: set it to at most {have}, or \
                 give more data"
            );
            Err(Error::Setting { setting: "batch.classes", why })
        }
        Err(other) => Err(other.into()),
    }
}
