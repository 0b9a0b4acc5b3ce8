use super::listed::{ClassEntry, Entry, Listed, Published, listed_dataset};
use super::listing::Listing;
use crate::{OfficialSide, Result};
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::Path;

const CURE: &str = "give the folder Stanford_Online_Products of the official archive, which holds Ebay_train.txt";

const HEADER: [&str; 4] = ["image_id", "class_id", "super_class_id", "path"];

/// Stanford Online Products: 120,053 photographs of 22,634 products for sale.
///
/// Read from `Ebay_train.txt` and `Ebay_test.txt`, whose classes are the official split; paths lie below the same folder. Class
/// ids are the official ones, from 1 on. The group of a class is its kind of product, as its folder is called (`bicycle` of
/// `bicycle_final`).
///
/// # Source
/// Song et al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016.
#[derive(Debug)]
pub struct OnlineProducts {
    listed: Listed,
}

impl OnlineProducts {
    /// Reads the lists at `root`, or in `root/Stanford_Online_Products`; opens no picture.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) if a list is missing, [`Error::Dataset`](crate::Error::Dataset) naming the line that does not fit:
    /// another header, ragged, a class on both sides, a path that climbs out.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = super::home(root.as_ref(), "Ebay_train.txt", &["Stanford_Online_Products"]);
        let (mut entries, mut classes) = (Vec::new(), BTreeMap::new());
        for (name, side) in [("Ebay_train.txt", OfficialSide::Train), ("Ebay_test.txt", OfficialSide::Test)] {
            let list = Listing::read(&root.join(name), CURE)?;
            read(&list, &root, (name, side), &mut entries, &mut classes)?;
        }
        let names = classes.into_iter().map(|(class, found)| (class, found.entry)).collect();
        let listed = Listed::new(root.display().to_string(), entries, names)?;
        let ((train, train_classes), (test, test_classes)) =
            (listed.count(&[OfficialSide::Train]), listed.count(&[OfficialSide::Test]));
        let published = Published {
            counts: vec![
                ("pictures to learn from", train, 59_551),
                ("classes to learn from", train_classes, 11_318),
                ("pictures for test", test, 60_502),
                ("classes for test", test_classes, 11_316),
            ],
        };
        Ok(Self { listed: listed.noting(published.differences()) })
    }
}

struct Class {
    kind: u32,
    side: OfficialSide,
    entry: ClassEntry,
}

fn read(
    list: &Listing,
    root: &Path,
    (file, side): (&'static str, OfficialSide),
    entries: &mut Vec<Entry>,
    classes: &mut BTreeMap<ClassId, Class>,
) -> Result<()> {
    let mut lines = list.lines();
    let header = lines.next().map_or("", |(_, line)| line);
    if header.split_whitespace().ne(HEADER) {
        return Err(list.wrong(1, format!("is `{header}`, but should be `{}`", HEADER.join(" "))));
    }
    for (line, text) in lines {
        let [_, class, kind, path] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(list.wrong(line, format!("is `{text}`, but should have the 4 columns `{}`", HEADER.join(" "))));
        };
        let id = ClassId(list.number(line, "class_id", class)?);
        let kind = list.number(line, "super_class_id", kind)?;
        let group = path.split_once('/').map(|(folder, _)| folder.trim_end_matches("_final").to_owned());
        let entry = || Class { kind, side, entry: ClassEntry { name: format!("product {id}"), group } };
        let known = classes.entry(id).or_insert_with(entry);
        if known.side != side {
            return Err(list.wrong(line, format!("has class {id}, which is in the list of the other side too")));
        }
        if known.kind != kind {
            let why = format!("puts class {id} under super_class_id {kind}, a line above under {}", known.kind);
            return Err(list.wrong(line, why));
        }
        entries.push(Entry {
            path: list.path(line, root, path)?,
            class: id,
            side,
            crop: None,
            named: Some((file, line)),
        });
    }
    Ok(())
}

listed_dataset!(OnlineProducts);
