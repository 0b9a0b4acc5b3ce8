//! The data of a run, opened and split.

use crate::config::{Config, DataConfig, DataSource};
use crate::{Error, Result};
use npair_data::{
    Amount, Cached, Cars196, Cub, Dataset, GlyphSet, ImageFolder, InShop, Lfw, OfficialSide, OmlCsv, Omniglot,
    OnlineProducts, Parts, Picture, Pipeline, RotatedClasses, SplitConfig, WebFace, check, skip_bad, split,
};
use npair_evaluate::{Inputs, PictureInputs, QueryGallery, Splits, VectorInputs, Vectors};
use npair_types::{ClassId, ExampleId, Labels, Streams};
use std::path::Path;
use std::sync::Arc;

/// Opens the data of a configuration. The split depends on the seed and the data alone. Pictures become pixels by the pipeline of a
/// trained model if one is given, else by that of the configuration.
///
/// # Errors
/// Those of the data set and of the split.
pub fn open_splits(config: &Config, pipeline: Option<&Pipeline>) -> Result<Splits> {
    match (&config.data.source, pipeline) {
        (DataSource::Vectors { vectors, labels }, _) => of_vectors(config, &open_vectors(vectors, labels.as_deref())?),
        (_, Some(pipeline)) => of_pictures(config, pipeline),
        (_, None) => of_pictures(config, &Pipeline::new(config.images())?),
    }
}

/// The sides of a split, with the gallery in which seen classes are recognised.
struct Sides {
    train: Arc<dyn Dataset>,
    gallery: Arc<dyn Dataset>,
    seen: Option<Arc<dyn Dataset>>,
    val: Option<Arc<dyn Dataset>>,
    test: Option<Arc<dyn Dataset>>,
}

impl Sides {
    fn new(config: &Config, all: Arc<dyn Dataset>) -> Result<Self> {
        let streams = Streams::new(config.seed);
        let Parts { train, val, test } = split(all, &config.data.split(), streams)?;
        let (mut gallery, mut seen): (Arc<dyn Dataset>, Option<Arc<dyn Dataset>>) = (Arc::new(train), None);
        let nothing = matches!(config.data.seen, Amount::Count(0)) || config.data.seen == Amount::Fraction(0.);
        if !nothing {
            let how = SplitConfig::Instances { val: Amount::Count(0), test: config.data.seen };
            let parts = split(gallery, &how, streams)?;
            gallery = Arc::new(parts.train);
            seen = parts.test.map(|t| Arc::new(t) as _);
        }
        let train = match config.data.rotations {
            true => Arc::new(RotatedClasses::new(gallery.clone())?) as _,
            false => gallery.clone(),
        };
        let side = |s: Option<npair_data::Subset>| s.map(|s| Arc::new(s) as _);
        Ok(Self { train, gallery, seen, val: side(val), test: side(test) })
    }
}

fn of_pictures(config: &Config, pipeline: &Pipeline) -> Result<Splits> {
    let (all, notes) = open_pictures(config, pipeline)?;
    let Sides { train, gallery, seen, val, test } = Sides::new(config, all.clone())?;
    let official = matches!(config.data.split(), SplitConfig::Official { .. });
    let search = test.as_ref().filter(|_| official).and_then(|test| QueryGallery::of(test.as_ref()));
    let inputs = |data| Arc::new(PictureInputs::new(data, pipeline.clone())) as Arc<dyn Inputs>;
    Ok(Splits {
        train: inputs(train),
        gallery: inputs(gallery),
        seen: seen.map(inputs),
        val: val.map(inputs),
        test: test.map(inputs),
        search,
        all: inputs(all),
        notes,
    })
}

/// Opens a source of pictures; decodes nothing. `parts` are those of Omniglot, `glyphs` the size of the built-in set.
///
/// # Errors
/// Those of the data set; [`Error::Setting`] for vectors.
pub fn open_source(config: &DataConfig) -> Result<Arc<dyn Dataset>> {
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
        DataSource::Vectors { .. } => {
            let why = "holds vectors, but pictures are needed here".to_owned();
            return Err(Error::Setting { setting: "data.source", why });
        }
    })
}

fn open_pictures(config: &Config, pipeline: &Pipeline) -> Result<(Arc<dyn Dataset>, Vec<String>)> {
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

/// Vectors and their labels, which may lie in one file.
fn open_vectors(vectors: &Path, labels: Option<&Path>) -> Result<VectorInputs> {
    let mut file = Vectors::read(vectors)?;
    if let Some(labels) = labels {
        file.label_from(labels)?;
    }
    Ok(VectorInputs::of_file(vectors.display().to_string(), file)?)
}

fn of_vectors(config: &Config, all: &VectorInputs) -> Result<Splits> {
    if config.data.rotations {
        let why = "turns pictures, but these are vectors; leave it out".to_owned();
        return Err(Error::Setting { setting: "data.rotations", why });
    }
    let rows = Arc::new(Rows { name: all.name().to_owned(), labels: all.labels().clone() });
    let sides = Sides::new(config, rows)?;
    let inputs = |side: &Arc<dyn Dataset>| -> Result<Arc<dyn Inputs>> {
        let part = side.name().rsplit(" / ").next().unwrap_or_default().to_owned();
        Ok(Arc::new(all.subset(&part, &places(side.as_ref()))?))
    };
    Ok(Splits {
        train: inputs(&sides.train)?,
        gallery: inputs(&sides.gallery)?,
        seen: sides.seen.as_ref().map(inputs).transpose()?,
        val: sides.val.as_ref().map(inputs).transpose()?,
        test: sides.test.as_ref().map(inputs).transpose()?,
        search: None,
        all: Arc::new(all.clone()),
        notes: Vec::new(),
    })
}

/// The rows of a matrix that a side has: they are its examples' descriptions.
fn places(side: &dyn Dataset) -> Vec<ExampleId> {
    let place = |at| side.describe(ExampleId(at)).parse().unwrap_or(at);
    (0..side.len()).map(|at| ExampleId(place(at))).collect()
}

/// Vectors as the splitting of data sets sees them: labels, and rows for descriptions.
struct Rows {
    name: String,
    labels: Labels,
}

impl Dataset for Rows {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        class.to_string()
    }

    fn official(&self, _: ExampleId) -> Option<OfficialSide> {
        None
    }

    fn describe(&self, example: ExampleId) -> String {
        example.0.to_string()
    }

    fn load(&self, example: ExampleId) -> npair_data::Result<Picture> {
        Err(npair_data::Error::NoExample { dataset: self.name.clone(), example: example.0, len: 0 })
    }
}
