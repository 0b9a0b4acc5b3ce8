//! Settings as a table: overrides are put into it, and what is written in part is completed.

use super::{DataSource, LossConfig, OptimizerName, renamed};
use npair_data::{Channels, PipelineConfig};
use npair_types::ImageSize;
use serde::Deserialize;
use std::cmp::Reverse;
use toml::{Table, Value};

/// Keys whose value says what the other keys of their section are.
const CHOICES: [&str; 3] = ["name", "by", "architecture"];

/// Keys whose value is one of several forms, of which the newer one counts.
const FORMS: [&str; 3] = ["resize", "fill", "rand_augment"];

/// Overrides in an order that does not depend on how they were written down: sections before what is in them, the name of a part
/// before its settings; of one key the last one counts.
pub(super) fn ordered(overrides: &[String]) -> Vec<&String> {
    let mut ordered: Vec<&String> = overrides.iter().collect();
    ordered.sort_by_key(|set| {
        let key = set.split('=').next().unwrap_or("").trim();
        let last = key.rsplit('.').next().unwrap_or("");
        let depth = key.split('.').count();
        (depth, Reverse(CHOICES.contains(&last)))
    });
    ordered
}

/// Puts `KEY=VALUE` into a table; a section is joined with what is there.
pub(super) fn apply(table: &mut Table, set: &str, notes: &mut Vec<String>) -> Result<(), String> {
    let (keys, value) = set.split_once('=').ok_or("write KEY=VALUE, as in training.steps=500")?;
    let keys = renamed::key(keys.trim(), notes);
    let value = value_of(value)?;
    let mut keys: Vec<&str> = keys.split('.').map(str::trim).collect();
    let last = keys.pop().filter(|k| !k.is_empty()).ok_or("the key is empty")?;
    let mut at = table;
    for key in keys {
        let next = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
        if key == "backbone" {
            in_full(next);
        }
        at = next.as_table_mut().ok_or(format!("`{key}` is a value, not a section"))?;
    }
    // Another loss has other settings: those of the old one would not fit.
    if CHOICES.contains(&last) && at.get(last) != Some(&value) {
        at.clear();
    }
    match (at.get_mut(last), value) {
        (Some(Value::Table(there)), Value::Table(new)) if !FORMS.contains(&last) => merge(there, new),
        (_, value) => {
            at.insert(last.to_owned(), value);
        }
    }
    Ok(())
}

/// A value as TOML has it; what is none is a word.
fn value_of(text: &str) -> Result<Value, String> {
    // Beyond 64 bits with a sign it would be taken for a word.
    if text.trim().parse::<i128>().is_ok_and(|number| i64::try_from(number).is_err()) {
        return Err(format!("{} is beyond {}, the largest whole number that TOML has", text.trim(), i64::MAX));
    }
    let parsed = format!("v = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("v"));
    Ok(parsed.unwrap_or_else(|| Value::String(text.to_owned())))
}

/// Joins a section with a newer one, whose values win; one that makes another choice replaces it.
pub(crate) fn merge(there: &mut Table, new: Table) {
    let other_choice = CHOICES.iter().any(|key| new.get(*key).is_some_and(|choice| there.get(*key) != Some(choice)));
    if other_choice {
        there.clear();
    }
    for (key, value) in new {
        match (there.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(value)) if !FORMS.contains(&key.as_str()) => merge(inner, value),
            (_, value) => {
                there.insert(key, value);
            }
        }
    }
}

/// Completes sections of which a part is written.
pub(super) fn complete(table: &mut Table) {
    complete_split(table);
    complete_loss(table);
    complete_optimizer(table);
    complete_images(table);
}

/// A backbone's plain word as the section that it stands for.
fn in_full(backbone: &mut Value) {
    if let Value::String(word) = backbone {
        *backbone = Value::Table(Table::from_iter([("architecture".to_owned(), Value::String(word.clone()))]));
    }
}

/// A loss of which only settings are written is the usual one.
fn complete_loss(table: &mut Table) {
    if let Some(loss) = table.get_mut("loss").and_then(Value::as_table_mut) {
        loss.entry("name").or_insert_with(|| LossConfig::default().name().into());
    }
}

/// An optimizer of which some keys are written is the usual one of its name but for these.
fn complete_optimizer(table: &mut Table) {
    let Some(optimizer) = table.get_mut("optimizer").and_then(Value::as_table_mut) else { return };
    let name = optimizer
        .get("name")
        .and_then(|name| OptimizerName::deserialize(name.clone()).ok())
        .unwrap_or(OptimizerName::Adam);
    let Ok(usual) = Table::try_from(name.usual()) else { return };
    for (key, value) in usual {
        optimizer.entry(key).or_insert(value);
    }
}

fn source_of(table: &Table) -> DataSource {
    let source = table.get("data").and_then(|data| data.get("source")).and_then(Value::as_str);
    source.and_then(|text| DataSource::parse(text).ok()).unwrap_or(DataSource::Glyphs)
}

/// A split of which only amounts are written is the usual one with these.
fn complete_split(table: &mut Table) {
    let source = source_of(table);
    let written = table.get_mut("data").and_then(|data| data.get_mut("split")).and_then(Value::as_table_mut);
    let Some(split) = written.filter(|split| !split.contains_key("by")) else { return };
    let Ok(usual) = Table::try_from(source.usual_split()) else { return };
    for (key, value) in usual {
        split.entry(key).or_insert(value);
    }
}

/// Pictures of which some keys are written are the source's usual ones but for these.
fn complete_images(table: &mut Table) {
    let usual = source_of(table).usual_images();
    if let Some(Value::Table(images)) = table.get_mut("images") {
        let written = std::mem::take(images);
        *images = images_with(&usual, written);
    }
}

/// The settings of pictures that are those of `usual` but for what is written.
pub(crate) fn images_with(usual: &PipelineConfig, written: Table) -> Table {
    let size = written.get("size").and_then(|size| size.clone().try_into::<ImageSize>().ok());
    let channels = match written.get("channels").and_then(Value::as_str) {
        Some("grey") => Some(Channels::Grey),
        Some("rgb") => Some(Channels::Rgb),
        _ => None,
    };
    let base = usual.clone().with_size(size.unwrap_or(usual.size)).with_channels(channels.unwrap_or(usual.channels));
    let mut whole = Table::try_from(base).unwrap_or_default();
    merge(&mut whole, written);
    whole
}

#[cfg(test)]
mod tests {
    use crate::Config;
    use npair_data::{Channels, Resize};
    use npair_types::ImageSize;

    fn read(text: &str, sets: &[&str]) -> Config {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Config::parse("c.toml", text, &sets).unwrap()
    }

    /// A key of the pictures moves that key alone, and what is counted from it.
    #[test]
    fn pictures_written_in_part_keep_the_rest() {
        let photos = read("", &["data.source=photos/"]).images();
        let larger = read("", &["data.source=photos/", "images.size=128"]).images();
        assert_eq!((larger.size, larger.resize), (128.into(), Resize::ShortSide(148)));
        assert_eq!((&larger.mean, &larger.augment), (&photos.mean, &photos.augment));
        let oblong = read("", &["data.source=photos/", "images.size=[128, 96]"]).images();
        assert_eq!((oblong.size, oblong.resize), (ImageSize { height: 128, width: 96 }, Resize::ShortSide(111)));
        let grey = read("[data]\nsource = \"photos/\"\n[images]\nchannels = \"grey\"", &[]).images();
        assert_eq!((grey.channels, grey.mean.len()), (Channels::Grey, 1));
        assert!(grey.augment.crop);
        let flip =
            read("[images.augment]\nflip = 0.25", &["data.source=photos/", "images.augment.crop=false"]).images();
        assert_eq!((flip.augment.flip, flip.augment.crop, flip.size), (0.25, false, photos.size));
        let table = read("", &["images={size=40}", "images.augment.rotate=3", "data.source=photos/"]).images();
        assert_eq!((table.size, table.augment.rotate, table.augment.flip), (40.into(), 3., 0.5));
    }

    /// What is not written of an optimizer is what its name usually has.
    #[test]
    fn optimizers_written_in_part_have_the_values_of_their_name() {
        let lion = read("", &["optimizer.name=lion", "optimizer.weight_decay=0.1"]).optimizer;
        assert_eq!((lion.learning_rate, &lion.betas[..], lion.weight_decay), (3e-4, &[0.9, 0.99][..], 0.1));
        let adan = read("[optimizer]\nname = \"adan\"\nlearning_rate = 0.01", &[]).optimizer;
        assert_eq!((adan.learning_rate, &adan.betas[..]), (0.01, &[0.98, 0.92, 0.99][..]));
        let adam = read("", &["optimizer.clip_norm=1.0"]).optimizer;
        assert_eq!((adam.learning_rate, &adam.betas[..]), (3e-3, &[0.9, 0.999][..]));
        assert_eq!(read("[optimizer]\nname = \"adamw\"", &[]).optimizer, Config::default().optimizer);
        for name in ["adam", "sgd", "lion", "adan"] {
            let config = read("", &[&format!("optimizer.name={name}")]);
            assert_eq!(config.optimizer.name.word(), name);
            config.optimizer.build().unwrap();
            assert_eq!(Config::parse("again", &config.to_toml().unwrap(), &[]).unwrap(), config);
        }
        let wrong =
            read("", &["optimizer.name=lion", "optimizer.betas=[0.9, 0.9, 0.9]"]).optimizer.build().err().unwrap();
        assert!(wrong.to_string().contains("lion has 2 of them: the usual ones are [0.9, 0.99]"), "{wrong}");
    }

    #[test]
    fn the_order_of_overrides_does_not_matter() {
        let sets = ["loss.margin=0.5", "loss.name=triplet-margin", "training={steps=7}", "training.eval_every=3"];
        let one = read("", &sets);
        let mut back = sets;
        back.reverse();
        assert_eq!(one, read("", &back));
        assert_eq!((one.loss.name(), one.training.steps, one.training.eval_every), ("triplet-margin", 7, 3));
        assert_eq!(read("", &["seed=1", "seed=2"]).seed, 2);
        let margin = "[loss]\nname = \"triplet-margin\"\nmargin = 0.25";
        assert_eq!(read(margin, &["loss.name=triplet-margin"]).loss.settings()["margin"].as_float(), Some(0.25));
    }
}
