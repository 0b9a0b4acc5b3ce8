//! Classes that are sets of labels.

use crate::{Dataset, Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, LabelSets, Labels};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A data set whose classes are named by sets of labels: names of one set are one class, in whatever order the labels stand and whatever
/// space is around them, so that no split has the same set on two sides. A class is called by its labels in their order.
///
/// # Examples
/// ```
/// # use npair_data::{Dataset, ImageFolder, LabelSetClasses};
/// # use npair_types::Labels;
/// # use std::sync::Arc;
/// # let dir = tempfile::tempdir().unwrap();
/// # for name in ["red|dress", "dress | red", "car|red"] {
/// #     std::fs::create_dir(dir.path().join(name)).unwrap();
/// #     std::fs::write(dir.path().join(name).join("a.png"), "not looked at").unwrap();
/// # }
/// # let path = dir.path();
/// let folder = ImageFolder::open(path)?; // red|dress/, "dress | red/", car|red/
/// let sets = LabelSetClasses::new(Arc::new(folder), "|")?;
/// let names: Vec<String> = sets.labels().classes().into_iter().map(|class| sets.class_name(class)).collect();
/// assert_eq!((sets.len(), names), (3, vec!["car|red".to_owned(), "dress|red".to_owned()]));
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LabelSetClasses {
    inner: Arc<dyn Dataset>,
    labels: Labels,
    /// Name of every class, and a class of the inner data set that is this one.
    classes: Vec<(String, ClassId)>,
}

impl LabelSetClasses {
    /// The data set with its classes as sets of labels, between which `separator` stands in their names.
    ///
    /// # Errors
    /// [`Error::Dataset`] if there is no example.
    pub fn new(inner: Arc<dyn Dataset>, separator: &str) -> Result<Self> {
        let old = inner.labels().classes();
        let names: Vec<String> = old.iter().map(|&class| inner.class_name(class)).collect();
        let sets = LabelSets::from_names(old.iter().copied().zip(names.iter().map(String::as_str)), separator);
        let called = |class: ClassId| {
            let labels = sets.labels(class).iter().filter_map(|&label| sets.names().get(label as usize));
            labels.map(String::as_str).collect::<Vec<_>>().join(separator)
        };
        let mut merged = BTreeMap::<String, ClassId>::new();
        old.iter().for_each(|&class| {
            merged.entry(called(class)).or_insert(class);
        });
        let classes: Vec<(String, ClassId)> = merged.into_iter().collect();
        let place = |name: &str| classes.binary_search_by(|(other, _)| other.as_str().cmp(name)).unwrap_or(0);
        let new: BTreeMap<ClassId, ClassId> =
            old.iter().map(|&class| (class, ClassId(place(&called(class)) as u32))).collect();
        let ids = inner.labels().as_slice().iter().filter_map(|class| new.get(class).copied()).collect();
        let labels =
            Labels::from_ids(ids).map_err(|error| Error::dataset(inner.name(), error.to_string(), "give some"))?;
        Ok(Self { inner, labels, classes })
    }
}

impl Dataset for LabelSetClasses {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.classes.get(class.0 as usize).map_or_else(String::new, |(name, _)| name.clone())
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.inner.group(self.classes.get(class.0 as usize)?.1)
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

    fn load(&self, example: ExampleId) -> Result<Picture> {
        self.inner.load(example)
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}
