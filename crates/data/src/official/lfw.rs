use super::listed::{ClassEntry, Entry, Listed, Published, listed_dataset};
use crate::walk::{self, PassedOver};
use crate::{Error, LfwImage, LfwPairs, OfficialSide, Result};
use npair_types::{ClassId, ExampleId};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Labeled Faces in the Wild: 13,233 faces of 5,749 people, to be judged on.
///
/// A folder for every person holds `Person/Person_0001.jpg` (or `.png`, `.JPG`, ..., as crops have it). Class ids count the people from 0 in the order of their names. The
/// official split has everything for test; the official protocol is that of its [list of pairs](LfwPairs).
///
/// # Source
/// Huang et al., Labeled Faces in the Wild, 2007.
#[derive(Debug)]
pub struct Lfw {
    listed: Listed,
    images: HashMap<LfwImage, ExampleId>,
    pairs: PathBuf,
}

impl Lfw {
    /// Lists the folders at `root`, or in `root/lfw`; opens no picture.
    ///
    /// # Errors
    /// [`Error::Read`] if a folder cannot be listed, [`Error::Dataset`] if there are no two people.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let home = if root.join("lfw").is_dir() { root.join("lfw") } else { root.to_owned() };
        let pairs = [root, &home].map(|place| place.join("pairs.txt"));
        let pairs = pairs.iter().find(|file| file.is_file()).unwrap_or(&pairs[0]).clone();
        let (mut entries, mut classes, mut ignored) = (Vec::new(), BTreeMap::new(), 0);
        let mut passed = PassedOver::default();
        for folder in walk::entries_noting(&home, &mut passed)?.into_iter().filter(|entry| entry.is_folder) {
            let class = ClassId(u32::try_from(classes.len()).unwrap_or(u32::MAX));
            let before = entries.len();
            for file in walk::entries_noting(&folder.path, &mut passed)? {
                if file.is_folder || image(&folder.name, &file.name).is_none() {
                    ignored += 1;
                    continue;
                }
                entries.push(Entry { path: file.path, class, side: OfficialSide::Test, crop: None, named: None });
            }
            if entries.len() > before {
                classes.insert(class, ClassEntry { name: folder.name, group: None });
            }
        }
        if entries.is_empty() {
            let cure = "give the folder lfw of the official archive";
            return Err(Error::dataset(home.display(), "holds no files named Person/Person_0001.jpg", cure));
        }
        let people = classes.len();
        let listed = Listed::new(root.display().to_string(), entries, classes)?;
        let published =
            Published { counts: vec![("pictures", listed.entries().len(), 13_233), ("people", people, 5749)] };
        let mut notes = published.differences();
        if ignored > 0 {
            notes.push(format!("{ignored} files that are not named Person/Person_0001.jpg were ignored"));
        }
        notes.extend(passed.notes());
        let own = |(at, entry): (usize, &Entry)| {
            let file = entry.path.file_name()?.to_str()?;
            Some((image(&listed.class_name(entry.class), file)?, ExampleId(at)))
        };
        let images = listed.entries().iter().enumerate().filter_map(own).collect();
        Ok(Self { listed: listed.noting(notes), images, pairs })
    }

    /// The official list of pairs, `pairs.txt` in the folder.
    ///
    /// # Errors
    /// Those of [`LfwPairs::read`].
    pub fn pairs(&self) -> Result<LfwPairs> {
        LfwPairs::read(&self.pairs)
    }

    /// The example of an image that a list names.
    ///
    /// # Errors
    /// [`Error::Dataset`] if there is no such file.
    pub fn example(&self, image: &LfwImage) -> Result<ExampleId> {
        self.images.get(image).copied().ok_or_else(|| {
            let why = format!("has no {}, which {} names", image.path(), self.pairs.display());
            Error::dataset(self.listed.name(), why, "fetch the whole data set")
        })
    }
}

/// `Person_0001.jpg` in the folder of that person, or the same with the ending of another kind of picture.
fn image(person: &str, file: &str) -> Option<LfwImage> {
    let digits = Path::new(file).file_stem()?.to_str()?.strip_prefix(person)?.strip_prefix('_')?;
    let plain = walk::is_picture(Path::new(file)) && digits.len() >= 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|&n: &u32| plain && n > 0)?;
    Some(LfwImage { person: person.to_owned(), number })
}

listed_dataset!(Lfw);
