use super::read::unknown;
use crate::registry::{self, Registered, RegistryRow};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A part by its name, with its settings.
pub struct Choice<K: Registered> {
    row: &'static RegistryRow<K::Make>,
    /// All of them, resolved.
    settings: toml::Table,
}

impl<K: Registered> Choice<K> {
    /// The part of that name with its usual settings.
    ///
    /// # Errors
    /// The names that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::read(name, toml::Table::new())
    }

    fn read(name: &str, settings: toml::Table) -> Result<Self, String> {
        let Some(row) = registry::find::<K>(name) else {
            let known: Vec<String> = K::rows().iter().map(|row| format!("`{}`", row.name)).collect();
            return Err(said::<K>(&format!("unknown variant `{name}`, expected one of {}", known.join(", "))));
        };
        let settings = (row.resolve)(settings).map_err(|e| said::<K>(e.message()))?;
        Ok(Self { row, settings })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.row.name
    }

    /// Its settings, those that were left out with their usual values.
    pub fn settings(&self) -> &toml::Table {
        &self.settings
    }

    /// How it is made of its settings.
    pub(crate) fn maker(&self) -> K::Make {
        self.row.make
    }
}

/// A message about a part's settings, with their section.
fn said<K: Registered>(message: &str) -> String {
    let place = format!(" in [{}]", K::SECTION);
    unknown(message, &place).unwrap_or_else(|| format!("{message}{place}"))
}

impl<K: Registered> Clone for Choice<K> {
    fn clone(&self) -> Self {
        Self { row: self.row, settings: self.settings.clone() }
    }
}

impl<K: Registered> PartialEq for Choice<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.row.name, &self.settings) == (other.row.name, &other.settings)
    }
}

impl<K: Registered> fmt::Debug for Choice<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.row.name, self.settings)
    }
}

impl<K: Registered> Serialize for Choice<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = toml::Table::new();
        table.insert("name".to_owned(), self.row.name.into());
        table.extend(self.settings.clone());
        table.serialize(serializer)
    }
}

impl<'de, K: Registered> Deserialize<'de> for Choice<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        match table.remove("name") {
            Some(toml::Value::String(name)) => Self::read(&name, table).map_err(D::Error::custom),
            Some(other) => Err(D::Error::custom(format!("`name` is {other}, but has to be a string"))),
            None => Err(D::Error::missing_field("name")),
        }
    }
}
