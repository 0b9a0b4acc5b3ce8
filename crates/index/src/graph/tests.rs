#![allow(clippy::unwrap_used)]
use super::build::layer_of;
use super::{Graph, GraphSettings, Placed, Walk};
use crate::row::IndexRow;
use npair_similarity::{Exclude, Rows};
use npair_testkit::threads;
use npair_types::{Measure, Purpose, Streams};
use rand::Rng;

const D: usize = 20;

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).open(Purpose::Evaluation, [0, 0]);
    (0..n * D).map(|_| rng.random::<f32>() - 0.5).collect()
}

fn rows(ids: impl Iterator<Item = u64>) -> Vec<IndexRow> {
    ids.map(|id| IndexRow { id, path: format!("{id}").into(), class: None, added: 0, thumbnail: None }).collect()
}

fn built(values: &[f32], measure: Measure) -> Graph {
    let ids = (0..(values.len() / D) as u64).map(|i| 3 * i + 1).collect();
    Graph::build(ids, Rows::new(values, D).unwrap(), measure, GraphSettings::default())
}

#[test]
fn most_of_the_nearest_are_found_by_every_measure() {
    let (n, q, k) = (3000, 100, 10);
    let (values, queries) = (values(n, 1), values(q, 2));
    let (gallery, queries) = (Rows::new(&values, D).unwrap(), Rows::new(&queries, D).unwrap());
    for measure in [Measure::Cosine, Measure::Dot, Measure::SquaredEuclidean] {
        let exact = queries.top_k(gallery, measure, k, Exclude::Nothing).unwrap();
        let placed = Placed::new(built(&values, measure), &rows((0..n as u64).map(|i| 3 * i + 1)), &values, measure);
        let (space, mut walk) = (placed.space(&values, D, measure), Walk::default());
        let mut found = 0;
        for i in 0..q {
            let near = walk.search(&placed, space, queries.row(i), 100);
            found += exact.indices(i).iter().filter(|&&at| near.contains(&(at as usize))).count();
        }
        // Made-up vectors without structure are the hardest.
        assert!(found * 100 >= 95 * q * k, "{measure}: {found} of {}", q * k);
    }
}

#[test]
fn the_graph_is_the_same_for_any_number_of_threads() {
    let values = values(1500, 3);
    let graphs = threads::with_threads(&[1, 3], || built(&values, Measure::Cosine));
    assert_eq!(graphs[0], graphs[1]);
}

#[test]
fn words_come_back_and_are_not_trusted() {
    let values = values(200, 4);
    let graph = built(&values, Measure::Cosine);
    let words = graph.words().concat();
    assert_eq!(Graph::of_words(&words).unwrap(), graph);
    let there = rows((0..200u64).map(|i| 3 * i + 1));
    for at in (0..800).chain((800..words.len()).step_by(31)) {
        for wrong in [0, 1, words[at] ^ 1, words[at] ^ (1 << 20), u32::MAX] {
            let mut bad = words.clone();
            bad[at] = wrong;
            // Other links are a worse graph, which still has to be walked without a panic.
            if let Ok(graph) = Graph::of_words(&bad) {
                let placed = Placed::new(graph, &there, &values, Measure::Cosine);
                let space = placed.space(&values, D, Measure::Cosine);
                Walk::default().search(&placed, space, &values[..D], 10);
            }
        }
    }
    for end in (0..words.len()).step_by(11) {
        assert!(Graph::of_words(&words[..end]).is_err());
    }
}

#[test]
fn rows_that_are_gone_are_passed_over_and_new_ones_are_known_to_be_missing() {
    let (n, values) = (600, values(600, 5));
    let graph = built(&values, Measure::SquaredEuclidean);
    let entry = u64::from(graph.entry);
    // Every sixth row is gone, the one where searches begin too; five are new.
    let is_left = |i: &u64| i % 6 != entry % 6;
    let left: Vec<u64> = (0..n).filter(is_left).collect();
    let rows = rows(left.iter().map(|i| 3 * i + 1).chain(5000..5005));
    let mut kept: Vec<f32> =
        left.iter().flat_map(|&i| &values[i as usize * D..(i as usize + 1) * D]).copied().collect();
    kept.extend_from_slice(&values[..5 * D]);
    let placed = Placed::new(graph, &rows, &kept, Measure::SquaredEuclidean);
    let state = placed.state();
    assert_eq!((state.rows, state.removed, state.new), (500, 100, 5));
    assert_eq!(placed.others(rows.len()), [500, 501, 502, 503, 504]);
    let space = placed.space(&kept, D, Measure::SquaredEuclidean);
    let mut walk = Walk::default();
    let own = (0..500).filter(|&at| walk.search(&placed, space, &kept[at * D..(at + 1) * D], 64)[0] == at).count();
    assert!(own >= 495, "{own} of 500 find themselves");
}

#[test]
fn one_in_so_many_nodes_is_on_the_next_layer() {
    let count = |layer: usize| (0..100_000).filter(|&node| layer_of(node, 16) >= layer).count();
    // 6250 and 391 are expected; five standard deviations.
    assert!(count(1).abs_diff(6250) < 383 && count(2).abs_diff(391) < 99, "{} {}", count(1), count(2));
}
