//! Protocols on miniature data sets with embeddings made up by hand, so that every score can be worked out.
#![allow(clippy::unwrap_used)]

use npair_data::{Dataset, InShop, Lfw, OneShotRuns, Picture, sheet::encode_png};
use npair_evaluate::protocol::{IdentificationSplit, Protocol, identify, lfw_verification, one_shot, query_gallery};
use npair_evaluate::{EvaluationConfig, Inputs, QueryGallery};
use npair_metrics::Embeddings;
use npair_recipe::{Config, open_splits};
use npair_types::{ClassIndex, ExampleId, Labels, Measure, Streams};
use std::path::Path;

fn touch(root: &Path, file: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, encode_png(&Picture::new(1, 1, 1, vec![7]).unwrap()).unwrap()).unwrap();
}

fn set(values: &[f64], labels: &Labels) -> Embeddings {
    Embeddings::new(values, 1, labels.clone()).unwrap()
}

/// Ada has images 1 and 2, Bo 1 and 2, Cy 1, Di 1; two folds of a pair of each kind.
fn faces(root: &Path) -> Lfw {
    for file in ["Ada_0001", "Ada_0002", "Bo_0001", "Bo_0002", "Cy_0001", "Di_0001"] {
        touch(root, &format!("{}/{file}.jpg", file.split('_').next().unwrap()));
    }
    std::fs::write(root.join("pairs.txt"), "2\t1\nAda\t1\t2\nAda\t1\tCy\t1\nBo\t1\t2\nBo\t1\tDi\t1\n").unwrap();
    Lfw::open(root).unwrap()
}

#[test]
fn verification_over_folds() {
    let dir = tempfile::tempdir().unwrap();
    let faces = faces(dir.path());
    let judge = |values: &[f64]| {
        let list = faces.pairs().unwrap();
        lfw_verification(&faces, &list, &set(values, faces.labels()), Measure::SquaredEuclidean).unwrap()
    };
    // Distances: Ada 1, Ada-Cy 25; Bo 1, Bo-Di 16: told apart at any threshold between.
    let good = judge(&[0., 1., 10., 11., 5., 14.]);
    assert_eq!(
        (good.get("verification accuracy"), good.get("AUC"), good.get("TAR@FAR=0.1%")),
        (Some(1.), Some(1.), Some(1.))
    );
    // Bo's pair is at 100, Bo-Di at 16: the threshold of the first fold (between 1 and 25, at 13) refuses both of the second, so that
    // half is right; the second has none that is better than accepting nothing, which is half right in the first.
    let bad = judge(&[0., 1., 10., 20., 5., 14.]);
    assert_eq!((bad.get("verification accuracy"), bad.get("AUC")), (Some(0.5), Some(0.5)));
    assert_eq!(bad.scores[0].standard_error, Some(0.));
}

#[test]
fn identification_on_a_split_of_our_own() {
    // People 0 to 4 with 3, 2, 2, 2, 1 images.
    let labels = Labels::new([0, 0, 0, 1, 1, 2, 2, 3, 3, 4]).unwrap();
    let index = ClassIndex::from_labels(&labels);
    let split = IdentificationSplit::draw(&index, Streams::new(3));
    let ids = |of: &[usize]| of.iter().copied().map(ExampleId).collect::<Vec<_>>();
    assert_eq!(split.closed, [ids(&[0, 3, 5, 7, 9]), ids(&[1, 2, 4, 6, 8])]);
    // Half of the four with two or more: each gives its last as a probe and the others to the gallery.
    let classes = |of: &[ExampleId]| of.iter().map(|e| labels.get(e.0).0).collect::<Vec<_>>();
    let [gallery, probes] = &split.open;
    let mut known = classes(gallery);
    known.dedup();
    assert_eq!((known.len(), gallery.len() + probes.len()), (2, 10));
    for class in 0..5 {
        let all: Vec<usize> = (0..10).filter(|&i| labels.get(i).0 == class).collect();
        let own: Vec<ExampleId> = probes.iter().copied().filter(|e| labels.get(e.0).0 == class).collect();
        assert_eq!(own, if known.contains(&class) { ids(&all[all.len() - 1..]) } else { ids(&all) });
    }
    assert_ne!(
        (1..9)
            .map(|s| IdentificationSplit::draw(&index, Streams::new(s)).open[0].clone())
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        1
    );
    // Everyone at their own place: nothing is missed. All at one place: ties are failures.
    let judge =
        |values: Vec<f64>| identify(&set(&values, &labels), Measure::SquaredEuclidean, Streams::new(3)).unwrap();
    let good = judge((0..10).map(|i| f64::from(labels.get(i).0)).collect());
    assert_eq!((good.get("rank-1"), good.get("DIR@FAR=1%")), (Some(1.), Some(1.)));
    let flat = judge(vec![1.; 10]);
    assert_eq!((flat.get("rank-1"), flat.get("DIR@FAR=1%")), (Some(0.), Some(0.)));
    assert!(good.notes.iter().any(|n| n.contains("split of our own")));
    assert!(
        good.notes.iter().any(|n| n == "rank-1: 5 probes in a gallery of 5 people, the first image of each"),
        "{:?}",
        good.notes
    );
}

/// Two runs of three characters.
fn runs(root: &Path) -> OneShotRuns {
    for r in 1..=2 {
        let mut list = String::new();
        for i in 1..=3 {
            touch(root, &format!("run0{r}/test/item0{i}.png"));
            touch(root, &format!("run0{r}/training/class0{i}.png"));
            list += &format!("run0{r}/test/item0{i}.png run0{r}/training/class0{i}.png\n");
        }
        std::fs::write(root.join(format!("run0{r}/class_labels.txt")), list).unwrap();
    }
    OneShotRuns::open(root).unwrap()
}

#[test]
fn official_runs_are_judged_apart() {
    let dir = tempfile::tempdir().unwrap();
    let runs = runs(dir.path());
    // Rows are test, training, test, training ...: in the first run 1 of 3 is mistaken (12 is nearer to 10 than to 20), in the second
    // none, though its test images are the first run's training images.
    let values = [0., 1., 12., 20., 9., 10., 1., 2., 20., 19., 10., 11.];
    let found = one_shot(&runs, &set(&values, runs.labels()), Measure::SquaredEuclidean).unwrap();
    let errors: Vec<(&str, usize, f64)> = found.runs.iter().map(|r| (r.name.as_str(), r.ways, r.error)).collect();
    assert!((errors[0].2 - 1. / 3.).abs() < 1e-12, "{errors:?}");
    assert_eq!((errors[0].0, errors[0].1, errors[1]), ("run01", 3, ("run02", 3, 0.)));
    // Mean of 1/3 and 0 and its standard error, (1/3) / 2.
    assert!((found.error.value - 1. / 6.).abs() < 1e-12 && (found.error.standard_error - 1. / 6.).abs() < 1e-12);
    let few = Embeddings::new(&[1., 2.], 1, Labels::new([0, 1]).unwrap()).unwrap();
    assert!(one_shot(&runs, &few, Measure::Cosine).unwrap_err().to_string().contains("2 embeddings"));
}

const IN_SHOP: &str = "7\nimage_name item_id evaluation_status\n\
img/A/id_00000001/1.jpg id_00000001 train\nimg/A/id_00000001/2.jpg id_00000001 train\nimg/A/id_00000002/1.jpg id_00000002 train\n\
img/A/id_00000003/1.jpg id_00000003 query\nimg/A/id_00000003/2.jpg id_00000003 gallery\n\
img/A/id_00000004/1.jpg id_00000004 query\nimg/A/id_00000004/2.jpg id_00000004 gallery\n";

#[test]
fn queries_are_searched_in_the_gallery_only() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("list_eval_partition.txt"), IN_SHOP).unwrap();
    let data = InShop::open(dir.path()).unwrap();
    let search = QueryGallery::of(&data).unwrap();
    assert_eq!(
        (&search.queries[..], &search.gallery[..]),
        (&[ExampleId(3), ExampleId(5)][..], &[ExampleId(4), ExampleId(6)][..])
    );
    let config = EvaluationConfig { measure: Measure::SquaredEuclidean, recall_at: vec![1, 2], ..Default::default() };
    // Query 3 at 0: its item at 5, the other item's at 6, the training images and the other query nearer than all of them.
    // Query 5 at 1: the other item's at 5 is nearer than its own at 6.
    let rows = set(&[0., 0., 0., 0., 5., 1., 6.], data.labels());
    let found = query_gallery("test", &rows, &search, &EvaluationConfig { recall_at: vec![1, 2, 9], ..config.clone() })
        .unwrap();
    assert_eq!((found.get("recall@1"), found.get("MRR")), (Some(0.5), Some(0.75)));
    assert!(found.notes.iter().any(|n| n == "2 queries in a gallery of 2"), "{:?}", found.notes);

    // Through the settings: the source's usual split, and the protocol on the test side of it.
    let text = format!("[data]\nsource = \"in-shop={}\"\n[data.split]\nby = \"official\"", dir.path().display());
    let config = Config::parse("test", &text, &[]).unwrap();
    let pipeline = npair_data::Pipeline::new(config.images()).unwrap();
    let splits = open_splits(&config, Some(&pipeline)).unwrap();
    assert_eq!((splits.learned().unwrap().len(), splits.test.as_ref().unwrap().len()), (3, 4));
    assert_eq!(splits.search.as_ref().unwrap().queries, [ExampleId(0), ExampleId(2)]);
    let mut embed = |side: &dyn Inputs| {
        let value = |i| if side.describe(ExampleId(i)).ends_with("1.jpg") { 1. } else { side.labels().get(i).0 as f32 };
        let values = (0..side.len()).map(value).collect::<Vec<f32>>();
        Ok(Embeddings::owned(values, 1, side.labels().clone())?)
    };
    let config = EvaluationConfig { measure: Measure::SquaredEuclidean, recall_at: vec![1], ..Default::default() };
    // Both queries are at 1, so that the gallery's item 3 is nearer to both.
    let judged = Protocol::QueryGallery.judge_split(&splits, "test", &mut embed, &config, Streams::new(0)).unwrap();
    let own = Protocol::InShop(dir.path().to_owned()).judge(&pipeline, &mut embed, &config, Streams::new(0)).unwrap();
    assert_eq!((judged.get("recall@1"), own.get("recall@1")), (Some(0.5), Some(0.5)));
    let train = Protocol::QueryGallery.judge_split(&splits, "train", &mut embed, &config, Streams::new(0));
    assert!(train.unwrap_err().to_string().contains("no queries apart from a gallery"));
}

#[test]
fn an_example_that_is_both_is_not_found_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let table = "label,path,split,is_query,is_gallery\n1,a.png,validation,1,1\n1,b.png,validation,0,1\n2,c.png,validation,1,1\n2,d.png,validation,1,0\n";
    std::fs::write(dir.path().join("t.csv"), table).unwrap();
    let data = npair_data::OmlCsv::open(dir.path().join("t.csv")).unwrap();
    let search = QueryGallery::of(&data).unwrap();
    assert_eq!((search.queries.len(), search.gallery.len()), (3, 3));
    let config = EvaluationConfig { measure: Measure::SquaredEuclidean, recall_at: vec![1], ..Default::default() };
    // a at 0 finds c at 1 before b at 3; c has no other of its class in the gallery; d at 1 finds c.
    let found = query_gallery("t", &set(&[0., 3., 1., 1.], data.labels()), &search, &config).unwrap();
    assert_eq!(found.get("recall@1"), Some(0.5));
    assert!(found.notes.iter().any(|n| n.starts_with("1 queries without their class")), "{:?}", found.notes);
}

#[test]
fn protocols_are_read_by_name() {
    let said = |text: &str| text.parse::<Protocol>().unwrap_err();
    assert_eq!("omniglot-one-shot=a=b".parse(), Ok(Protocol::OmniglotOneShot("a=b".into())));
    assert!(
        matches!("one-shot-within-groups=7".parse(), Ok(Protocol::OneShotWithinGroups(how)) if how.runs == 7 && how.ways == 20)
    );
    assert!(said("lfw").contains("lfw=PATH") && said("in-shop=").contains("lacks its path"));
    assert!(said("query-gallery=x").contains("none of") && said("one-shot-within-groups=x").contains("no number"));
}
