use crate::dataset::expect_example;
use crate::{Dataset, Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A view of chosen examples of a data set, itself a data set: examples are numbered anew from 0, class ids stay.
#[derive(Debug, Clone)]
pub struct Subset {
    inner: Arc<dyn Dataset>,
    examples: Arc<[ExampleId]>,
    labels: Labels,
    name: String,
}

impl Subset {
    /// The examples of `inner` in the order given, under the name "`inner`'s name / `part`".
    ///
    /// # Errors
    /// [`Error::Dataset`] if there are none, [`Error::NoExample`] if one is not there, [`Error::Split`] if one comes
    /// twice.
    pub fn new(inner: Arc<dyn Dataset>, part: &str, examples: Vec<ExampleId>) -> Result<Self> {
        let name = format!("{} / {part}", inner.name());
        if examples.is_empty() {
            return Err(Error::dataset(name, "has no examples", "choose at least one"));
        }
        let mut taken = vec![false; inner.len()];
        for &example in &examples {
            expect_example(inner.name(), example, inner.len())?;
            if std::mem::replace(&mut taken[example.0], true) {
                return Err(Error::Split { dataset: name, why: format!("example {example} is chosen twice") });
            }
        }
        let classes = examples.iter().map(|e| inner.labels().get(e.0)).collect();
        let labels = Labels::from_ids(classes).map_err(|e| Error::dataset(&name, e.to_string(), "choose some"))?;
        Ok(Self { inner, examples: examples.into(), labels, name })
    }

    /// All examples of the given classes, in the order of `inner`.
    ///
    /// # Errors
    /// [`Error::Split`] naming a class that `inner` does not have; as for [`new`](Self::new).
    pub fn of_classes(inner: Arc<dyn Dataset>, part: &str, classes: &[ClassId]) -> Result<Self> {
        let wanted: BTreeSet<ClassId> = classes.iter().copied().collect();
        let known: BTreeSet<ClassId> = inner.labels().as_slice().iter().copied().collect();
        if let Some(class) = wanted.difference(&known).next() {
            let why = format!("it has no class {class}");
            return Err(Error::Split { dataset: inner.name().to_owned(), why });
        }
        let chosen = |&i: &usize| wanted.contains(&inner.labels().get(i));
        let examples = (0..inner.len()).filter(chosen).map(ExampleId).collect();
        Self::new(inner, part, examples)
    }

    /// All examples of the classes of the given groups (alphabets).
    ///
    /// # Errors
    /// [`Error::Split`] naming a group that `inner` does not have and those that it has.
    pub fn of_groups(inner: Arc<dyn Dataset>, part: &str, groups: &[impl AsRef<str>]) -> Result<Self> {
        let classes = crate::split::classes_of_groups(inner.as_ref(), groups)?;
        Self::of_classes(inner, part, &classes)
    }

    /// The data set looked at.
    pub fn inner(&self) -> &Arc<dyn Dataset> {
        &self.inner
    }

    /// The chosen examples, by their numbers in [`inner`](Self::inner).
    pub fn examples(&self) -> &[ExampleId] {
        &self.examples
    }
}

impl Dataset for Subset {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inner.class_name(class)
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.inner.group(class)
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(*self.examples.get(example.0)?)
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(*self.examples.get(example.0)?)
    }

    fn describe(&self, example: ExampleId) -> String {
        match self.examples.get(example.0) {
            Some(&inner) => self.inner.describe(inner),
            None => format!("example {example} of {}", self.name),
        }
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.inner.file(*self.examples.get(example.0)?)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.examples.len())?;
        self.inner.load(self.examples[example.0])
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}
