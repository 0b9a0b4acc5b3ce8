use crate::dataset::expect_example;
use crate::decode::decode_file;
use crate::walk::is_picture;
use crate::{Dataset, Error, Picture, Result, walk};
use npair_types::{ClassId, ExampleId, Labels};
use std::path::{Path, PathBuf};

/// Pictures that need no classes: a single one, all below a folder at any depth, or a list. For embedding and searching. What lies in a
/// folder directly below the root is of the class of its name, if only of one; all else stands in a class without a name.
#[derive(Debug)]
pub struct LoosePictures {
    name: String,
    files: Vec<PathBuf>,
    labels: Labels,
    /// Names by class id.
    classes: Vec<String>,
}

impl LoosePictures {
    /// A picture, or all below a folder, sorted by path; decodes nothing.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be listed, [`Error::Dataset`] if there is no picture.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let about = std::fs::metadata(path).map_err(|e| Error::read(path.display(), &e))?;
        let files = match about.is_dir() {
            true => walk::files(path)?.into_iter().filter(|file| is_picture(file)).collect(),
            false => vec![path.to_owned()],
        };
        let folder = |file: &PathBuf| {
            let inside = file.strip_prefix(path).ok()?.parent()?.iter().next()?;
            Some(inside.to_string_lossy().into_owned())
        };
        let classes = files.iter().map(|file| folder(file).unwrap_or_default()).collect();
        Self::of_classes(name, files, classes)
    }

    /// A list of pictures, in its order, of no class.
    ///
    /// # Errors
    /// [`Error::Dataset`] if it is empty.
    pub fn of_files(name: impl Into<String>, files: Vec<PathBuf>) -> Result<Self> {
        let classes = vec![String::new(); files.len()];
        Self::of_classes(name.into(), files, classes)
    }

    /// Pictures with the name of each one's class.
    fn of_classes(name: String, files: Vec<PathBuf>, of_files: Vec<String>) -> Result<Self> {
        let cure = "give a folder with pictures, a picture, or a list of their paths";
        if files.is_empty() {
            return Err(Error::dataset(name, "holds no pictures", cure));
        }
        let mut classes = of_files.clone();
        classes.sort();
        classes.dedup();
        let id = |class: &String| ClassId(classes.binary_search(class).unwrap_or(0) as u32);
        let labels = Labels::from_ids(of_files.iter().map(id).collect());
        let labels = labels.map_err(|e| Error::dataset(&name, e.to_string(), cure))?;
        Ok(Self { name, files, labels, classes })
    }
}

impl Dataset for LoosePictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.classes.get(class.0 as usize).cloned().unwrap_or_default()
    }

    fn describe(&self, example: ExampleId) -> String {
        match self.files.get(example.0) {
            Some(path) => path.display().to_string(),
            None => format!("example {example} of {}", self.name),
        }
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.files.get(example.0).map(PathBuf::as_path)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.files.len())?;
        decode_file(&self.files[example.0])
    }
}
