//! Split and batch as the data has room for, where nobody said otherwise.

use crate::config::{Config, DataSource};
use crate::draft::{Draft, Given};
use crate::{Error, Result, label_sets};
use npair_backbones::{BackboneConfig, InputSpec};
use npair_data::{Amount, Channels, Dataset, OfficialSide, SplitConfig};
use npair_evaluate::Inputs;
use npair_types::ExampleId;
use std::collections::BTreeSet;

/// From so many classes on the usual split has room: a tenth of them and two to choose by.
const ROOM: usize = 20;
/// From so many classes on two can be kept for the end.
const FEW: usize = 5;
/// So many examples a class has to have for some to be kept back.
const KEPT_OF: usize = 4;

/// Chooses the split for a data set; says what it chose and why.
pub(crate) fn split(draft: &mut Draft, data: &dyn Dataset) -> Option<String> {
    let Draft { config, given, .. } = draft;
    if !given.has("data.split") && matches!(config.data.split(), SplitConfig::Official { .. }) {
        if (0..data.len()).any(|i| data.official(ExampleId(i)).is_some()) {
            return official(config, data);
        }
        // A table that knows no sides.
        config.data.split = Some(DataSource::Folder("".into()).usual_split());
    }
    let drawn_by_class = matches!(config.data.split(), SplitConfig::Classes { .. });
    if given.has("data.split") || given.has("data.seen") || !drawn_by_class || config.data.source == DataSource::Glyphs
    {
        return None;
    }
    let index = data.class_index();
    let classes = index.len();
    // A part of a data set that is all for training is split as any other.
    if (0..data.len()).any(|i| data.official(ExampleId(i)).is_some_and(|side| side != OfficialSide::Train)) {
        let val = if classes >= ROOM { Amount::Fraction(0.1) } else { Amount::Count(0) };
        config.data.split = Some(SplitConfig::Official { val });
        return Some("data.split: the sides that the folders are named by".to_owned());
    }
    if classes >= ROOM {
        return None;
    }
    let none = Amount::Count(0);
    if classes >= FEW {
        let test = (classes / 5).max(2);
        config.data.split = Some(SplitConfig::Classes { val: none, test: Amount::Count(test) });
        return Some(format!(
            "data.split: {test} of {classes} classes are kept for the test, none to choose a checkpoint by: there are too few"
        ));
    }
    config.data.split = Some(SplitConfig::Classes { val: none, test: none });
    let least = (0..classes).map(|place| index.examples(place).len()).min().unwrap_or(0);
    if least < KEPT_OF {
        return Some(format!(
            "data.split: all of {classes} classes are learned from; with {least} examples in the smallest nothing can be kept to judge by"
        ));
    }
    config.data.seen = Amount::Fraction(0.25);
    Some(format!(
        "data.split: all of {classes} classes are learned from, and judged by a quarter of their examples (data.seen): scores are not of unseen classes"
    ))
}

/// The data set's own split, with classes to choose a checkpoint by where there are enough to learn from.
fn official(config: &mut Config, data: &dyn Dataset) -> Option<String> {
    let learned = |i: &usize| data.official(ExampleId(*i)) == Some(OfficialSide::Train);
    let classes: BTreeSet<_> = (0..data.len()).filter(learned).map(|i| data.labels().get(i)).collect();
    if classes.len() >= ROOM {
        return None;
    }
    config.data.split = Some(SplitConfig::Official { val: Amount::Count(0) });
    Some(format!(
        "data.split: none of the {} classes to learn from are kept to choose a checkpoint by: there are too few",
        classes.len()
    ))
}

/// Pictures of the size and channels that the network takes, where nobody said otherwise; an error where somebody did.
pub(crate) fn images(config: &mut Config, backbone: &BackboneConfig) -> Result<()> {
    let InputSpec { channels, size } = backbone.input();
    let wrong = |setting, why: String| Err(Error::Setting { setting, why });
    if config.images.is_none() && config.model.pretrained.is_none() {
        let made = if channels == 1 { Channels::Grey } else { Channels::Rgb };
        let usual = config.images().with_channels(made);
        if usual.size != size || usual.channels != config.images().channels {
            config.images = Some(usual.with_size(size));
        }
    }
    // Weights say themselves how pictures are made, if nobody else does.
    if config.images.is_none() && config.model.pretrained.is_some() {
        return Ok(());
    }
    let images = config.images();
    if images.size != size {
        let why =
            format!("is {}, but the network takes {size}: set images.size={size}, or model.backbone.size", images.size);
        return wrong("images.size", why);
    }
    let made = if images.channels == Channels::Grey { 1 } else { 3 };
    if made != channels {
        let name = if channels == 1 { "grey" } else { "rgb" };
        let why = format!(
            "makes {made} channels, but the network takes {channels}: set images.channels=\"{name}\" and as many of images.mean and images.std"
        );
        return wrong("images.channels", why);
    }
    Ok(())
}

/// Chooses the classes of a batch, and how many examples of each, for what is learned from; says what is not the usual.
pub(crate) fn batch(draft: &mut Draft, train: &dyn Inputs) -> Vec<String> {
    let Draft { config, given, .. } = draft;
    let mut chosen = Vec::new();
    if matches!(given, Given::All) {
        return chosen;
    }
    let (index, what) = match label_sets::label_sets(config, train) {
        Some(sets) => (sets.by_label(&train.class_index()), "label"),
        None => (train.class_index(), "class"),
    };
    let with = |least: usize| (0..index.len()).filter(|&place| index.examples(place).len() >= least).count();
    let planned = config.batch.per_class;
    if !given.has("batch.per_class") {
        // Nine in ten of the classes that can form a pair have to be in the game.
        let enough = |per_class: usize| with(per_class) >= 2 && 10 * with(per_class) >= 9 * with(2);
        while config.batch.per_class > 2 && !enough(config.batch.per_class) {
            config.batch.per_class -= 1;
        }
        if config.batch.per_class != planned {
            chosen.push(format!(
                "batch.per_class = {}: more are too many for the classes that are there",
                config.batch.per_class
            ));
        }
    }
    let usable = with(config.batch.per_class.max(2));
    if given.has("batch.classes") || usable >= config.batch.classes || usable < 2 {
        return chosen;
    }
    config.batch.classes = usable;
    chosen.push(format!("batch.classes = {usable}: every {what} that has {} examples", config.batch.per_class.max(2)));
    chosen
}
