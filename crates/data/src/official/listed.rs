//! What data sets that are read from lists have in common.

use crate::dataset::expect_example;
use crate::decode::decode_file;
use crate::walk::printable;
use crate::{Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// One picture of a list.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) class: ClassId,
    pub(crate) side: OfficialSide,
    /// The part of the picture that is meant, if it is not all of it.
    pub(crate) crop: Option<Crop>,
    /// The list below the data set's folder, and its line, that name it; none if it was found otherwise.
    pub(crate) named: Option<(&'static str, usize)>,
}

/// A box in pixels: `right` and `bottom` are the first beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Crop {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) right: u32,
    pub(crate) bottom: u32,
}

impl Crop {
    /// Cuts the box out; what of it lies outside the picture is left out.
    fn of(self, picture: &Picture, file: &str) -> Result<Picture> {
        let (right, bottom) = (self.right.min(picture.width()), self.bottom.min(picture.height()));
        if self.left >= right || self.top >= bottom {
            let Self { left, top, right, bottom } = self;
            let size = format!("{} x {}", picture.width(), picture.height());
            let why = format!("its box {left}..{right} x {top}..{bottom} is not in the picture of {size} pixels");
            return Err(Error::Decode { file: file.to_owned(), why });
        }
        let (channels, stride) = (usize::from(picture.channels()), picture.width() as usize);
        let row = |y: u32| {
            let start = y as usize * stride;
            &picture.pixels()[(start + self.left as usize) * channels..(start + right as usize) * channels]
        };
        let pixels: Vec<u8> = (self.top..bottom).flat_map(row).copied().collect();
        Picture::new(right - self.left, bottom - self.top, picture.channels(), pixels)
    }
}

/// A list of pictures with their classes, sorted by class, then path.
#[derive(Debug)]
pub(crate) struct Listed {
    name: String,
    entries: Vec<Entry>,
    labels: Labels,
    classes: BTreeMap<ClassId, ClassEntry>,
    /// Whether the list says which side of a split a picture is on.
    sided: bool,
    notes: Vec<String>,
}

/// What is known of a class.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClassEntry {
    pub(crate) name: String,
    pub(crate) group: Option<String>,
}

/// What a data set is published to have.
pub(crate) struct Published {
    /// What is counted, number found, number published.
    pub(crate) counts: Vec<(&'static str, usize, usize)>,
}

impl Published {
    /// A line for every count that is not the published one.
    pub(crate) fn differences(&self) -> Vec<String> {
        let differing = self.counts.iter().filter(|(_, found, published)| found != published);
        differing
            .map(|(what, found, published)| format!("has {found} {what}, the published set has {published}"))
            .collect()
    }
}

impl Listed {
    /// Sorts the entries; every class needs an entry in `classes`.
    pub(crate) fn new(name: String, mut entries: Vec<Entry>, classes: BTreeMap<ClassId, ClassEntry>) -> Result<Self> {
        const CURE: &str = "check that the whole data set is there, in its official layout";
        let mut known = HashMap::with_capacity(entries.len());
        for entry in &entries {
            if let Some(other) = known.insert((&entry.path, entry.crop), entry) {
                return Err(twice(&name, other, entry, &classes));
            }
        }
        drop(known);
        entries.sort_by(|a, b| (a.class, &a.path, a.crop).cmp(&(b.class, &b.path, b.crop)));
        let labels = Labels::from_ids(entries.iter().map(|e| e.class).collect())
            .map_err(|e| Error::dataset(&name, e.to_string(), CURE))?;
        if labels.classes().len() < 2 {
            return Err(Error::dataset(name, "lists a single class", CURE));
        }
        Ok(Self { name, entries, labels, classes, sided: true, notes: Vec::new() })
    }

    /// The same of a list that knows no sides: what its entries say of them is nothing.
    pub(crate) fn without_sides(mut self) -> Self {
        self.sided = false;
        self
    }

    /// Adds lines worth knowing.
    pub(crate) fn noting(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Number of pictures and of classes on a side.
    pub(crate) fn count(&self, sides: &[OfficialSide]) -> (usize, usize) {
        let own = || self.entries.iter().filter(|e| sides.contains(&e.side)).map(|e| e.class);
        // Sorted by class.
        let mut classes: Vec<ClassId> = own().collect();
        classes.dedup();
        (own().count(), classes.len())
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn class_name(&self, class: ClassId) -> String {
        self.classes.get(&class).map_or_else(|| format!("unknown class {class}"), |c| printable(&c.name))
    }

    pub(crate) fn group(&self, class: ClassId) -> Option<&str> {
        self.classes.get(&class)?.group.as_deref()
    }

    pub(crate) fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.entries.get(example.0).filter(|_| self.sided).map(|e| e.side)
    }

    pub(crate) fn describe(&self, example: ExampleId) -> String {
        match self.entries.get(example.0) {
            Some(entry) => printable(&entry.path.display().to_string()),
            None => format!("example {example} of {}", self.name),
        }
    }

    /// The file of an example that is the whole of it.
    pub(crate) fn file(&self, example: ExampleId) -> Option<&Path> {
        self.entries.get(example.0).filter(|entry| entry.crop.is_none()).map(|entry| entry.path.as_path())
    }

    pub(crate) fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.entries.len())?;
        let entry = &self.entries[example.0];
        let picture = decode_file(&entry.path)?;
        match entry.crop {
            Some(crop) => crop.of(&picture, &entry.path.display().to_string()),
            None => Ok(picture),
        }
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// An error about a picture that two entries name, with the lines of both where they have some.
fn twice(name: &str, first: &Entry, second: &Entry, classes: &BTreeMap<ClassId, ClassEntry>) -> Error {
    let called = |entry: &Entry| {
        let known = classes.get(&entry.class).map(|class| printable(&class.name)).filter(|name| !name.is_empty());
        known.unwrap_or_else(|| entry.class.to_string())
    };
    let path = printable(&second.path.display().to_string());
    let (place, as_before) = match (second.named, first.named) {
        (Some((list, line)), Some((other, before))) => {
            let place = if list.is_empty() { name.to_owned() } else { format!("{name}, {list}") };
            let of = if other == list { String::new() } else { format!(" of {other}") };
            (format!("{place}, line {line},"), format!(", as line {before}{of} does"))
        }
        _ => (name.to_owned(), String::new()),
    };
    let why = match first.class == second.class {
        true => format!("lists {path} twice{as_before}"),
        false => format!("lists {path} in two classes, {} and {}{as_before}", called(first), called(second)),
    };
    Error::dataset(
        place,
        why,
        "remove one of the two, or check that the whole data set is there, in its official layout",
    )
}

/// Makes a type that holds a [`Listed`] in its field `listed` a [`Dataset`](crate::Dataset).
macro_rules! listed_dataset {
    ($name:ty) => {
        impl crate::Dataset for $name {
            fn name(&self) -> &str {
                self.listed.name()
            }

            fn labels(&self) -> &npair_types::Labels {
                self.listed.labels()
            }

            fn class_name(&self, class: npair_types::ClassId) -> String {
                self.listed.class_name(class)
            }

            fn group(&self, class: npair_types::ClassId) -> Option<&str> {
                self.listed.group(class)
            }

            fn official(&self, example: npair_types::ExampleId) -> Option<crate::OfficialSide> {
                self.listed.official(example)
            }

            fn describe(&self, example: npair_types::ExampleId) -> String {
                self.listed.describe(example)
            }

            fn file(&self, example: npair_types::ExampleId) -> Option<&std::path::Path> {
                self.listed.file(example)
            }

            fn load(&self, example: npair_types::ExampleId) -> crate::Result<crate::Picture> {
                self.listed.load(example)
            }

            fn notes(&self) -> Vec<String> {
                self.listed.notes()
            }
        }
    };
}
pub(crate) use listed_dataset;
