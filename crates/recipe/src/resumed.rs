//! Which settings may change when a run goes on.

use crate::config::ScheduleName;
use crate::{Config, Error, Result};

/// Keys that move neither weights nor batches, by the beginning of their names.
const HARMLESS: [&str; 14] = [
    "device",
    "data.source",
    "data.skip_bad",
    "data.cache_mib",
    "training.checkpoint_every",
    "training.eval_every",
    "training.allow_dead",
    // More of them, which stretches the schedule: said by a note.
    "training.steps",
    // For a device that has no such products: said by a note, too.
    "training.precision",
    // For other ranks: said by a note as well.
    "training.shards",
    "training.patience",
    "training.tensor_board",
    "evaluation",
    "tta",
];

/// Those of them that move weights where the learning rate falls by what validation finds.
const JUDGING: [&str; 2] = ["training.eval_every", "evaluation"];

/// An error for the first setting that would make it another run.
pub(crate) fn check(old: &Config, new: &Config) -> Result<()> {
    let table = |config: &Config| {
        config
            .to_toml()?
            .parse::<toml::Table>()
            .map_err(|e| Error::Config { place: "settings".to_owned(), why: e.message().to_owned() })
    };
    if new.training.steps < old.training.steps {
        let why = format!("cannot go below the {} of the run when it goes on", old.training.steps);
        return Err(Error::Setting { setting: "training.steps", why });
    }
    let judged = old.schedule.name == ScheduleName::Plateau;
    let harmless: Vec<&str> = HARMLESS.into_iter().filter(|key| !(judged && JUDGING.contains(key))).collect();
    match first_difference(&table(old)?, &table(new)?, &harmless, "") {
        None => Ok(()),
        Some(key) => {
            let why = format!(
                "`{key}` cannot change when a run goes on; {} can. Start a new run for it",
                harmless.join(", ")
            );
            Err(Error::Setting { setting: "--resume", why })
        }
    }
}

/// The first key that differs and may not.
fn first_difference(old: &toml::Table, new: &toml::Table, harmless: &[&str], prefix: &str) -> Option<String> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if harmless.contains(&full.as_str()) {
            continue;
        }
        let found = match (old.get(key), new.get(key)) {
            (Some(toml::Value::Table(a)), Some(toml::Value::Table(b))) => first_difference(a, b, harmless, &full),
            (a, b) if a == b => None,
            _ => Some(full),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
