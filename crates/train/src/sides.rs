use crate::config::{Config, DataConfig, DataSource};
use crate::{Error, Result};
use npair_data::{
    Amount, Cached, Cars196, Cub, Dataset, GlyphSet, ImageFolder, InShop, Lfw, OfficialSide, OmlCsv, Omniglot,
    OnlineProducts, Parts, Pipeline, RotatedClasses, SplitConfig, WebFace, check, skip_bad, split,
};
use npair_types::{ExampleId, Streams};
use std::sync::Arc;

/// One side of a split.
pub type Side = Arc<dyn Dataset>;

/// A data set, opened and split as a run needs it.
#[derive(Debug, Clone)]
pub struct Sides {
    /// What is learned from: rotated, if asked for, and without the examples kept back.
    pub train: Side,
    /// The same examples as they are: the gallery in which known classes are recognised.
    pub gallery: Side,
    /// Examples of training classes that were kept back.
    pub known: Option<Side>,
    /// Unseen classes to choose by.
    pub val: Option<Side>,
    /// Unseen classes to be judged on.
    pub test: Option<Side>,
    /// Which examples of `test` are queries and which are the gallery, where the data set's own split has them apart.
    pub search: Option<QueryGallery>,
    /// Everything.
    pub all: Side,
    /// What is worth telling: files ignored, pictures skipped.
    pub notes: Vec<String>,
}

/// Who is searched for and where, by the numbers of examples of one side; an example may be both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryGallery {
    /// Examples that are searched for.
    pub queries: Vec<ExampleId>,
    /// Examples that they are searched in.
    pub gallery: Vec<ExampleId>,
}

impl QueryGallery {
    /// What the data set's own split says; none if every example is query and gallery at once, or there is no such split.
    pub fn of(side: &dyn Dataset) -> Option<Self> {
        let all = || (0..side.len()).map(ExampleId).filter_map(|id| Some((id, side.official(id)?)));
        let apart = all().any(|(_, official)| official.is_query() != official.is_gallery());
        let those = |wanted: fn(OfficialSide) -> bool| all().filter(|(_, s)| wanted(*s)).map(|(id, _)| id).collect();
        let found = Self { queries: those(OfficialSide::is_query), gallery: those(OfficialSide::is_gallery) };
        (apart && !found.queries.is_empty() && !found.gallery.is_empty()).then_some(found)
    }
}

impl Sides {
    /// Opens the data of a configuration. The split depends on the seed and the data alone.
    ///
    /// # Errors
    /// Those of the data set and of the split.
    pub fn open(config: &Config, pipeline: &Pipeline) -> Result<Self> {
        let (all, notes) = open(config, pipeline)?;
        let streams = Streams::new(config.seed);
        let Parts { train, val, test } = split(all.clone(), &config.data.split(), streams)?;
        let (mut gallery, mut known): (Side, Option<Side>) = (Arc::new(train), None);
        let nothing = matches!(config.data.known, Amount::Count(0)) || config.data.known == Amount::Fraction(0.);
        if !nothing {
            let how = SplitConfig::Instances { val: Amount::Count(0), test: config.data.known };
            let parts = split(gallery, &how, streams)?;
            gallery = Arc::new(parts.train);
            known = parts.test.map(|t| Arc::new(t) as Side);
        }
        let train =
            if config.data.rotations { Arc::new(RotatedClasses::new(gallery.clone())?) } else { gallery.clone() };
        let side = |s: Option<npair_data::Subset>| s.map(|s| Arc::new(s) as Side);
        let test = side(test);
        let official = matches!(config.data.split(), SplitConfig::Official { .. });
        let search = test.as_ref().filter(|_| official).and_then(|test| QueryGallery::of(test.as_ref()));
        Ok(Self { train, gallery, known, val: side(val), test, search, all, notes })
    }

    /// The side of a name: train, val, test, known or all.
    ///
    /// # Errors
    /// [`Error::NoSide`] if this split has none, [`Error::Setting`] for another name.
    pub fn named(&self, name: &str) -> Result<&Side> {
        let some = |side: &'static str, s| Option::ok_or(s, Error::NoSide { side, why: cure(side) });
        match name {
            "train" => Ok(&self.gallery),
            "all" => Ok(&self.all),
            "val" => some("val", self.val.as_ref()),
            "test" => some("test", self.test.as_ref()),
            "known" => some("known", self.known.as_ref()),
            _ => Err(Error::Setting {
                setting: "split",
                why: format!("`{name}` is none of train, val, test, known, all"),
            }),
        }
    }
}

fn cure(side: &str) -> &'static str {
    match side {
        "known" => "set data.known to keep examples of the training classes back",
        "val" => "give data.split a val amount",
        _ => "give data.split a test amount, or data with a test side of its own",
    }
}

/// Opens a source; decodes nothing. `parts` are those of Omniglot, `glyphs` the size of the built-in set.
///
/// # Errors
/// Those of the data set.
pub fn open_source(config: &DataConfig) -> Result<Side> {
    Ok(match &config.source {
        DataSource::Glyphs => Arc::new(GlyphSet::new(config.glyphs)?),
        DataSource::Omniglot(path) => Arc::new(Omniglot::open(path, &config.parts)?),
        DataSource::Cub(path) => Arc::new(Cub::open(path)?),
        DataSource::Cars(path) => Arc::new(Cars196::open(path)?),
        DataSource::OnlineProducts(path) => Arc::new(OnlineProducts::open(path)?),
        DataSource::InShop(path) => Arc::new(InShop::open(path)?),
        DataSource::WebFace(path) => Arc::new(WebFace::open(path)?),
        DataSource::Lfw(path) => Arc::new(Lfw::open(path)?),
        DataSource::Csv(path) => Arc::new(OmlCsv::open(path)?),
        DataSource::Folder(path) => Arc::new(ImageFolder::open(path)?),
    })
}

fn open(config: &Config, pipeline: &Pipeline) -> Result<(Side, Vec<String>)> {
    let data = &config.data;
    let mut all = open_source(data)?;
    let mut notes = all.notes();
    if data.skip_bad {
        let skipped = skip_bad(all.clone(), &check(all.as_ref()))?;
        if !skipped.bad.is_empty() {
            notes.push(format!("skipped {} pictures that cannot be decoded:", skipped.bad.len()));
            notes.extend(skipped.bad.iter().map(|b| format!("  {}", b.error)));
            all = Arc::new(skipped.kept);
        }
    }
    if data.cache_mib > 0 {
        all = Arc::new(Cached::new(all, pipeline, data.cache_mib.saturating_mul(1 << 20)));
    }
    Ok((all, notes))
}
