//! Where the pictures of a table come from: `--data` against experiments/data.toml.

use super::experiment::{Experiment, methods};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An entry of data.toml.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    pub description: String,
    /// The settings' file that two cores can run.
    config: String,
    /// The paper's own size.
    full: Option<String>,
    /// Whether the data stands in for what the paper used.
    pub stand_in: bool,
    /// How long it takes, and on what.
    pub expected: String,
    /// By table, the paper's data set whose cells stand beside ours.
    #[serde(default)]
    pub beside: BTreeMap<String, String>,
    /// Settings by method, beyond those of methods.toml.
    #[serde(default)]
    more: BTreeMap<String, Vec<String>>,
}

/// The size of a reproduction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Some steps, to see that everything runs.
    Quick,
    /// What two cores can do.
    Usual,
    /// The paper's own.
    Full,
}

/// Steps of a quick run.
pub const QUICK_STEPS: u64 = 30;

/// A source of pictures, and the one that is judged on where it is another (LFW after CASIA-WebFace).
pub struct Source {
    pub name: String,
    pub entry: Entry,
    /// `--data` of `npair train`.
    data: String,
    /// `--protocol` of `npair eval`, instead of the test split.
    pub protocol: Option<String>,
}

impl Source {
    /// `words` are those of `--data`: one source, or a source and `lfw=PATH`.
    pub fn read(root: &Path, words: &[String]) -> Result<Self> {
        let file = root.join("xtask/experiments/data.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let entries: BTreeMap<String, Entry> =
            toml::from_str(&text).with_context(|| format!("{} is not understood", file.display()))?;
        let (lfw, main): (Vec<&String>, Vec<&String>) = words.iter().partition(|w| w.starts_with("lfw="));
        let [main] = main[..] else { bail!("--data: give one source (and lfw=PATH beside webface=PATH)") };
        let (name, data) = match main.split_once('=') {
            Some((name, path)) => (name, format!("{name}={}", absolute(path)?)),
            None => (main.as_str(), main.clone()),
        };
        let Some(entry) = entries.get(name) else {
            let known = entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            bail!(
                "--data: no tables are known for `{name}`; there are {known}. A folder of pictures goes without --table"
            );
        };
        let protocol = match (name, &lfw[..]) {
            ("webface", [lfw]) => Some(format!("lfw={}", absolute(&lfw["lfw=".len()..])?)),
            ("webface", _) => bail!("--data webface=PATH is judged on LFW: give --data lfw=PATH, too"),
            (_, []) => None,
            _ => bail!("--data lfw=PATH goes beside webface=PATH"),
        };
        Ok(Self { name: name.to_owned(), entry: entry.clone(), data, protocol })
    }

    /// What is trained for these methods, at this size.
    pub fn experiment(&self, root: &Path, names: &[&str], size: Size, steps: Option<u64>) -> Result<Experiment> {
        let folder = root.join("xtask/experiments");
        let config: PathBuf = match (size, &self.entry.full) {
            (Size::Full, Some(full)) => folder.join(full),
            (Size::Full, None) => bail!("--full: {} has no larger size than the usual one", self.name),
            _ => folder.join(&self.entry.config),
        };
        let mut methods = methods(&folder)?;
        methods.retain(|m| names.contains(&m.name.as_str()));
        for method in &mut methods {
            method.sets.extend(self.entry.more.get(&method.name).into_iter().flatten().cloned());
        }
        let steps = if size == Size::Quick { Some(QUICK_STEPS) } else { steps };
        let sets = steps.iter().map(|n| format!("training.steps={n}")).collect();
        let data = self.data.clone();
        Ok(Experiment { config, data, description: self.entry.description.clone(), sets, methods })
    }
}

/// The file is the same for every run, wherever it is called from.
pub fn absolute(path: &str) -> Result<String> {
    let path = Path::new(path).canonicalize().with_context(|| format!("{path}: no such file or folder"))?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_their_experiments_are_read() {
        let root = crate::tree::root().unwrap();
        let read = |words: &[&str]| Source::read(&root, &words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        let glyphs = read(&["glyphs"]).unwrap();
        let experiment = glyphs.experiment(&root, &["n-pair-mc-nm", "triplet"], Size::Quick, None).unwrap();
        assert_eq!(experiment.sets, ["training.steps=30"]);
        assert_eq!(experiment.methods.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["triplet", "n-pair-mc-nm"]);
        assert!(glyphs.experiment(&root, &["triplet"], Size::Full, None).is_err());
        let said = |words: &[&str]| read(words).err().unwrap().to_string();
        assert!(said(&["birds=."]).contains("no tables are known for `birds`"));
        assert!(said(&["webface=."]).contains("give --data lfw=PATH"));
        assert!(said(&["glyphs", "lfw=."]).contains("goes beside webface"));
        let faces = read(&["webface=.", "lfw=."]).unwrap();
        assert!(faces.protocol.unwrap().starts_with("lfw=/"));
    }

    #[test]
    fn every_file_that_is_named_is_there() {
        let root = crate::tree::root().unwrap();
        let text = std::fs::read_to_string(root.join("xtask/experiments/data.toml")).unwrap();
        let entries: BTreeMap<String, Entry> = toml::from_str(&text).unwrap();
        let known: Vec<String> =
            methods(&root.join("xtask/experiments")).unwrap().into_iter().map(|m| m.name).collect();
        for (name, entry) in entries {
            for file in std::iter::once(&entry.config).chain(&entry.full) {
                assert!(root.join("xtask/experiments").join(file).is_file(), "{name}: {file}");
            }
            for (table, data) in &entry.beside {
                let spec = super::super::paper::Paper::read(&root, table).unwrap();
                assert!(spec.cells.contains_key(data), "{name}: table {table} has no {data}");
            }
            assert!(entry.more.keys().all(|m| known.contains(m)), "{name}");
        }
    }
}
