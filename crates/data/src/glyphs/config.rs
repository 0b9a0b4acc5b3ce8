use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a [`GlyphSet`](crate::GlyphSet) holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlyphConfig {
    /// Seed of all shapes and hands.
    pub seed: u64,
    /// Number of classes, at least 2.
    pub classes: u32,
    /// Pictures of each class, at least 1.
    pub instances: u32,
    /// Width and height in pixels, 12 to 1024.
    pub size: u32,
    /// The first class id: two sets of one seed with ranges that do not overlap share no class.
    pub first_class: u32,
}

impl Default for GlyphConfig {
    fn default() -> Self {
        Self { seed: 0, classes: 1000, instances: 20, size: 28, first_class: 0 }
    }
}

impl GlyphConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.classes < 2 {
            return Err(Error::setting("classes", self.classes, "at least 2 are needed to tell apart"));
        }
        if self.instances == 0 {
            return Err(Error::setting("instances", 0, "every class needs at least 1"));
        }
        if !(12..=1024).contains(&self.size) {
            return Err(Error::setting("size", self.size, "from 12 to 1024 pixels"));
        }
        if u64::from(self.classes) * u64::from(self.instances) > 1 << 31 {
            return Err(Error::setting("classes", self.classes, "classes x instances may be at most 2^31"));
        }
        if self.first_class.checked_add(self.classes).is_none() {
            return Err(Error::setting("first_class", self.first_class, format!("class ids end at {}", u32::MAX)));
        }
        Ok(())
    }
}
