//! Settings as they were written, before the data has had its say.

use crate::config::DataSource;
use crate::{Config, Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The keys that somebody wrote, with dots: what is among them stays as it is, the rest may be chosen by the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Each of them: settings made by a program.
    All,
    /// These.
    Keys(BTreeSet<String>),
}

impl Given {
    /// The keys of a table.
    pub(crate) fn of(table: &toml::Table) -> Self {
        let mut keys = BTreeSet::new();
        collect(table, "", &mut keys);
        Self::Keys(keys)
    }

    /// Whether a key, a part of it or its section was written.
    pub fn has(&self, key: &str) -> bool {
        let Self::Keys(keys) = self else { return true };
        let below =
            |long: &str, short: &str| long.strip_prefix(short).is_some_and(|r| r.is_empty() || r.starts_with('.'));
        keys.iter().any(|given| below(given, key) || below(key, given))
    }
}

fn collect(table: &toml::Table, prefix: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => collect(inner, &full, keys),
            _ => {
                keys.insert(full);
            }
        }
    }
}

/// The settings of a new run, and which of them were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The settings, those that were left out with their usual values.
    pub config: Config,
    /// What was written.
    pub given: Given,
    /// Whether the data chooses what was not written; else it has its usual values, but for split and batch where the data has no
    /// room for them.
    pub planned: bool,
    /// How long the run may take, in minutes; the number of steps follows from it, unless that is written.
    pub minutes: Option<f64>,
    /// What was written of `[images]`.
    pub(crate) images: toml::Table,
}

impl Draft {
    /// Reads a file, if one is given, and overrides; with a note for every name of an earlier release.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read(file: Option<&Path>, overrides: &[String]) -> Result<(Self, Vec<String>)> {
        let (config, table, notes) = Config::read_table(file, overrides)?;
        let images = table.get("images").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        Ok((Self { config, given: Given::of(&table), planned: true, minutes: None, images }, notes))
    }

    /// An error for a time that is none, or that says the same as another setting.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::Setting { setting: "--minutes", why });
        match self.minutes {
            Some(minutes) if !(minutes.is_finite() && minutes > 0.) => {
                wrong(format!("is {minutes}, but has to be above 0"))
            }
            Some(_) if self.given.has("training.steps") => {
                wrong("and training.steps both say how long the run is: leave one of them out".to_owned())
            }
            Some(_) if self.config.data.source.is_vectors() => {
                wrong("is for pictures; for vectors set training.steps".to_owned())
            }
            Some(_) if !self.planned => wrong("needs a plan: leave --no-plan out, or set training.steps".to_owned()),
            _ => Ok(()),
        }
    }

    /// Settings of a run of which nothing was learned yet: its batch becomes smaller where the data has less room than before.
    pub(crate) fn that_shrinks(config: Config) -> Self {
        let written = ["data.split", "data.seen", "batch.per_class"];
        let given = Given::Keys(written.into_iter().map(str::to_owned).collect());
        Self { given, ..config.into() }
    }

    /// Names the data, by a path that holds from any working folder.
    pub fn set_source(&mut self, source: DataSource) {
        self.config.data.source = source.absolute();
    }
}

impl From<Config> for Draft {
    fn from(config: Config) -> Self {
        Self { config, given: Given::All, planned: false, minutes: None, images: toml::Table::new() }
    }
}

impl DataSource {
    /// The same with paths from the root, so that it can be found from any working folder.
    #[must_use]
    pub fn absolute(self) -> Self {
        // A path that the system cannot make absolute (an empty one) stays, and is said when it is opened.
        let far = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        match self {
            Self::Glyphs => Self::Glyphs,
            Self::Omniglot(path) => Self::Omniglot(far(path)),
            Self::Cub(path) => Self::Cub(far(path)),
            Self::Cars(path) => Self::Cars(far(path)),
            Self::OnlineProducts(path) => Self::OnlineProducts(far(path)),
            Self::InShop(path) => Self::InShop(far(path)),
            Self::WebFace(path) => Self::WebFace(far(path)),
            Self::Lfw(path) => Self::Lfw(far(path)),
            Self::Csv(path) => Self::Csv(far(path)),
            Self::Folder(path) => Self::Folder(far(path)),
            Self::Vectors { vectors, labels } => Self::Vectors { vectors: far(vectors), labels: labels.map(far) },
        }
    }
}
