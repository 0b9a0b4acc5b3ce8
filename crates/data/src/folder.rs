use crate::dataset::expect_example;
use crate::decode::decode_file;
use crate::walk;
use crate::{Dataset, Error, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::path::{Path, PathBuf};

/// Most names listed in a note.
const LISTED: usize = 5;

/// A folder per class of PNG, JPEG and WebP files: `ROOT/CLASS/**/*.png`.
///
/// Every folder directly below the root is a class, named after it; pictures in folders below it, at any depth, are
/// its as well. Class ids count the folders that hold pictures from 0 in the order of their names (by bytes); examples
/// are sorted by class, then path. Links are followed. Hidden names (`.git`, `.DS_Store`, `__MACOSX`) are passed over;
/// files without the ending of a picture, pictures outside any class folder, and folders without a picture are counted
/// in [`notes`](Dataset::notes). What a file really holds is found out when it is loaded; [`check`](crate::check())
/// loads them all.
#[derive(Debug)]
pub struct ImageFolder {
    name: String,
    files: Vec<PathBuf>,
    labels: Labels,
    classes: Vec<String>,
    ignored: Vec<PathBuf>,
    empty: Vec<String>,
}

impl ImageFolder {
    /// Lists a folder; decodes nothing.
    ///
    /// # Errors
    /// [`Error::Read`] if it, or a folder below it, cannot be listed; [`Error::Dataset`] if it holds no class or a
    /// single one.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let name = root.display().to_string();
        let (mut files, mut ids, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ignored, mut empty, mut loose) = (Vec::new(), Vec::new(), 0usize);
        for entry in walk::entries(root)? {
            if !entry.is_folder {
                loose += usize::from(is_picture(&entry.path));
                ignored.push(entry.path);
                continue;
            }
            let (pictures, others): (Vec<_>, Vec<_>) =
                walk::files(&entry.path)?.into_iter().partition(|p| is_picture(p));
            ignored.extend(others);
            if pictures.is_empty() {
                empty.push(entry.name);
                continue;
            }
            let id =
                u32::try_from(classes.len()).map_err(|_| Error::dataset(&name, "has too many folders", "split it"))?;
            ids.extend(std::iter::repeat_n(ClassId(id), pictures.len()));
            files.extend(pictures);
            classes.push(entry.name);
        }
        const CURE: &str = "lay it out as CLASS/picture.png with a folder for each of at least 2 classes";
        match classes.len() {
            0 if loose > 0 => {
                return Err(Error::dataset(name, format!("holds {loose} pictures but no class folders"), CURE));
            }
            0 => return Err(Error::dataset(name, "holds no PNG, JPEG or WebP pictures", CURE)),
            1 => return Err(Error::dataset(name, format!("holds a single class, {}", classes[0]), CURE)),
            _ => {}
        }
        let labels = Labels::from_ids(ids).map_err(|e| Error::dataset(&name, e.to_string(), CURE))?;
        Ok(Self { name, files, labels, classes, ignored, empty })
    }

    /// The path of an example.
    pub fn path(&self, example: ExampleId) -> Option<&Path> {
        self.files.get(example.0).map(PathBuf::as_path)
    }

    /// Visible files that are not used: without the ending of a picture, or outside any class folder.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.ignored
    }

    /// Names of the folders that hold no picture, and so are no classes.
    pub fn empty_folders(&self) -> &[String] {
        &self.empty
    }
}

pub(crate) fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg" | "webp"))
}

impl Dataset for ImageFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.classes.get(class.0 as usize).cloned().unwrap_or_else(|| format!("unknown class {class}"))
    }

    fn describe(&self, example: ExampleId) -> String {
        match self.files.get(example.0) {
            Some(path) => path.display().to_string(),
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
        let listed = |names: Vec<String>| {
            let rest = names.len().saturating_sub(LISTED);
            let mut list = names[..names.len() - rest].join(", ");
            if rest > 0 {
                list += &format!(" and {rest} more");
            }
            list
        };
        let mut notes = Vec::new();
        if !self.ignored.is_empty() {
            let names = self.ignored.iter().map(|p| p.display().to_string()).collect();
            notes.push(format!(
                "{} files were ignored (no picture's ending, or in no class folder): {}",
                self.ignored.len(),
                listed(names)
            ));
        }
        if !self.empty.is_empty() {
            notes.push(format!("{} folders hold no picture: {}", self.empty.len(), listed(self.empty.clone())));
        }
        notes
    }
}
