use npair_data::{Amount, GlyphConfig, Part, PipelineConfig, SplitConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where pictures come from: `glyphs`, `omniglot=PATH`, or the path of a folder with a folder per class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum DataSource {
    /// The built-in glyph set.
    Glyphs,
    /// Omniglot in its official layout: a zip, a folder, or a folder of zips.
    Omniglot(PathBuf),
    /// A folder per class.
    Folder(PathBuf),
}

impl From<String> for DataSource {
    fn from(text: String) -> Self {
        match text.split_once('=') {
            _ if text == "glyphs" => Self::Glyphs,
            Some(("omniglot", path)) => Self::Omniglot(path.into()),
            _ => Self::Folder(text.into()),
        }
    }
}

impl From<DataSource> for String {
    fn from(source: DataSource) -> Self {
        match source {
            DataSource::Glyphs => "glyphs".to_owned(),
            DataSource::Omniglot(path) => format!("omniglot={}", path.display()),
            DataSource::Folder(path) => path.display().to_string(),
        }
    }
}

impl DataSource {
    pub(crate) fn usual_images(&self) -> PipelineConfig {
        match self {
            Self::Glyphs | Self::Omniglot(_) => PipelineConfig::strokes(28),
            Self::Folder(_) => PipelineConfig::photos(64),
        }
    }
}

/// Data and split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Where pictures come from.
    pub source: DataSource,
    /// The built-in set's size; for `source = "glyphs"`.
    pub glyphs: GlyphConfig,
    /// Parts of Omniglot to use, all that are there if empty; for `source = "omniglot=..."`.
    pub parts: Vec<Part>,
    /// Which classes (or examples) are kept for validation and test.
    pub split: SplitConfig,
    /// Examples of every training class that are kept back to judge recognition of known classes.
    pub known: Amount,
    /// The four right-angle rotations of a training class become classes of their own.
    pub rotations: bool,
    /// Leaves out pictures that cannot be decoded, and lists them, instead of stopping.
    pub skip_bad: bool,
    /// Decoded pictures kept in memory, MiB.
    pub cache_mib: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: DataSource::Glyphs,
            glyphs: GlyphConfig::default(),
            parts: Vec::new(),
            split: SplitConfig::Classes { val: Amount::Fraction(0.1), test: Amount::Fraction(0.2) },
            known: Amount::Count(0),
            rotations: false,
            skip_bad: false,
            cache_mib: 1024,
        }
    }
}
