use super::listed::{ClassEntry, Entry, Listed, Published, listed_dataset};
use super::listing::Listing;
use crate::walk::{self, PassedOver};
use crate::{Error, OfficialSide, Result};
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::Path;

/// Identities that are in LFW too.
const IN_LFW: [u32; 3] = [166_921, 1_056_413, 1_193_098];

/// CASIA-WebFace: 494,414 faces of 10,575 people, to learn from.
///
/// A folder for every person, named after a number of 7 digits, holds their pictures; the number is the class id. If there is a
/// `names.txt` with lines `number name`, classes are called by their names. Three people who are in LFW as well (0166921, 1056413,
/// 1193098) are left out. The official split has everything for training.
///
/// # Source
/// Yi et al., Learning Face Representation from Scratch, 2014; the overlap: the training code of SphereFace.
#[derive(Debug)]
pub struct WebFace {
    listed: Listed,
}

impl WebFace {
    /// Lists the folders at `root`, or in `root/CASIA-WebFace`; opens no picture.
    ///
    /// # Errors
    /// [`Error::Read`] if a folder cannot be listed, [`Error::Dataset`] if there are no two people.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = &super::home(root.as_ref(), "0000045", &["CASIA-WebFace"]);
        let mut names = names(root)?;
        let (mut entries, mut classes) = (Vec::new(), BTreeMap::new());
        let (mut people, mut pictures, mut others, mut left_out) = (0, 0, 0, 0);
        let mut passed = PassedOver::default();
        for folder in walk::entries_noting(root, &mut passed)? {
            let Some(id) = person(&folder.name).filter(|_| folder.is_folder) else {
                others += usize::from(folder.name != "names.txt");
                continue;
            };
            let files: Vec<_> =
                walk::entries_noting(&folder.path, &mut passed)?.into_iter().filter(|f| !f.is_folder).collect();
            let (faces, rest): (Vec<_>, Vec<_>) = files.into_iter().partition(|f| walk::is_picture(&f.path));
            others += rest.len();
            pictures += faces.len();
            people += usize::from(!faces.is_empty());
            if IN_LFW.contains(&id) {
                left_out += faces.len();
                continue;
            }
            let class = ClassId(id);
            let name = names.remove(&id).unwrap_or(folder.name);
            classes.insert(class, ClassEntry { name, group: None });
            let entry = |path| Entry { path, class, side: OfficialSide::Train, crop: None, named: None };
            entries.extend(faces.into_iter().map(|file| entry(file.path)));
        }
        if entries.is_empty() {
            let cure = "give the folder with a folder like 0000045 for every person";
            return Err(Error::dataset(root.display(), "holds no folder named by 7 digits with pictures", cure));
        }
        let published = Published { counts: vec![("pictures", pictures, 494_414), ("people", people, 10_575)] };
        let mut notes = published.differences();
        notes.extend(passed.notes());
        if left_out > 0 {
            notes
                .push(format!("left out {left_out} pictures of people who are in LFW too (0166921, 1056413, 1193098)"));
        }
        if others > 0 {
            notes.push(format!("{others} files and folders that are no person's pictures were ignored"));
        }
        Ok(Self { listed: Listed::new(root.display().to_string(), entries, classes)?.noting(notes) })
    }
}

fn person(folder: &str) -> Option<u32> {
    (folder.len() == 7 && folder.bytes().all(|b| b.is_ascii_digit())).then(|| folder.parse().ok()).flatten()
}

fn names(root: &Path) -> Result<BTreeMap<u32, String>> {
    let file = root.join("names.txt");
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let list = Listing::read(&file, "correct names.txt, or remove it: it only names the people")?;
    let mut names = BTreeMap::new();
    for (line, text) in list.lines() {
        let Some((id, name)) = text.split_once(char::is_whitespace).and_then(|(id, n)| Some((person(id)?, n))) else {
            return Err(list.wrong(line, format!("is `{text}`, but should be a number of 7 digits and a name")));
        };
        if names.insert(id, name.trim().to_owned()).is_some() {
            return Err(list.wrong(line, format!("has {id:07} a second time")));
        }
    }
    Ok(names)
}

listed_dataset!(WebFace);
