//! Lists whose candidates were found in whole numbers against those found in f32: the same bits.
#![allow(clippy::unwrap_used)]
use super::*;
use npair_testkit::threads;
use proptest::prelude::*;

/// All pairs in f64, sorted.
fn sorted(task: Task<f32>, k: usize) -> Lists<f32> {
    let Task { queries, gallery, measure, exclude, .. } = task;
    let pairs = PairwiseSimilarity::new(queries, gallery, measure);
    let (mut starts, mut indices, mut similarity) = (vec![0], Vec::new(), Vec::new());
    for query in 0..queries.len() {
        let seen = (0..gallery.len()).filter(|&row| !exclude.hits(query, row));
        let mut keys: Vec<_> = seen.map(|row| pairs.similarity(query, row).key(row as u32)).collect();
        keys.sort_by_key(|&key| std::cmp::Reverse(key));
        for (value, row) in keys.into_iter().take(k).map(f64::of_key) {
            indices.push(row);
            similarity.push(value as f32);
        }
        starts.push(indices.len());
    }
    (starts, indices, similarity)
}

/// The lists by products in f32 alone, if these can tell.
fn plain(task: Task<f32>, k: usize) -> Option<Lists<f32>> {
    let pairs = PairwiseSimilarity::new(task.queries, task.gallery, task.measure);
    by_candidates(task, &pairs, k, |_, _, _| None)
}

/// The same with whole numbers first, whatever the machine multiplies.
fn coarse(task: Task<f32>, k: usize) -> Option<Lists<f32>> {
    let pairs = PairwiseSimilarity::new(task.queries, task.gallery, task.measure);
    by_candidates(task, &pairs, k, |q, g, m| Some(Coarse::new(q, g, m)))
}

fn bits(lists: &Lists<f32>) -> (Vec<usize>, Vec<u32>, Vec<u32>) {
    (lists.0.clone(), lists.1.clone(), lists.2.iter().map(|v| v.to_bits()).collect())
}

/// Rows with ties, copies, zero rows and lengths over many powers of ten.
fn rows(most: usize, width: usize) -> impl Strategy<Value = Vec<f32>> {
    let entry = prop_oneof![(-3i8..=3).prop_map(f32::from), -1f32..1.];
    let row = (0u8..8, proptest::collection::vec(entry, width)).prop_map(|(kind, row)| {
        let scale = [0., 1e-3, 1e4, 1., 1., 1., 1., 1.][usize::from(kind)];
        row.into_iter().map(|v| v * scale).collect::<Vec<f32>>()
    });
    (proptest::collection::vec(row, 5..most), proptest::collection::vec(any::<proptest::sample::Index>(), 0..40))
        .prop_map(|(mut rows, copies)| {
            for copy in copies {
                rows.push(rows[copy.index(rows.len())].clone());
            }
            rows.concat()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn candidates_in_whole_numbers_give_the_same_bits(
        (q, g, width) in (1usize..40).prop_flat_map(|width| (rows(60, width), rows(500, width), Just(width))),
        k in prop_oneof![1usize..20, 1usize..1000],
    ) {
        let (queries, gallery) = (Rows::new(&q, width).unwrap(), Rows::new(&g, width).unwrap());
        let k = k.min(gallery.len());
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            for (queries, exclude) in [(queries, Exclude::Nothing), (gallery, Exclude::SameRow)] {
                let task = Task { queries, gallery, measure, exclude: exclude.into(), known: None };
                let want = bits(&sorted(task, k));
                for found in [plain(task, k), coarse(task, k)].into_iter().flatten() {
                    prop_assert!(bits(&found) == want, "{} {}", measure, k);
                }
            }
        }
    }
}

/// Classes around centres of their own, as embeddings lie, or no classes at all.
fn embeddings(n: usize, width: usize, per_class: usize, spread: f32) -> Vec<f32> {
    let mut state = 7u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.
    };
    let centres: Vec<f32> = (0..n.div_ceil(per_class) * width).map(|_| noise()).collect();
    (0..n * width).map(|at| centres[at / width / per_class * width + at % width] + spread * noise()).collect()
}

#[test]
fn guessed_bars_and_many_neighbours_give_the_same_bits_on_any_number_of_threads() {
    let x = embeddings(8200, 32, 40, 0.7);
    let rows = Rows::new(&x, 32).unwrap();
    let few = Rows::new(&x[..32 * 100], 32).unwrap();
    for (queries, measure, k) in [
        (rows, Measure::Dot, 10),
        (few, Measure::Cosine, 1000),
        (few, Measure::SquaredEuclidean, 100),
        (few, Measure::Dot, 1),
    ] {
        let task = Task { queries, gallery: rows, measure, exclude: Exclude::SameRow.into(), known: None };
        let want = bits(&plain(task, k).unwrap());
        let pairs = PairwiseSimilarity::new(queries, rows, measure);
        let unit = UnitSides::of(queries, rows);
        let (queries, gallery, by) = match measure {
            Measure::Cosine => (unit.queries(), unit.gallery(), Measure::Dot),
            _ => (queries, rows, measure),
        };
        let matrix = Some(Coarse::new(queries, gallery, by));
        let search = Search {
            queries,
            gallery,
            measure: by,
            exclude: task.exclude,
            pairs: Some(&pairs),
            coarse: matrix,
            known: None,
        };
        // By whole numbers alone: these can tell.
        let got = threads::with_threads(&[1, 2], || bits(&search.run(k).unwrap()));
        assert!(got.iter().all(|got| *got == want), "{measure} {k}");
    }
}

#[test]
fn rows_that_whole_numbers_cannot_tell_apart_are_left_to_others() {
    // Far from the origin beside their spread, which squared distances are moved for and products are not.
    let x: Vec<f32> = embeddings(400, 32, 4, 0.01).iter().map(|v| 1. + 1e-4 * v).collect();
    let rows = Rows::new(&x, 32).unwrap();
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        let task = Task { queries: rows, gallery: rows, measure, exclude: Exclude::SameRow.into(), known: None };
        let want = bits(&sorted(task, 3));
        for found in [plain(task, 3), coarse(task, 3)].into_iter().flatten() {
            assert!(bits(&found) == want, "{measure}");
        }
    }
    let found = rows.top_k(rows, Measure::SquaredEuclidean, 3, Exclude::SameRow).unwrap();
    assert!((0..400).all(|i| found.indices(i).iter().all(|&j| j as usize / 4 == i / 4)));
}

/// Random rows in pieces of random lengths, some of them empty.
fn cut(gallery: &[f32], width: usize, cuts: &[proptest::sample::Index]) -> Vec<Result<Vec<f32>>> {
    let rows = gallery.len() / width;
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(rows + 1)).chain([0, rows]).collect();
    at.sort_unstable();
    at.windows(2).map(|w| Ok(gallery[w[0] * width..w[1] * width].to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_gallery_in_pieces_gives_the_bits_of_the_whole(
        (q, g, width) in (1usize..40).prop_flat_map(|width| (rows(60, width), rows(500, width), Just(width))),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        k in prop_oneof![1usize..20, 1usize..=1000],
    ) {
        let (queries, gallery) = (Rows::new(&q, width).unwrap(), Rows::new(&g, width).unwrap());
        let ids = |n: usize| (0..n).map(|i| ExampleId(i / 3)).collect::<Vec<_>>();
        let (q_ids, g_ids) = (ids(queries.len()), ids(gallery.len()));
        let same_id = Exclude::SameId { queries: &q_ids, gallery: &g_ids };
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            for exclude in [Exclude::Nothing, Exclude::SameRow, same_id] {
                let want = bits(&sorted(Task { queries, gallery, measure, exclude: exclude.into(), known: None }, k));
                let found = queries.top_k_in_pieces(cut(&g, width, &cuts), measure, k, exclude).unwrap();
                prop_assert!(bits(&(found.starts, found.indices, found.similarity)) == want, "{} {}", measure, k);
            }
        }
    }

    #[test]
    fn what_is_near_enough_is_what_sorting_all_finds(
        (q, g, width) in (1usize..40).prop_flat_map(|width| (rows(60, width), rows(300, width), Just(width))),
        most in 1usize..400,
        place in any::<proptest::sample::Index>(),
    ) {
        let (queries, gallery) = (Rows::new(&q, width).unwrap(), Rows::new(&g, width).unwrap());
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            let pairs = PairwiseSimilarity::new(queries, gallery, measure);
            // Of some pair itself: what is as near as that is near enough.
            let least = pairs.similarity(0, place.index(gallery.len()));
            let exclude = Exclude::SameRow;
            let found = queries.within(gallery, measure, least, most, exclude).unwrap();
            let all = sorted(Task { queries, gallery, measure, exclude: exclude.into(), known: None }, gallery.len());
            for query in 0..queries.len() {
                let list = &all.1[all.0[query]..all.0[query + 1]];
                let near = list.iter().take_while(|&&row| pairs.similarity(query, row as usize) >= least);
                let want: Vec<u32> = near.take(most).copied().collect();
                prop_assert_eq!(found.indices(query), want, "{} {}", measure, query);
            }
        }
    }

    #[test]
    fn sums_of_single_pairs_in_f32_are_as_near_as_they_say(
        (q, g, width) in (1usize..200).prop_flat_map(|width| (rows(8, width), rows(8, width), Just(width))),
    ) {
        let (queries, gallery) = (Rows::new(&q, width).unwrap(), Rows::new(&g, width).unwrap());
        for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
            let pairs = PairwiseSimilarity::new(queries, gallery, measure);
            let mut wide = Vec::new();
            for (query, row) in (0..queries.len()).flat_map(|i| (0..gallery.len()).map(move |j| (i, j))) {
                let ([least, most], similarity) = (pairs.bounds(query, row), pairs.similarity(query, row));
                prop_assert!(least <= similarity && similarity <= most, "{least} {similarity} {most}");
                pairs.widen(query, &mut wide);
                prop_assert_eq!(pairs.similarity_of(&wide, query, row).to_bits(), similarity.to_bits());
            }
        }
    }
}

#[test]
fn large_pieces_give_the_same_bits_on_any_number_of_threads() {
    let x = embeddings(20_000, 32, 40, 0.7);
    let rows = Rows::new(&x, 32).unwrap();
    let few = Rows::new(&x[..32 * 100], 32).unwrap();
    for (measure, k) in [(Measure::Cosine, 1), (Measure::Dot, 10), (Measure::SquaredEuclidean, 1000)] {
        let whole = few.top_k(rows, measure, k, Exclude::SameRow).unwrap();
        let pieces = || x.chunks(32 * 3000).map(Ok::<_, Error>);
        let found =
            threads::with_threads(&[1, 2], || few.top_k_in_pieces(pieces(), measure, k, Exclude::SameRow).unwrap());
        assert!(found.iter().all(|found| *found == whole), "{measure} {k}");
    }
}

#[test]
fn what_is_wrong_with_a_piece_is_said() {
    #[derive(Debug)]
    enum Mine {
        Reader(&'static str),
        Search(Error),
    }
    impl From<Error> for Mine {
        fn from(error: Error) -> Self {
            Self::Search(error)
        }
    }
    let x = [1f32, 2., 3., 4.];
    let rows = Rows::new(&x, 2).unwrap();
    let find = |pieces: Vec<Result<Vec<f32>, Mine>>, k: usize, exclude: Exclude| match rows.top_k_in_pieces(
        pieces,
        Measure::Dot,
        k,
        exclude,
    ) {
        Err(Mine::Search(error)) => error.to_string(),
        Err(Mine::Reader(said)) => said.to_owned(),
        Ok(found) => format!("{:?}", found.indices),
    };
    let fine = || Ok(vec![1f32, 0., 0., 1.]);
    assert_eq!(find(vec![fine(), Err(Mine::Reader("no disk")), fine()], 1, Exclude::Nothing), "no disk");
    assert!(find(vec![fine(), Ok(vec![1.])], 1, Exclude::Nothing).contains("1 values in rows of 2"));
    assert!(find(vec![fine(), Ok(vec![1., f32::NAN])], 1, Exclude::Nothing).contains("row 2 of the gallery"));
    assert!(find(vec![fine()], 0, Exclude::Nothing).contains("k >= 1"));
    let ids = [ExampleId(0), ExampleId(1)];
    let same = Exclude::SameId { queries: &ids, gallery: &ids };
    assert!(find(vec![fine(), fine()], 1, same).contains("2 and 2, but 2 and 4"));
    assert!(find(vec![], 1, same).contains("2 and 2, but 2 and 0"));
    let short = Exclude::SameId { queries: &ids[..1], gallery: &ids };
    assert!(find(vec![fine(), fine()], 1, short).contains("1 and 2, but 2 and 2"));
    assert_eq!(find(vec![fine()], 5, same), "[1, 0]");
    assert_eq!(find(vec![], 5, Exclude::Nothing), "[]");
    assert!(find(vec![Ok(vec![3e38, 3e38])], 1, Exclude::Nothing).contains("overflows"));
    let within = |least, most| rows.within(rows, Measure::Dot, least, most, Exclude::Nothing);
    assert!(within(f64::NAN, 1).is_err() && within(0., 0).is_err());
    assert_eq!(within(f64::NEG_INFINITY, 9).unwrap().indices, [1, 0, 1, 0]);
    assert!(within(1e9, 9).unwrap().indices.is_empty());
}
