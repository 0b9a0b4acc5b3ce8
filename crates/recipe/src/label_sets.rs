//! Classes that are sets of labels (`data.label_separator`): what they share is learned and judged.

use crate::{Config, Error, Result};
use npair_batch::{BatchSampler, LabelSampler};
use npair_data::Amount;
use npair_evaluate::Inputs;
use npair_losses::Accepts;
use npair_types::{ChaCha8Rng, LabelSets, TupleKind};

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

/// Batches of examples that share labels.
pub(crate) fn sampler(
    config: &Config,
    inputs: &dyn Inputs,
    sets: &LabelSets,
    accepts: Accepts,
    rng: ChaCha8Rng,
) -> Result<Box<dyn BatchSampler>> {
    if accepts.check(TupleKind::Labeled, None, false).is_err() || accepts.needs_two_per_class() {
        let why = "takes pairs of one class, but with data.label_separator a batch has examples that share labels: \
                   multi-sup-con is the loss for those";
        return Err(Error::Setting { setting: "loss.name", why: why.to_owned() });
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
