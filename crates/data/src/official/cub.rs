use super::listed::{ClassEntry, Entry, Listed, Published, listed_dataset};
use super::listing::Listing;
use crate::{OfficialSide, Result};
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::Path;

const CURE: &str = "give the folder CUB_200_2011 of the official archive, which holds images.txt and images/";

/// Classes from this id on are for test.
const FIRST_TEST_CLASS: u32 = 101;

/// CUB-200-2011: 11,788 photographs of 200 kinds of birds.
///
/// Read from `images.txt`, `image_class_labels.txt` and `classes.txt`; pictures lie below `images/`. Class ids are the official
/// ones, from 1 on. The official split is that of metric learning: classes 1 to 100 for training, 101 to 200 for test. It is
/// **not** that of `train_test_split.txt`, which has every class on both sides and is not read.
///
/// # Source
/// Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, 2011; the split: Song et al., CVPR 2016, section 5.
#[derive(Debug)]
pub struct Cub {
    listed: Listed,
}

impl Cub {
    /// Reads the lists at `root`, or in `root/CUB_200_2011`; opens no picture.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) if a list is missing, [`Error::Dataset`](crate::Error::Dataset) naming the line that does not fit.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = super::home(root.as_ref(), "images.txt", &["CUB_200_2011"]);
        let read = |name: &str| Listing::read(&root.join(name), CURE);
        let classes = read("classes.txt")?;
        let names = pairs(&classes)?;
        let images = read("images.txt")?;
        let labels = read("image_class_labels.txt")?;
        let class_of: BTreeMap<u32, (usize, u32)> = pairs(&labels)?
            .into_iter()
            .map(|(id, (line, class))| Ok((id, (line, labels.number(line, "the class", class)?))))
            .collect::<Result<_>>()?;
        let paths = pairs(&images)?;
        let mut entries = Vec::with_capacity(paths.len());
        for (id, &(line, path)) in &paths {
            let Some(&(at, class)) = class_of.get(id) else {
                return Err(images.wrong(line, format!("has picture {id}, which has no class in {}", labels.file())));
            };
            if !names.contains_key(&class) {
                return Err(labels.wrong(at, format!("has class {class}, which has no name in classes.txt")));
            }
            let side = if class < FIRST_TEST_CLASS { OfficialSide::Train } else { OfficialSide::Test };
            entries.push(Entry {
                path: images.path(line, &root.join("images"), path)?,
                class: ClassId(class),
                side,
                crop: None,
                named: Some(("images.txt", line)),
            });
        }
        if let Some((id, (line, _))) = class_of.iter().find(|(id, _)| !paths.contains_key(id)) {
            return Err(labels.wrong(*line, format!("has picture {id}, which is not in {}", images.file())));
        }
        let names = names
            .into_iter()
            .map(|(id, (_, name))| (ClassId(id), ClassEntry { name: name.to_owned(), group: None }))
            .collect();
        let listed = Listed::new(root.display().to_string(), entries, names)?;
        let ((train, train_classes), (test, test_classes)) =
            (listed.count(&[OfficialSide::Train]), listed.count(&[OfficialSide::Test]));
        let published = Published {
            counts: vec![
                ("pictures to learn from", train, 5864),
                ("classes to learn from", train_classes, 100),
                ("pictures for test", test, 5924),
                ("classes for test", test_classes, 100),
            ],
        };
        Ok(Self { listed: listed.noting(published.differences()) })
    }
}

/// Lines `id rest` by id, with the line's number.
fn pairs(list: &Listing) -> Result<BTreeMap<u32, (usize, &str)>> {
    let mut found = BTreeMap::new();
    for (line, text) in list.lines() {
        let Some((id, rest)) = text.split_once(' ') else {
            return Err(list.wrong(line, format!("is `{text}`, but should be a number, a space and more")));
        };
        let id: u32 = list.number(line, "the id", id)?;
        if let Some((first, _)) = found.insert(id, (line, rest.trim())) {
            return Err(list.wrong(line, format!("has the id {id}, which line {first} has too")));
        }
    }
    if found.is_empty() { Err(list.faulty("is empty")) } else { Ok(found) }
}

listed_dataset!(Cub);
