//! Whatever was added, replaced and removed: answers are those of an index made anew of what is left.
#![allow(clippy::unwrap_used)]

use npair_index::{Index, IndexSettings, NewRow, RowFilter};
use npair_similarity::Rows;
use npair_types::Measure;
use proptest::prelude::*;

const D: usize = 3;

/// A row as a test knows it.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    path: String,
    class: Option<String>,
    vector: [f32; D],
    thumbnail: Option<Vec<u8>>,
}

impl Known {
    fn as_new(&self) -> NewRow<'_> {
        let (path, class) = (self.path.as_str(), self.class.as_deref());
        NewRow { path, class, added: 7, thumbnail: self.thumbnail.as_deref() }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Add(Vec<Known>),
    RemovePath(usize),
    RemoveClass(u8),
    Compact,
    Reopen,
}

fn known() -> impl Strategy<Value = Known> {
    // Few values and few paths: ties and replacements are common.
    (0..12u8, 0..4u8, prop::array::uniform3(-2i8..3), prop::option::of(prop::collection::vec(any::<u8>(), 0..9)))
        .prop_map(|(path, class, vector, thumbnail)| Known {
            path: format!("{path}.png"),
            class: (class > 0).then(|| format!("class {class}")),
            vector: vector.map(f32::from),
            thumbnail,
        })
}

fn change() -> impl Strategy<Value = Change> {
    let add = prop::collection::vec(known(), 1..6).prop_map(|mut rows| {
        let mut seen = std::collections::HashSet::new();
        rows.retain(|row| seen.insert(row.path.clone()));
        Change::Add(rows)
    });
    prop_oneof![
        6 => add,
        2 => (0..12usize).prop_map(Change::RemovePath),
        1 => (1..4u8).prop_map(Change::RemoveClass),
        1 => Just(Change::Compact),
        1 => Just(Change::Reopen),
    ]
}

fn add(index: &mut Index, rows: &[Known]) -> npair_index::Added {
    let vectors: Vec<f32> = rows.iter().flat_map(|row| row.vector).collect();
    let new: Vec<NewRow> = rows.iter().map(Known::as_new).collect();
    index.add(&new, Rows::new(&vectors, D).unwrap()).unwrap()
}

fn apply(index: &mut Index, left: &mut Vec<Known>, change: &Change) {
    match change {
        Change::Add(rows) => {
            let added = add(index, rows);
            let replaced: Vec<&str> = added.replaced.iter().map(|row| &*row.path).collect();
            let is_new = |old: &&Known| rows.iter().any(|row| row.path == old.path);
            assert_eq!(replaced, left.iter().filter(is_new).map(|row| row.path.as_str()).collect::<Vec<_>>());
            left.retain(|old| !rows.iter().any(|row| row.path == old.path));
            left.extend(rows.iter().cloned());
        }
        Change::RemovePath(path) => {
            let path = format!("{path}.png");
            index.remove(RowFilter::Paths(&[&path])).unwrap();
            left.retain(|row| row.path != path);
        }
        Change::RemoveClass(class) => {
            let class = format!("class {class}");
            index.remove(RowFilter::Class(&class)).unwrap();
            left.retain(|row| row.class.as_ref() != Some(&class));
        }
        Change::Compact => index.compact().unwrap(),
        Change::Reopen => *index = Index::open(index.folder()).unwrap(),
    }
}

fn contents(index: &Index) -> Vec<Known> {
    let row = |(at, row): (usize, &npair_index::IndexRow)| Known {
        path: row.path.to_string(),
        class: row.class.as_deref().map(str::to_owned),
        vector: index.vectors().row(at).try_into().unwrap(),
        thumbnail: index.thumbnail(row.id).unwrap(),
    };
    index.rows().iter().enumerate().map(row).collect()
}

type Lists = Vec<Vec<(String, f32)>>;

fn answers(index: &Index, filter: RowFilter) -> Lists {
    let queries = [1f32, 2., 0., -1., 1., 1., 0., 0., 2.];
    let found = index.search(Rows::new(&queries, D).unwrap(), 5, filter).unwrap();
    let list = |list: Vec<npair_index::Answer>| list.iter().map(|a| (a.row.path.to_string(), a.similarity)).collect();
    found.into_iter().map(list).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn answers_are_those_of_an_index_made_anew(changes in prop::collection::vec(change(), 1..9), by in 0..3usize) {
        let dir = tempfile::tempdir().unwrap();
        let settings = IndexSettings::new(D, [Measure::Cosine, Measure::Dot, Measure::SquaredEuclidean][by]);
        let mut index = Index::create(&dir.path().join("changed"), settings).unwrap();
        let mut left = Vec::new();
        for change in &changes {
            apply(&mut index, &mut left, change);
        }
        prop_assert_eq!(contents(&index), left.clone());
        let opened = Index::open(index.folder()).unwrap();
        prop_assert_eq!(contents(&opened), left.clone());
        prop_assert_eq!(opened.rows(), index.rows());
        let mut anew = Index::create(&dir.path().join("anew"), settings).unwrap();
        add(&mut anew, &left);
        let odd = |row: &npair_index::IndexRow| row.path.len() == 5;
        for filter in [RowFilter::All, RowFilter::Class("class 1"), RowFilter::Where(&odd)] {
            let want = answers(&anew, filter);
            prop_assert_eq!(answers(&index, filter), want.clone());
            prop_assert_eq!(answers(&opened, filter), want);
        }
        // What is in the folder is what is in use: three files a segment at most, removed ids, the lock, index.json.
        let files = std::fs::read_dir(index.folder()).unwrap().count();
        prop_assert!(files <= 3 * 6 + 3, "{}", files);
    }
}

#[test]
fn ids_are_never_used_again_and_segments_stay_few() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::create(&dir.path().join("x"), IndexSettings::new(1, Measure::Dot)).unwrap();
    let mut last = 0;
    for at in 0..40u32 {
        let path = format!("{}", at % 25);
        let new = NewRow { path: &path, ..NewRow::default() };
        let is_there = index.find(&path).is_some();
        let added = index.add(&[new], Rows::new(&[at as f32], 1).unwrap()).unwrap();
        assert!(added.ids[0] > last && added.replaced.len() == usize::from(is_there));
        last = added.ids[0];
        if at % 9 == 8 {
            index.remove(RowFilter::Ids(&[last, 999])).unwrap();
            index = Index::open(index.folder()).unwrap();
        }
    }
    assert!(index.find("24").is_some() && index.find("none").is_none());
    assert_eq!(index.position(last), Some(index.len() - 1));
    let tables = std::fs::read_dir(index.folder()).unwrap().flatten();
    let tables = tables.filter(|e| e.path().extension().is_some_and(|e| e == "parquet")).count();
    // 40 rows in segments that halve: at most six of them.
    assert!(tables <= 6, "{tables}");
    index.remove(RowFilter::All).unwrap();
    assert!(index.is_empty() && Index::open(index.folder()).unwrap().is_empty());
    let again = index.add(&[NewRow { path: "0", ..NewRow::default() }], Rows::new(&[1f32], 1).unwrap()).unwrap();
    assert!(again.ids[0] > last);
}

#[test]
fn two_that_have_an_index_open_change_it_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = Index::create(&dir.path().join("x"), IndexSettings::new(1, Measure::Dot)).unwrap();
    let mut two = Index::open(one.folder()).unwrap();
    for (index, path) in [(&mut one, "a"), (&mut two, "b")] {
        index.add(&[NewRow { path, ..NewRow::default() }], Rows::new(&[1f32], 1).unwrap()).unwrap();
    }
    assert_eq!((one.len(), two.len()), (1, 2));
    assert!(one.refresh().unwrap() && !one.refresh().unwrap());
    assert_eq!(one.rows(), two.rows());
    // Somebody who never lets go.
    let lock = std::fs::File::options().write(true).open(one.folder().join("lock")).unwrap();
    lock.lock().unwrap();
    let said = one.remove(RowFilter::All).unwrap_err().to_string();
    assert!(said.contains("another program is changing this index") && one.len() == 2, "{said}");
    assert_eq!(Index::open(one.folder()).unwrap().len(), 2);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x");
    assert!(Index::create(&folder, IndexSettings::new(0, Measure::Dot)).is_err());
    let mut index = Index::create(&folder, IndexSettings::new(2, Measure::Dot)).unwrap();
    let said = Index::create(&folder, IndexSettings::new(2, Measure::Dot)).unwrap_err().to_string();
    assert!(said.contains("is there already"), "{said}");
    let row = NewRow { path: "a", ..NewRow::default() };
    let long = "x".repeat(5000);
    let large = vec![0; 2 << 20];
    let values = [1f32, 2., 3., 4.];
    let one = Rows::new(&values[..2], 2).unwrap();
    for (new, vectors, want) in [
        (vec![row], Rows::new(&values, 2).unwrap(), "shape (2, 2)"),
        (vec![row], Rows::new(&values[..1], 1).unwrap(), "(1, 2) is needed"),
        (vec![row], Rows::trusted(&[f32::NAN, 0.], 2), "row 0 is not finite"),
        (vec![row], Rows::new(&[1e19, 0.], 2).unwrap(), "row 0 is longer than 1e18"),
        (vec![row, row], Rows::new(&values, 2).unwrap(), "give each path once"),
        (vec![NewRow { path: "", ..row }], one, "is empty"),
        (vec![NewRow { path: "a\0", ..row }], one, "character 0"),
        (vec![NewRow { class: Some(&long), ..row }], one, "class of new row 0 has 5000 bytes"),
        (vec![NewRow { added: u64::MAX, ..row }], one, "beyond 63 bits"),
        (vec![NewRow { thumbnail: Some(&large), ..row }], one, "scale it down"),
    ] {
        let said = index.add(&new, vectors).unwrap_err().to_string();
        assert!(said.contains(want) && said.lines().count() == 1, "{said}");
    }
    assert!(index.is_empty() && index.generation() == 0);
    let said = index.search(Rows::new(&values[..1], 1).unwrap(), 1, RowFilter::All).unwrap_err().to_string();
    assert!(said.contains("near queries of 2 are found"), "{said}");
    assert!(index.search(one, 0, RowFilter::All).is_err());
    assert_eq!(index.search(one, 1, RowFilter::All).unwrap(), [[]]);
}
