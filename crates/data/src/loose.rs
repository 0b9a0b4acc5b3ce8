use crate::dataset::expect_example;
use crate::decode::decode_file;
use crate::walk::is_picture;
use crate::{Dataset, Error, Picture, Result, walk};
use npair_types::{ClassId, ExampleId, Labels};
use std::path::{Path, PathBuf};

/// Pictures without classes: a single one, all below a folder at any depth, or a list. For embedding and searching, which need no
/// labels; all stand in one class.
#[derive(Debug)]
pub struct LoosePictures {
    name: String,
    files: Vec<PathBuf>,
    labels: Labels,
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
        Self::of_files(name, files)
    }

    /// A list of pictures, in its order.
    ///
    /// # Errors
    /// [`Error::Dataset`] if it is empty.
    pub fn of_files(name: impl Into<String>, files: Vec<PathBuf>) -> Result<Self> {
        let name = name.into();
        let cure = "give a folder with pictures, a picture, or a list of their paths";
        if files.is_empty() {
            return Err(Error::dataset(name, "holds no pictures", cure));
        }
        let labels = Labels::from_ids(vec![ClassId(0); files.len()]);
        let labels = labels.map_err(|e| Error::dataset(&name, e.to_string(), cure))?;
        Ok(Self { name, files, labels })
    }
}

impl Dataset for LoosePictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, _: ClassId) -> String {
        String::new()
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
