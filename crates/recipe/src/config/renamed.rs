//! Settings under the names that they had in earlier releases: taken, with a note.

use crate::registry::{self, Losses, Miners, Registered, Regularizers};
use toml::{Table, Value};

/// Keys that have moved, the longest first.
const KEYS: [(&str, &str); 5] = [
    ("evaluation.views", "tta.views"),
    ("evaluation.turns", "tta.rotations"),
    ("data.known", "data.seen"),
    ("optimiser", "optimizer"),
    ("regulariser", "regularizer"),
];

/// The present name of a key: the same, but for keys that have moved.
pub(super) fn key(old: &str, notes: &mut Vec<String>) -> String {
    for (from, to) in KEYS {
        let Some(rest) = old.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with(['.', '['])) else {
            continue;
        };
        note(from, to, notes);
        return format!("{to}{rest}");
    }
    old.to_owned()
}

/// Moves what stands under an old key, and calls parts by their present names.
pub(super) fn keys(table: &mut Table, notes: &mut Vec<String>) {
    for (from, to) in KEYS {
        if let Some(value) = take(table, from) {
            note(from, to, notes);
            put(table, to, value);
        }
    }
    if let Some(Value::Table(loss)) = table.get_mut("loss") {
        name::<Losses>(loss, notes);
        if let Some(Value::Array(parts)) = loss.get_mut("parts") {
            parts.iter_mut().filter_map(Value::as_table_mut).for_each(|part| name::<Losses>(part, notes));
        }
    }
    if let Some(Value::Table(miner)) = table.get_mut("miner") {
        name::<Miners>(miner, notes);
    }
    if let Some(Value::Array(all)) = table.get_mut("regularizer") {
        all.iter_mut().filter_map(Value::as_table_mut).for_each(|one| name::<Regularizers>(one, notes));
    }
}

fn name<K: Registered>(part: &mut Table, notes: &mut Vec<String>) {
    let Some(Value::String(name)) = part.get_mut("name") else { return };
    if let Some(row) = registry::find::<K>(name).filter(|row| row.name != name) {
        note(name, row.name, notes);
        row.name.clone_into(name);
    }
}

fn note(from: &str, to: &str, notes: &mut Vec<String>) {
    let note = format!("`{from}` is now called `{to}`; the old name goes with the next release");
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// Takes the value at a path of one or two keys out.
fn take(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((section, key)) => table.get_mut(section)?.as_table_mut()?.remove(key),
    }
}

/// Puts a value at a path of one or two keys; a section is joined with what is there, which counts more.
fn put(table: &mut Table, path: &str, value: Value) {
    let (place, key) = match path.split_once('.') {
        None => (table, path),
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            match section.as_table_mut() {
                Some(section) => (section, key),
                // Not a section: reading it says so.
                None => return,
            }
        }
    };
    match (place.get_mut(key), value) {
        (Some(Value::Table(there)), Value::Table(old)) => {
            for (key, value) in old {
                there.entry(key).or_insert(value);
            }
        }
        (Some(_), _) => {}
        (None, value) => {
            place.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;

    #[test]
    fn old_names_are_taken_with_a_note() {
        let text = "[optimiser]\nlearning_rate = 0.5\n[evaluation]\nviews = 3\nturns = 4\n[data]\nknown = 2\n\
                    [loss]\nname = \"sub-centre-arc-face\"\n[[regulariser]]\nname = \"centre-invariant\"\nweight = 1.0";
        let sets = ["optimiser.momentum=0.25".to_owned()];
        let (config, notes) = Config::parse_noting("c.toml", text, &sets).unwrap();
        assert_eq!((config.optimizer.learning_rate, config.optimizer.momentum), (0.5, 0.25));
        assert_eq!((config.tta.views, config.tta.rotations), (3, 4));
        assert_eq!(config.loss.name(), "sub-center-arc-face");
        assert_eq!(config.regularizer[0].kind.name(), "center-invariant");
        assert_eq!(notes.len(), 7, "{notes:?}");
        assert!(notes.iter().any(|n| n.starts_with("`evaluation.turns` is now called `tta.rotations`")), "{notes:?}");
        // What was written has the new names alone.
        let (again, notes) = Config::parse_noting("again", &config.to_toml().unwrap(), &[]).unwrap();
        assert_eq!((again, notes.len()), (config, 0));
    }
}
