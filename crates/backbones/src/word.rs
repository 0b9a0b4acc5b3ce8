//! A backbone in a file of settings: a table, or its name alone.

use crate::BackboneConfig;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

impl Serialize for BackboneConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for BackboneConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = BackboneConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an architecture, or a table with the key `architecture`")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<BackboneConfig, E> {
        BackboneConfig::named(name).ok_or_else(|| {
            let all = BackboneConfig::all().map(|config| config.architecture());
            E::custom(format_args!("unknown architecture `{name}`; there are {}", all.join(", ")))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<BackboneConfig, A::Error> {
        BackboneConfig::deserialize(MapAccessDeserializer::new(table))
    }
}
