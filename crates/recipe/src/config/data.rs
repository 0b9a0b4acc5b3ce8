use npair_data::{Amount, GlyphConfig, Part, PipelineConfig, SplitConfig};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where examples come from: `glyphs`, `NAME=PATH` for a data set in its official layout, `vectors=FILE,labels=FILE` for vectors
/// of any origin, or the path of a folder with a folder per class.
///
/// ```
/// # use npair_recipe::config::DataSource;
/// assert_eq!(DataSource::parse("cub=birds/CUB_200_2011")?, DataSource::Cub("birds/CUB_200_2011".into()));
/// assert_eq!(DataSource::parse("photos/")?, DataSource::Folder("photos/".into()));
/// assert!(DataSource::parse("cup=birds").unwrap_err().contains("cub=PATH"));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DataSource {
    /// The built-in glyph set.
    Glyphs,
    /// Omniglot in its official layout: a zip, a folder, or a folder of zips.
    Omniglot(PathBuf),
    /// CUB-200-2011.
    Cub(PathBuf),
    /// Cars-196, in either layout.
    Cars(PathBuf),
    /// Stanford Online Products.
    OnlineProducts(PathBuf),
    /// In-shop Clothes Retrieval.
    InShop(PathBuf),
    /// CASIA-WebFace.
    WebFace(PathBuf),
    /// Labeled Faces in the Wild.
    Lfw(PathBuf),
    /// A table in the format of open-metric-learning.
    Csv(PathBuf),
    /// A matrix with a row per example: `.npy`, or `.safetensors` with `embeddings`; and its labels, unless they lie in it.
    Vectors {
        /// The matrix.
        vectors: PathBuf,
        /// `.npy` of whole numbers, or `.safetensors` with `labels`.
        labels: Option<PathBuf>,
    },
    /// A folder per class.
    Folder(PathBuf),
}

/// A name before the `=`, and the source of the path behind it.
type Named = (&'static str, fn(PathBuf) -> DataSource);

/// Names of sources with a path.
const NAMED: [Named; 8] = [
    ("omniglot", DataSource::Omniglot),
    ("cub", DataSource::Cub),
    ("cars", DataSource::Cars),
    ("sop", DataSource::OnlineProducts),
    ("in-shop", DataSource::InShop),
    ("webface", DataSource::WebFace),
    ("lfw", DataSource::Lfw),
    ("csv", DataSource::Csv),
];

impl DataSource {
    /// Reads `glyphs`, `NAME=PATH` or a path.
    ///
    /// # Errors
    /// The names that there are, if what stands before the first `=` looks like a name but is none, and there is no such folder.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "glyphs" {
            return Ok(Self::Glyphs);
        }
        let Some((name, path)) = text.split_once('=') else { return Ok(Self::Folder(text.into())) };
        if name == "vectors" {
            return Self::parse_vectors(path);
        }
        if let Some((_, source)) = NAMED.iter().find(|(known, _)| *known == name) {
            return if path.is_empty() {
                Err(format!("`{text}` lacks the path: {name}=PATH"))
            } else {
                Ok(source(path.into()))
            };
        }
        let named = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if named && !Path::new(text).exists() {
            let known: Vec<String> = NAMED.iter().map(|(name, _)| format!("{name}=PATH")).collect();
            return Err(format!(
                "`{text}` is no source and no folder: give glyphs, {}, vectors=FILE,labels=FILE, or the path of a folder with a folder per class",
                known.join(", ")
            ));
        }
        Ok(Self::Folder(text.into()))
    }

    fn parse_vectors(text: &str) -> Result<Self, String> {
        let (vectors, labels) = match text.split_once(",labels=") {
            Some((vectors, labels)) => (vectors, Some(labels)),
            None => (text, None),
        };
        if vectors.is_empty() || labels.is_some_and(str::is_empty) {
            return Err(format!("`vectors={text}` lacks a file: vectors=FILE,labels=FILE"));
        }
        Ok(Self::Vectors { vectors: vectors.into(), labels: labels.map(Into::into) })
    }

    /// The name before the `=`, and the path.
    fn named(&self) -> Option<(&'static str, &Path)> {
        let name = |name| NAMED.iter().find(|(known, _)| *known == name).map_or("", |n| n.0);
        Some(match self {
            Self::Glyphs | Self::Folder(_) | Self::Vectors { .. } => return None,
            Self::Omniglot(path) => (name("omniglot"), path),
            Self::Cub(path) => (name("cub"), path),
            Self::Cars(path) => (name("cars"), path),
            Self::OnlineProducts(path) => (name("sop"), path),
            Self::InShop(path) => (name("in-shop"), path),
            Self::WebFace(path) => (name("webface"), path),
            Self::Lfw(path) => (name("lfw"), path),
            Self::Csv(path) => (name("csv"), path),
        })
    }

    /// The files and folders that it lies in.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Folder(path) => vec![path],
            Self::Vectors { vectors, labels } => std::iter::once(vectors).chain(labels).map(PathBuf::as_path).collect(),
            other => other.named().map(|(_, path)| path).into_iter().collect(),
        }
    }

    /// An error if it does not lie where a run found it any more.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) with what to do.
    pub fn expect_there(&self) -> crate::Result<()> {
        match self.paths().into_iter().find(|path| !path.exists()) {
            None => Ok(()),
            Some(path) => {
                let why = "is not there: if the data of the run has moved, name its place with --data";
                Err(crate::Error::file(path, why))
            }
        }
    }

    /// Whether examples are vectors, not pictures.
    pub fn is_vectors(&self) -> bool {
        matches!(self, Self::Vectors { .. })
    }

    pub(crate) fn usual_images(&self) -> PipelineConfig {
        match self {
            Self::Glyphs | Self::Omniglot(_) => PipelineConfig::strokes(28),
            _ => PipelineConfig::photos(64),
        }
    }

    /// The official split where the data set has one that papers train by, keeping a tenth of its training classes to choose by;
    /// a tenth and a fifth of the classes otherwise.
    pub(crate) fn usual_split(&self) -> SplitConfig {
        let val = Amount::Fraction(0.1);
        match self {
            Self::Glyphs | Self::Omniglot(_) | Self::Lfw(_) | Self::Folder(_) | Self::Vectors { .. } => {
                SplitConfig::Classes { val, test: Amount::Fraction(0.2) }
            }
            _ => SplitConfig::Official { val },
        }
    }
}

impl TryFrom<String> for DataSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<DataSource> for String {
    fn from(source: DataSource) -> Self {
        match (&source, source.named()) {
            (_, Some((name, path))) => format!("{name}={}", path.display()),
            (DataSource::Folder(path), None) => path.display().to_string(),
            (DataSource::Vectors { vectors, labels: None }, _) => format!("vectors={}", vectors.display()),
            (DataSource::Vectors { vectors, labels: Some(labels) }, _) => {
                format!("vectors={},labels={}", vectors.display(), labels.display())
            }
            _ => "glyphs".to_owned(),
        }
    }
}

/// Data and split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Where examples come from.
    pub source: DataSource,
    /// The built-in set's size; for `source = "glyphs"`.
    pub glyphs: GlyphConfig,
    /// Parts of Omniglot to use, all that are there if empty; for `source = "omniglot=..."`.
    pub parts: Vec<Part>,
    /// Folders of a path that name the class: 1 for `CLASS/**`, 2 for `CATEGORY/CLASS/**`; recognised without. For a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<usize>,
    /// What stands between the labels of a class's name, where classes are sets of labels ("red|dress"): pictures are alike in the
    /// labels that they share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_separator: Option<String>,
    /// Which classes (or examples) are kept for validation and test; without it the source's usual split.
    pub split: Option<SplitConfig>,
    /// Examples of every training class that are kept back to judge recognition of seen classes.
    pub seen: Amount,
    /// Without classes: every picture is learned from as a class of its own, in so many views that are changed at random, and judged
    /// by how well it is found by another view; 0 for the classes that the data has.
    #[serde(skip_serializing_if = "is_zero")]
    pub views: usize,
    /// The four right-angle rotations of a training class become classes of their own.
    pub rotations: bool,
    /// Leaves out pictures that cannot be decoded, and lists them, instead of stopping.
    pub skip_bad: bool,
    /// Decoded pictures kept in memory, MiB.
    pub cache_mib: u64,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl DataConfig {
    /// The split: the given one, or the source's usual one.
    pub fn split(&self) -> SplitConfig {
        self.split.clone().unwrap_or_else(|| self.source.usual_split())
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: DataSource::Glyphs,
            glyphs: GlyphConfig::default(),
            parts: Vec::new(),
            levels: None,
            label_separator: None,
            split: None,
            seen: Amount::Count(0),
            views: 0,
            rotations: false,
            skip_bad: false,
            cache_mib: 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_written() {
        for (name, source) in NAMED {
            let text = format!("{name}=some/where=else");
            let parsed = DataSource::parse(&text).unwrap();
            assert_eq!(parsed, source("some/where=else".into()));
            assert_eq!(String::from(parsed), text);
            assert!(DataSource::parse(&format!("{name}=")).unwrap_err().contains("lacks the path"));
        }
        for folder in ["photos/", "a b", "data/x=1/photos", "./x=1"] {
            assert_eq!(String::from(DataSource::parse(folder).unwrap()), folder);
            assert_eq!(DataSource::parse(folder).unwrap(), DataSource::Folder(folder.into()));
        }
        for text in ["vectors=x.npy,labels=y.npy", "vectors=a b.safetensors"] {
            assert_eq!(String::from(DataSource::parse(text).unwrap()), text);
        }
        assert!(DataSource::parse("vectors=").unwrap_err().contains("vectors=FILE,labels=FILE"));
        let said = DataSource::parse("omnigolt=x.zip").unwrap_err();
        assert!(said.contains("omniglot=PATH") && said.contains("webface=PATH"), "{said}");
    }

    #[test]
    fn the_usual_split_is_the_official_one_where_papers_train_by_it() {
        let split = |text: &str| DataSource::parse(text).unwrap().usual_split();
        for text in ["cub=x", "cars=x", "sop=x", "in-shop=x", "webface=x", "csv=x"] {
            assert_eq!(split(text), SplitConfig::Official { val: Amount::Fraction(0.1) }, "{text}");
        }
        for text in ["glyphs", "omniglot=x", "lfw=x", "photos"] {
            let classes = SplitConfig::Classes { val: Amount::Fraction(0.1), test: Amount::Fraction(0.2) };
            assert_eq!(split(text), classes, "{text}");
        }
    }
}
