use super::*;
use npair_data::Picture;
use npair_types::{Labels, Purpose, Streams};

/// `groups` groups of `classes` classes, each drawn once by each of `authors` people.
struct Made {
    labels: Labels,
    names: Vec<String>,
    classes: usize,
    authors: usize,
    known: bool,
}

fn made(groups: usize, classes: usize, authors: usize, known: bool) -> Made {
    let ids = (0..groups * classes).flat_map(|c| std::iter::repeat_n(c as u32, authors));
    let names = (0..groups).map(|g| format!("group {g}")).collect();
    Made { labels: Labels::new(ids).unwrap(), names, classes, authors, known }
}

impl Dataset for Made {
    fn name(&self) -> &str {
        "made"
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        class.to_string()
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        Some(&self.names[class.0 as usize / self.classes])
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.known.then_some((example.0 % self.authors) as u32)
    }

    fn describe(&self, example: ExampleId) -> String {
        example.to_string()
    }

    fn load(&self, _: ExampleId) -> npair_data::Result<Picture> {
        Picture::new(1, 1, 1, vec![0])
    }
}

fn rng() -> ChaCha8Rng {
    Streams::new(5).open(Purpose::Evaluation, [5, 0])
}

fn run(data: &Made, values: Vec<f64>, width: usize, how: WithinGroups) -> OneShot {
    let set = Embeddings::new(&values, width, data.labels.clone()).unwrap();
    one_shot_within_groups(data, &set, Measure::SquaredEuclidean, how, &mut rng()).unwrap()
}

#[test]
fn a_run_is_one_group_two_authors_and_each_class_once() {
    for known in [true, false] {
        let data = made(3, 7, 4, known);
        let groups: Vec<Group> = groups(&data).into_iter().filter_map(|(n, c)| Group::of(n, c, 5)).collect();
        assert_eq!(groups.len(), 3);
        let mut rng = rng();
        for round in 0..60 {
            let (ways, expected) = if round % 2 == 0 { (5, 5) } else { (9, 7) };
            let pairs = groups[round % 3].draw(ways, &mut rng);
            assert_eq!(pairs.len(), expected);
            let mut classes = Vec::new();
            for &(one, other) in &pairs {
                assert_ne!(one, other);
                assert!(data.labels.same(one.0, other.0));
                assert_eq!(data.labels.get(one.0).0 as usize / 7, round % 3);
                classes.push(data.labels.get(one.0));
                if known {
                    assert_eq!(data.author(one), data.author(pairs[0].0));
                    assert_eq!(data.author(other), data.author(pairs[0].1));
                    assert_ne!(data.author(one), data.author(other));
                }
            }
            classes.sort_unstable();
            classes.dedup();
            assert_eq!(classes.len(), expected);
        }
    }
}

#[test]
fn errors_are_those_worked_out_by_hand() {
    let data = made(2, 4, 3, true);
    let n = data.labels.len();
    let how = WithinGroups { runs: 30, ways: 20 };
    // Its class number: nothing is mistaken.
    let class = |i: usize| f64::from(data.labels.get(i).0);
    assert_eq!(run(&data, (0..n).map(class).collect(), 1, how).error.value, 0.);
    // All at one point: ties are mistakes.
    assert_eq!(run(&data, vec![1.; n], 1, how).error.value, 1.);
    // Which group it is, and its class but for the last two of four classes, which are one point: half is mistaken.
    let half = run(&data, (0..n).map(|i| class(i).min(4. * (class(i) / 4.).floor() + 2.)).collect(), 1, how);
    assert_eq!((half.error.value, half.error.standard_error), (0.5, 0.));
    assert!(half.runs.iter().all(|r| r.ways == 4 && r.error == 0.5));
    assert_eq!(
        half.runs.iter().filter(|r| r.name == "group 0").count()
            + half.runs.iter().filter(|r| r.name == "group 1").count(),
        30
    );
    // The author alone: the training images of a run are one point, so that all is mistaken.
    assert_eq!(run(&data, (0..n).map(|i| (i % 3) as f64).collect(), 1, how).error.value, 1.);
    let table = half.scores("made", Measure::SquaredEuclidean, n, 8);
    assert_eq!(table.get("one-shot error"), Some(0.5));
    assert!(table.set.contains("4-way") && table.set.contains("30 runs"), "{}", table.set);
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let said = |data: &Made, how: WithinGroups| {
        let set = Embeddings::new(&vec![0.; data.labels.len()], 1, data.labels.clone()).unwrap();
        one_shot_within_groups(data, &set, Measure::Dot, how, &mut rng()).unwrap_err().to_string()
    };
    let how = WithinGroups::default();
    assert!(said(&made(2, 3, 1, true), how).contains("no group with 2 classes"));
    assert!(said(&made(3, 1, 5, false), how).contains("no group with 2 classes"));
    assert!(said(&made(2, 3, 2, true), WithinGroups { runs: 0, ..how }).contains("0 runs"));
    assert!(said(&made(2, 3, 2, true), WithinGroups { ways: 1, ..how }).contains("of 1 classes"));
}
