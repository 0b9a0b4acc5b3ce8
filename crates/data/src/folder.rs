//! Folders of pictures.

mod layout;

use crate::dataset::expect_example;
use crate::decode::decode_file;
use crate::walk::{self, PassedOver, listed, printable};
use crate::{Dataset, Error, OfficialSide, Picture, Result};
use layout::{Layout, Place};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CURE: &str = "lay it out as CLASS/picture.png with a folder for each of at least 2 classes";

/// A folder per class of PNG, JPEG, WebP, GIF, BMP and TIFF files: `ROOT/CLASS/**/*.png`.
///
/// Every folder directly below the root is a class, named after it; pictures in folders below it, at any depth, are
/// its as well. Two other layouts are recognised, and [noted](Dataset::notes):
///
/// * `ROOT/{train,val,test}/CLASS/**`: sides of a split, where every folder below the root has the name of one. Folders of one
///   name on several sides are one class. What is in `test` (or, without one, in `val`) is the test side of the
///   [official split](Dataset::official), all else its training side.
/// * `ROOT/CATEGORY/CLASS/picture`: where all pictures lie two folders deep, no two categories have a folder of one name, and some
///   category has several. The category is the [group](Dataset::group) of a class.
///
/// [`with_levels`](Self::with_levels) says which folders name the class where that is not what is meant.
///
/// Class ids count the classes that hold pictures from 0 in the order of their names (by bytes); examples are sorted by class,
/// then path. Links are followed. Hidden names (`.git`, `.DS_Store`), and folders that programs make (`__MACOSX`, `@eaDir`,
/// `lost+found`, ...), are passed over, as are named pipes, devices and sockets; files without the ending of a picture, pictures
/// outside any class folder, and folders without a picture are counted in [`notes`](Dataset::notes). What a file really holds is
/// found out when it is loaded; [`check`](crate::check()) loads them all.
#[derive(Debug)]
pub struct ImageFolder {
    name: String,
    files: Vec<PathBuf>,
    sides: Vec<Option<OfficialSide>>,
    labels: Labels,
    classes: Vec<String>,
    groups: Vec<Option<String>>,
    ignored: Vec<PathBuf>,
    empty: Vec<String>,
    notes: Vec<String>,
}

impl ImageFolder {
    /// Lists a folder, recognising its layout; decodes nothing.
    ///
    /// # Errors
    /// [`Error::Read`] if it, or a folder below it, cannot be listed; [`Error::Dataset`] if it holds no class or a
    /// single one.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Self::list(root.as_ref(), None)
    }

    /// Lists a folder in which the first `levels` folders of a path name the class: 1 for `CLASS/**`, 2 for `CATEGORY/CLASS/**`,
    /// and so on. With 0 all pictures, in folders or not, are of one class, named after the root: to be embedded, not to be
    /// learned from. Nothing else is recognised.
    ///
    /// # Errors
    /// As [`open`](Self::open); with 0 levels a single class is none.
    pub fn with_levels(root: impl AsRef<Path>, levels: usize) -> Result<Self> {
        Self::list(root.as_ref(), Some(levels))
    }

    fn list(root: &Path, levels: Option<usize>) -> Result<Self> {
        let name = root.display().to_string();
        let mut found = Found::below(root)?;
        let layout = match levels {
            Some(levels) => Layout::with_levels(levels),
            None => Layout::recognised(&found.places),
        };
        let mut classes = BTreeMap::<Vec<&str>, Vec<&Place>>::new();
        for place in &found.places {
            match layout.class(place) {
                Some(class) => classes.entry(class).or_default().push(place),
                None => found.ignored.push(place.path.clone()),
            }
        }
        if classes.is_empty() && !found.places.is_empty() {
            let why = match layout.levels {
                1 => format!("holds {} pictures but no class folders", found.places.len()),
                n => format!("holds {} pictures, none of them {n} folders deep", found.places.len()),
            };
            return Err(Error::dataset(name, why, CURE));
        }
        if let (1, 1.., Some(class)) = (classes.len(), layout.levels, classes.keys().next()) {
            let why = format!("holds a single class, {}", printable(&class.join("/")));
            return Err(Error::dataset(name, why, CURE));
        }
        let root_name = root.file_name().map_or_else(|| name.clone(), |n| n.to_string_lossy().into_owned());
        let mut set = Self {
            files: Vec::with_capacity(found.places.len()),
            sides: Vec::with_capacity(found.places.len()),
            labels: Labels::from_ids(layout::ids(&name, &classes)?)
                .map_err(|_| Error::dataset(&name, "holds no PNG, JPEG, WebP, GIF, BMP or TIFF pictures", CURE))?,
            classes: Vec::with_capacity(classes.len()),
            groups: Vec::with_capacity(classes.len()),
            notes: layout.notes(&found.places, &classes),
            ignored: Vec::new(),
            empty: found.empty(),
            name,
        };
        for (class, places) in classes {
            set.classes.push(if class.is_empty() { root_name.clone() } else { class.join("/") });
            set.groups.push((class.len() > 1).then(|| class[..class.len() - 1].join("/")));
            set.files.extend(places.iter().map(|place| place.path.clone()));
            set.sides.extend(places.iter().map(|place| layout.side(place)));
        }
        set.notes.extend(found.passed.notes());
        set.ignored = found.ignored;
        Ok(set)
    }

    /// The path of an example.
    pub fn path(&self, example: ExampleId) -> Option<&Path> {
        self.files.get(example.0).map(PathBuf::as_path)
    }

    /// Visible files that are not used: without the ending of a picture, or outside any class folder.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.ignored
    }

    /// Names of the folders right below the root that hold no picture, and so are no classes.
    pub fn empty_folders(&self) -> &[String] {
        &self.empty
    }
}

/// What lies below a root.
struct Found {
    places: Vec<Place>,
    ignored: Vec<PathBuf>,
    folders: Vec<String>,
    passed: PassedOver,
}

impl Found {
    fn below(root: &Path) -> Result<Self> {
        let mut found =
            Self { places: Vec::new(), ignored: Vec::new(), folders: Vec::new(), passed: PassedOver::default() };
        for entry in walk::entries_noting(root, &mut found.passed)? {
            let files = match entry.is_folder {
                true => {
                    found.folders.push(entry.name);
                    walk::files_noting(&entry.path, &mut found.passed)?
                }
                false => vec![entry.path],
            };
            let (pictures, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| walk::is_picture(path));
            found.ignored.extend(others);
            found.places.extend(pictures.into_iter().map(|path| Place::below(root, path)));
        }
        Ok(found)
    }

    fn empty(&self) -> Vec<String> {
        let full: BTreeSet<&str> = self.places.iter().filter_map(|p| p.folders.first()).map(String::as_str).collect();
        self.folders.iter().filter(|folder| !full.contains(folder.as_str())).cloned().collect()
    }
}

impl Dataset for ImageFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.classes.get(class.0 as usize).map_or_else(|| format!("unknown class {class}"), |name| printable(name))
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.groups.get(class.0 as usize)?.as_deref()
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        *self.sides.get(example.0)?
    }

    fn describe(&self, example: ExampleId) -> String {
        match self.files.get(example.0) {
            Some(path) => printable(&path.display().to_string()),
            None => format!("example {example} of {}", self.name),
        }
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.path(example)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.files.len())?;
        decode_file(&self.files[example.0])
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.ignored.is_empty() {
            let names = self.ignored.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
            notes.push(format!(
                "{} files were ignored (no picture's ending, or in no class folder): {}",
                self.ignored.len(),
                listed(&names)
            ));
        }
        if !self.empty.is_empty() {
            notes.push(format!("{} folders hold no picture: {}", self.empty.len(), listed(&self.empty)));
        }
        notes.extend(self.notes.iter().cloned());
        notes
    }
}
