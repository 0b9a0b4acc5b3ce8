use super::listed::{ClassEntry, Entry, Listed, Published, listed_dataset};
use super::listing::Listing;
use crate::{OfficialSide, Result};
use npair_types::ClassId;
use std::collections::BTreeMap;
use std::path::Path;

const CURE: &str = "give the folder of the In-shop benchmark, which holds Eval/list_eval_partition.txt and Img/img/";

const LIST: &str = "list_eval_partition.txt";

const HEADER: [&str; 3] = ["image_name", "item_id", "evaluation_status"];

/// DeepFashion's In-shop Clothes Retrieval: 52,712 photographs of 7,982 pieces of clothing.
///
/// Read from `Eval/list_eval_partition.txt` (or the same file at `root`). Its first line counts its rows. Pictures lie below
/// `Img/` (or `root`), as `img/WOMEN/...`. A class is an item; its id is the number in `id_00000002`. The official split has items
/// to learn from, and others with queries and a gallery, which queries are searched in.
///
/// # Source
/// Liu et al., DeepFashion, CVPR 2016.
#[derive(Debug)]
pub struct InShop {
    listed: Listed,
}

impl InShop {
    /// Reads the list; opens no picture.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) if the list is missing, [`Error::Dataset`](crate::Error::Dataset) naming the line that does not fit: a
    /// wrong count, another header, ragged, an unknown status, an item on both sides, a path that climbs out.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let list = super::home(root, LIST, &["Eval"]).join(LIST);
        let list = Listing::read(&list, CURE)?;
        let pictures = if root.join("Img").is_dir() { root.join("Img") } else { root.to_owned() };
        let (entries, classes) = read(&list, &pictures)?;
        let listed = Listed::new(root.display().to_string(), entries, classes)?;
        let count = |sides: &[OfficialSide]| listed.count(sides);
        use OfficialSide::{Gallery, Query, Train};
        let published = Published {
            counts: vec![
                ("pictures to learn from", count(&[Train]).0, 25_882),
                ("items to learn from", count(&[Train]).1, 3997),
                ("queries", count(&[Query]).0, 14_218),
                ("pictures in the gallery", count(&[Gallery]).0, 12_612),
                ("items for test", count(&[Query, Gallery]).1, 3985),
            ],
        };
        let notes = published.differences();
        Ok(Self { listed: listed.noting(notes) })
    }
}

fn read(list: &Listing, pictures: &Path) -> Result<(Vec<Entry>, BTreeMap<ClassId, ClassEntry>)> {
    let mut lines = list.lines();
    let (_, count) = lines.next().ok_or_else(|| list.faulty("is empty"))?;
    let promised: usize = list.number(1, "the number of rows", count)?;
    let (at, header) = lines.next().ok_or_else(|| list.wrong(1, "is the only one"))?;
    if header.split_whitespace().ne(HEADER) {
        return Err(list.wrong(at, format!("is `{header}`, but should be `{}`", HEADER.join(" "))));
    }
    let (mut entries, mut classes) = (Vec::new(), BTreeMap::<ClassId, (bool, ClassEntry)>::new());
    for (line, text) in lines {
        let [path, item, status] = text.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(list.wrong(line, format!("is `{text}`, but should have the 3 columns `{}`", HEADER.join(" "))));
        };
        let side = match status {
            "train" => OfficialSide::Train,
            "query" => OfficialSide::Query,
            "gallery" => OfficialSide::Gallery,
            other => return Err(list.wrong(line, format!("has the status `{other}`, none of train, query, gallery"))),
        };
        let Some(digits) = item.strip_prefix("id_") else {
            return Err(list.wrong(line, format!("has the item `{item}`, but should have id_ and a number")));
        };
        let class = ClassId(list.number(line, "the item", digits)?);
        let learned = side == OfficialSide::Train;
        let entry = || (learned, ClassEntry { name: item.to_owned(), group: None });
        if classes.entry(class).or_insert_with(entry).0 != learned {
            return Err(list.wrong(line, format!("has {item} as {status}, but a line above has it on the other side")));
        }
        entries.push(Entry {
            path: list.path(line, pictures, path)?,
            class,
            side,
            crop: None,
            named: Some((LIST, line)),
        });
    }
    if entries.len() != promised {
        return Err(list.wrong(1, format!("promises {promised} rows, the list has {}", entries.len())));
    }
    Ok((entries, classes.into_iter().map(|(class, (_, entry))| (class, entry)).collect()))
}

listed_dataset!(InShop);
