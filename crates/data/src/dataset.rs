use crate::{Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ClassIndex, ExampleId, Labels};
use std::path::Path;

/// Labeled pictures that are decoded on demand. Opening one decodes nothing; loading is safe from many threads at once
/// and gives the same pixels each time.
///
/// Examples are numbered from 0 without gaps; class ids may have gaps.
pub trait Dataset: Send + Sync {
    /// What messages call it: a path, or a made-up name.
    fn name(&self) -> &str;

    /// The class of every example.
    fn labels(&self) -> &Labels;

    /// Number of examples, at least 1.
    fn len(&self) -> usize {
        self.labels().len()
    }

    /// Never: a data set without examples cannot be opened.
    fn is_empty(&self) -> bool {
        false
    }

    /// What people call a class.
    fn class_name(&self, class: ClassId) -> String;

    /// The group that a class belongs to (the alphabet of a character), where the data set knows groups.
    fn group(&self, class: ClassId) -> Option<&str> {
        let _ = class;
        None
    }

    /// Who made an example (the drawer of a character), where the data set knows.
    fn author(&self, example: ExampleId) -> Option<u32> {
        let _ = example;
        None
    }

    /// The side of the data set's own split that an example is on, where it has such a split.
    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        let _ = example;
        None
    }

    /// Where an example comes from: its path, its zip entry, its number.
    fn describe(&self, example: ExampleId) -> String;

    /// The file that holds an example and nothing else, where there is one.
    fn file(&self, example: ExampleId) -> Option<&Path> {
        let _ = example;
        None
    }

    /// The decoded picture.
    ///
    /// # Errors
    /// [`Error::NoExample`], or what reading and decoding it ran into, naming the file.
    fn load(&self, example: ExampleId) -> Result<Picture>;

    /// Things worth knowing that opening came across: ignored files, empty folders, duplicates.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The examples of every class.
    fn class_index(&self) -> ClassIndex {
        ClassIndex::from_labels(self.labels())
    }
}

impl std::fmt::Debug for dyn Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dataset({}, {} examples)", self.name(), self.len())
    }
}

/// An error unless `example` is below `len`.
pub(crate) fn expect_example(dataset: &str, example: ExampleId, len: usize) -> Result<()> {
    if example.0 >= len {
        return Err(Error::NoExample { dataset: dataset.to_owned(), example: example.0, len });
    }
    Ok(())
}
