//! Approximate search in an index that changes.
#![allow(clippy::unwrap_used)]

use npair_index::{GraphSettings, Index, IndexSettings, NewRow, RowFilter};
use npair_similarity::Rows;
use npair_types::{Measure, Purpose, Streams};
use rand::Rng;

const D: usize = 16;

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).open(Purpose::Evaluation, [0, 0]);
    (0..n * D).map(|_| rng.random::<f32>() - 0.5).collect()
}

fn add(index: &mut Index, names: std::ops::Range<usize>, values: &[f32]) {
    let paths: Vec<String> = names.map(|i| format!("{i}.png")).collect();
    let new: Vec<NewRow> = paths.iter().map(|path| NewRow { path, ..NewRow::default() }).collect();
    index.add(&new, Rows::new(values, D).unwrap()).unwrap();
}

/// Share of the exact answers that are found; those that are found have their exact similarity, in order.
fn recall(index: &Index, queries: &[f32]) -> f64 {
    let queries = Rows::new(queries, D).unwrap();
    let exact = index.search(queries, 10, RowFilter::All).unwrap();
    let near = index.search_approximate(queries, 10, None).unwrap();
    let (mut found, mut all) = (0, 0);
    for (exact, near) in exact.iter().zip(&near) {
        assert!(near.len() == exact.len() && near.is_sorted_by(|a, b| a.similarity >= b.similarity));
        found += exact.iter().filter(|a| near.contains(a)).count();
        all += exact.len();
    }
    f64::from(found as u32) / f64::from(all as u32)
}

#[test]
fn a_graph_follows_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let mut index = Index::create(&dir.path().join("x"), IndexSettings::new(D, Measure::Cosine)).unwrap();
    assert!(index.build_graph(GraphSettings::default()).unwrap_err().to_string().contains("no rows"));
    add(&mut index, 0..2000, &values(2000, 1));
    let queries = values(50, 2);
    assert_eq!((recall(&index, &queries), index.graph()), (1., None));
    let wrong = GraphSettings { links: 1, breadth: 10 };
    assert!(index.build_graph(wrong).unwrap_err().to_string().contains("1 links"));
    let report = index.build_graph(GraphSettings::default()).unwrap();
    assert!(report.rows == 2000 && report.queries == 200 && report.recall_at_10 > 0.95, "{report:?}");
    assert!(recall(&index, &queries) > 0.95);
    // New rows are found at once, replaced ones never again.
    add(&mut index, 1900..2100, &queries.repeat(4));
    let state = index.graph().unwrap();
    assert_eq!((state.rows, state.removed, state.new), (1900, 100, 200));
    assert!(recall(&index, &queries) > 0.95);
    index.remove(RowFilter::Where(&|row| row.id % 10 == 0)).unwrap();
    index.compact().unwrap();
    assert!(recall(&index, &queries) > 0.95);
    let opened = Index::open(index.folder()).unwrap();
    assert_eq!(opened.graph(), index.graph());
    let queries = Rows::new(&queries, D).unwrap();
    assert_eq!(
        opened.search_approximate(queries, 3, Some(20)).unwrap(),
        index.search_approximate(queries, 3, Some(20)).unwrap()
    );
    assert!(index.search_approximate(Rows::new(&[1f32], 1).unwrap(), 3, None).is_err());
    assert!(index.search_approximate(queries, 0, None).is_err());
    // More than a fifth is gone: exact again.
    index.remove(RowFilter::Where(&|row| row.id % 3 == 0)).unwrap();
    assert_eq!(recall(&index, queries.as_slice()), 1.);
    index.drop_graph().unwrap();
    assert!(index.graph().is_none() && Index::open(index.folder()).unwrap().graph().is_none());
}

#[test]
fn small_indexes_and_copies_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for (n, same) in [(1, false), (2, false), (5, true), (300, true)] {
        let mut index = Index::create(&dir.path().join(format!("{n}")), IndexSettings::new(D, Measure::Dot)).unwrap();
        let rows = if same { values(1, 3).repeat(n) } else { values(n, 3) };
        add(&mut index, 0..n, &rows);
        let report = index.build_graph(GraphSettings { links: 2, breadth: 2 }).unwrap();
        assert_eq!((report.rows, report.queries), (n, n.min(200)));
        let queries = values(3, 4);
        let found = index.search_approximate(Rows::new(&queries, D).unwrap(), 10, None).unwrap();
        assert!(found.iter().all(|list| !list.is_empty()), "{n}");
    }
}
