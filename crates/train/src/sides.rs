use crate::config::{Config, DataSource};
use crate::{Error, Result};
use npair_data::{
    Amount, Cached, Dataset, GlyphSet, ImageFolder, Omniglot, Parts, Pipeline, RotatedClasses, SplitConfig, check,
    skip_bad, split,
};
use npair_types::Streams;
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
    /// Everything.
    pub all: Side,
    /// What is worth telling: files ignored, pictures skipped.
    pub notes: Vec<String>,
}

impl Sides {
    /// Opens the data of a configuration. The split depends on the seed and the data alone.
    ///
    /// # Errors
    /// Those of the data set and of the split.
    pub fn open(config: &Config, pipeline: &Pipeline) -> Result<Self> {
        let (all, notes) = open(config, pipeline)?;
        let streams = Streams::new(config.seed);
        let Parts { train, val, test } = split(all.clone(), &config.data.split, streams)?;
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
        Ok(Self { train, gallery, known, val: side(val), test: side(test), all, notes })
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
        _ => "give data.split a test amount",
    }
}

fn open(config: &Config, pipeline: &Pipeline) -> Result<(Side, Vec<String>)> {
    let data = &config.data;
    let mut all: Side = match &data.source {
        DataSource::Glyphs => Arc::new(GlyphSet::new(data.glyphs)?),
        DataSource::Omniglot(path) => Arc::new(Omniglot::open(path, &data.parts)?),
        DataSource::Folder(path) => Arc::new(ImageFolder::open(path)?),
    };
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
