//! The examples of a source: pictures, or vectors; and the sides of a split as inputs of a model.

use crate::config::{Config, DataConfig, DataSource};
use crate::record::{ContentId, Side, SplitRecord};
use crate::{Error, Result};
use npair_data::{
    Cached, Cars196, Cub, Dataset, GlyphSet, ImageFolder, InShop, LabelSetClasses, Lfw, LoosePictures, OfficialSide,
    OmlCsv, Omniglot, OnlineProducts, Picture, Pipeline, RotatedClasses, SplitConfig, Subset, Unlabeled, WebFace,
    check, skip_bad,
};
use npair_evaluate::{Inputs, PictureInputs, QueryGallery, Splits, VectorInputs, Vectors, View, ViewInputs};
use npair_types::{ClassId, ExampleId, Labels, Streams};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Opens a source of pictures, without their classes where the settings learn without; decodes nothing.
///
/// # Errors
/// Those of the data set; [`Error::Setting`] for vectors.
pub fn open_source(config: &DataConfig) -> Result<Arc<dyn Dataset>> {
    let opened = match &config.source {
        DataSource::Folder(path) if config.views > 0 => Ok(Arc::new(LoosePictures::open(path)?) as _),
        _ => open_classes(config),
    };
    match (opened, &config.source) {
        (Ok(pictures), _) if config.views > 0 => Ok(Arc::new(Unlabeled::new(pictures)?)),
        (Ok(pictures), _) if config.label_separator.is_some() => {
            let separator = config.label_separator.as_deref().unwrap_or_default();
            Ok(Arc::new(LabelSetClasses::new(pictures, separator)?))
        }
        // What it would take to be learned from as it is.
        (Err(Error::Data(npair_data::Error::Dataset { place, why, cure })), DataSource::Folder(_)) => {
            let cure = format!("{cure}; or learn without classes: data.views=2 (npair train --unlabeled)");
            Err(npair_data::Error::Dataset { place, why, cure }.into())
        }
        (opened, _) => opened,
    }
}

fn open_classes(config: &DataConfig) -> Result<Arc<dyn Dataset>> {
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
        DataSource::Folder(path) => match config.levels {
            Some(levels) => Arc::new(ImageFolder::with_levels(path, levels)?),
            None => Arc::new(ImageFolder::open(path)?),
        },
        DataSource::Vectors { .. } => {
            let why = "holds vectors, but pictures are needed here".to_owned();
            return Err(Error::Setting { setting: "data.source", why });
        }
    })
}

/// All examples of a source, before they are split.
pub(crate) enum Examples {
    /// Pictures, and what makes them into pixels.
    Pictures {
        /// As they lie there, which is what tells them apart.
        data: Arc<dyn Dataset>,
        /// The same, kept in memory.
        cached: Arc<dyn Dataset>,
        pipeline: Pipeline,
        notes: Vec<String>,
        /// How many views of every picture there are and what they are drawn from, where pictures have no classes.
        views: Option<(usize, Streams)>,
    },
    /// Rows of a matrix, and the same as the splitting of data sets sees them.
    Vectors { rows: VectorInputs, data: Arc<dyn Dataset> },
}

impl Examples {
    /// Opens the source of a configuration; `pipeline` is that of a trained model, if one is given.
    pub(crate) fn open(config: &Config, pipeline: Option<&Pipeline>) -> Result<Self> {
        if let DataSource::Vectors { vectors, labels } = &config.data.source {
            return Self::vectors(config, vectors, labels.as_deref());
        }
        Self::pictures(config, pipeline, open_source(&config.data)?)
    }

    /// The same for what needs no labels: pictures in no class folders, a single one, vectors without labels.
    pub(crate) fn open_unlabeled(config: &Config, pipeline: Option<&Pipeline>) -> Result<Self> {
        // Each as it is, once, whatever it was learned by.
        let config = &Config { data: DataConfig { views: 0, ..config.data.clone() }, ..config.clone() };
        match &config.data.source {
            DataSource::Folder(path) => match open_source(&config.data) {
                Ok(folder) => Self::pictures(config, pipeline, folder),
                Err(Error::Data(npair_data::Error::Dataset { .. } | npair_data::Error::Read { .. })) => {
                    Self::pictures(config, pipeline, Arc::new(LoosePictures::open(path)?))
                }
                Err(other) => Err(other),
            },
            DataSource::Vectors { vectors, labels: None } => {
                let mut file = Vectors::read(vectors)?;
                let rows = file.values.len() / file.width.max(1);
                file.labels = file.labels.take().or(Some(Labels::from_ids(vec![ClassId(0); rows])?));
                Ok(Self::of_rows(VectorInputs::of_file(vectors.display().to_string(), file)?))
            }
            _ => Self::open(config, pipeline),
        }
    }

    /// Pictures of a data set that is open already.
    pub(crate) fn pictures(config: &Config, pipeline: Option<&Pipeline>, data: Arc<dyn Dataset>) -> Result<Self> {
        let pipeline = match pipeline {
            Some(pipeline) => pipeline.clone(),
            None => config.pipeline()?,
        };
        let (mut data, mut notes) = (data.clone(), data.notes());
        if config.data.skip_bad {
            let skipped = skip_bad(data.clone(), &check(data.as_ref()))?;
            if !skipped.bad.is_empty() {
                notes.push(format!("skipped {} pictures that cannot be decoded:", skipped.bad.len()));
                notes.extend(skipped.bad.iter().map(|b| format!("  {}", b.error)));
                data = Arc::new(skipped.kept);
            }
        }
        let budget = config.data.cache_mib.saturating_mul(1 << 20);
        let cached = match budget {
            0 => data.clone(),
            _ => Arc::new(Cached::new(data.clone(), &pipeline, budget)) as _,
        };
        let views = (config.data.views > 0).then(|| (config.data.views, Streams::new(config.seed)));
        Ok(Self::Pictures { data, cached, pipeline, notes, views })
    }

    fn vectors(config: &Config, vectors: &Path, labels: Option<&Path>) -> Result<Self> {
        if config.data.rotations {
            let why = "turns pictures, but these are vectors; leave it out".to_owned();
            return Err(Error::Setting { setting: "data.rotations", why });
        }
        let mut file = Vectors::read(vectors)?;
        if let Some(labels) = labels {
            file.label_from(labels)?;
        }
        Ok(Self::of_rows(VectorInputs::of_file(vectors.display().to_string(), file)?))
    }

    fn of_rows(rows: VectorInputs) -> Self {
        let data = Arc::new(Rows { name: rows.name().to_owned(), labels: rows.labels().clone() });
        Self::Vectors { rows, data }
    }

    /// The examples as the splitting of data sets sees them.
    pub(crate) fn data(&self) -> &Arc<dyn Dataset> {
        match self {
            Self::Pictures { data, .. } | Self::Vectors { data, .. } => data,
        }
    }

    /// What an example is.
    pub(crate) fn content(&self, example: ExampleId) -> Result<ContentId> {
        match self {
            Self::Pictures { data, .. } => ContentId::of_picture(data.as_ref(), example),
            Self::Vectors { rows, .. } => {
                Ok(ContentId::of_row(&rows.load(&[example], View::PLAIN)?.flatten_all()?.to_vec1::<f32>()?))
            }
        }
    }

    /// The examples in the order, and of the classes, that a record has them in.
    pub(crate) fn in_order(self, order: Vec<ExampleId>, record: &SplitRecord) -> Result<Self> {
        let labels: Vec<ClassId> = record.rows().iter().map(|row| row.label).collect();
        let as_they_are = order.len() == self.data().len() && order.iter().enumerate().all(|(at, id)| at == id.0);
        if as_they_are && labels == self.data().labels().as_slice() {
            return Ok(self);
        }
        let labels = Labels::from_ids(labels)?;
        let ordered = |data: &Arc<dyn Dataset>| -> Result<Arc<dyn Dataset>> {
            let inner = Subset::new(data.clone(), "recorded", order.clone())?;
            Ok(Arc::new(Relabeled::new(inner, labels.clone())))
        };
        Ok(match self {
            Self::Pictures { data, cached, pipeline, notes, views } => {
                Self::Pictures { data: ordered(&data)?, cached: ordered(&cached)?, pipeline, notes, views }
            }
            Self::Vectors { rows, .. } => Self::of_rows(rows.subset("recorded", &order)?.with_labels(labels)?),
        })
    }

    /// All examples as inputs.
    pub(crate) fn all(&self) -> Result<Arc<dyn Inputs>> {
        Ok(match self {
            Self::Pictures { cached, pipeline, views, .. } => inputs(cached.clone(), pipeline, *views)?,
            Self::Vectors { rows, .. } => Arc::new(rows.clone()),
        })
    }

    /// Some of the examples as inputs; none of none.
    fn part(&self, name: &str, chosen: Vec<ExampleId>) -> Result<Option<Arc<dyn Inputs>>> {
        if chosen.is_empty() {
            return Ok(None);
        }
        Ok(Some(match self {
            Self::Pictures { cached, pipeline, views, .. } => {
                inputs(Arc::new(Subset::new(cached.clone(), name, chosen)?), pipeline, *views)?
            }
            Self::Vectors { rows, .. } => Arc::new(rows.subset(name, &chosen)?),
        }))
    }

    /// The same examples, with every right-angle rotation of a class as a class of its own.
    fn rotated(&self, chosen: Vec<ExampleId>) -> Result<Option<Arc<dyn Inputs>>> {
        let Self::Pictures { cached, pipeline, .. } = self else { return self.part("train", chosen) };
        let part = Arc::new(Subset::new(cached.clone(), "train", chosen)?);
        let turned = RotatedClasses::new(part)?;
        Ok(Some(Arc::new(PictureInputs::new(Arc::new(turned), pipeline.clone()))))
    }

    /// The sides as inputs; an example of no side is among `all` alone.
    pub(crate) fn splits(&self, config: &DataConfig, sides: &[Option<Side>]) -> Result<Splits> {
        let of = |side: Option<Side>| -> Vec<ExampleId> {
            (0..sides.len()).filter(|&i| sides[i] == side).map(ExampleId).collect()
        };
        let (train, test) = (of(Some(Side::Train)), of(Some(Side::Test)));
        let official = matches!(config.split(), SplitConfig::Official { .. });
        let search = match self {
            Self::Pictures { data, views: None, .. } if official && !test.is_empty() => {
                QueryGallery::of(&Subset::new(data.clone(), "test", test.clone())?)
            }
            _ => None,
        };
        let gallery = self.part("train", train.clone())?;
        Ok(Splits {
            train: if config.rotations && !train.is_empty() { self.rotated(train)? } else { gallery.clone() },
            gallery,
            seen: self.part("seen", of(Some(Side::Seen)))?,
            val: self.part("val", of(Some(Side::Val)))?,
            test: self.part("test", test)?,
            new: self.part("new", of(None))?,
            search,
            all: self.all()?,
            notes: match self {
                Self::Pictures { notes, .. } => notes.clone(),
                Self::Vectors { .. } => Vec::new(),
            },
        })
    }
}

/// Pictures as inputs, in several views of each if there are to be some.
fn inputs(pictures: Arc<dyn Dataset>, pipeline: &Pipeline, views: Option<(usize, Streams)>) -> Result<Arc<dyn Inputs>> {
    Ok(match views {
        Some(views) => Arc::new(ViewInputs::new(pictures, pipeline.clone(), views)?),
        None => Arc::new(PictureInputs::new(pictures, pipeline.clone())),
    })
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
        format!("row {example}")
    }

    fn load(&self, example: ExampleId) -> npair_data::Result<Picture> {
        Err(npair_data::Error::NoExample { dataset: self.name.clone(), example: example.0, len: 0 })
    }
}

/// Examples whose classes have other ids than those that their data set gives them now.
struct Relabeled {
    inner: Subset,
    labels: Labels,
    /// The id that each class has now.
    now: BTreeMap<ClassId, ClassId>,
}

impl Relabeled {
    fn new(inner: Subset, labels: Labels) -> Self {
        let now = labels.as_slice().iter().copied().zip(inner.labels().as_slice().iter().copied()).collect();
        Self { inner, labels, now }
    }

    fn now(&self, class: ClassId) -> ClassId {
        self.now.get(&class).copied().unwrap_or(class)
    }
}

impl Dataset for Relabeled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inner.class_name(self.now(class))
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.inner.group(self.now(class))
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(example)
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(example)
    }

    fn describe(&self, example: ExampleId) -> String {
        self.inner.describe(example)
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.inner.file(example)
    }

    fn load(&self, example: ExampleId) -> npair_data::Result<Picture> {
        self.inner.load(example)
    }
}
