//! Batches of examples that share labels.
#![allow(clippy::unwrap_used)]

use npair_batch::*;
use npair_types::{ChaCha8Rng, ClassId, ClassIndex, LabelSets, Labels, Purpose, Streams};
use std::collections::BTreeSet;

fn rng() -> ChaCha8Rng {
    Streams::new(4).open(Purpose::Sampling, [0, 0])
}

/// Batches of shared labels: every label that was drawn has its examples, every example stands there once, and a restored sampler goes on
/// alike.
#[test]
fn examples_that_share_labels_are_drawn_by_their_labels() {
    // 60 classes of one or two examples; their labels are residues.
    let names: Vec<String> = (0..60).map(|c| format!("by3-{}|by4-{}|own-{c}", c % 3, c % 4)).collect();
    let sets = LabelSets::from_names((0..).map(ClassId).zip(names.iter().map(String::as_str)), "|");
    let labels: Vec<u32> = (0..60).chain((0..60).step_by(2)).collect();
    let index = ClassIndex::from_labels(&Labels::new(labels.iter().copied()).unwrap());
    let new = || LabelSampler::new(&index, &sets, 5, 3, rng()).unwrap();
    let (mut sampler, mut seen) = (new(), BTreeSet::new());
    // Labels of three examples or more are the seven residues; what only one class has is left out.
    assert_eq!((sampler.batch_size(), sampler.left_out(), sampler.batches_per_epoch()), (15, 60, 2));
    for step in 0..40 {
        let plan = sampler.next_batch().unwrap();
        let ids: BTreeSet<_> = plan.ids.iter().copied().collect();
        assert!(ids.len() == plan.ids.len() && (6..=15).contains(&ids.len()), "{step}");
        for (id, class) in plan.ids.iter().zip(plan.labels.as_slice()) {
            assert_eq!(class.0, labels[id.0]);
        }
        let with = |label: u32| plan.labels.as_slice().iter().filter(|&&c| sets.labels(c).contains(&label)).count();
        assert!((0..sets.names().len() as u32).filter(|&label| with(label) >= 3).count() >= 5, "{step}");
        seen.extend(ids);
    }
    assert_eq!(seen.len(), labels.len());
    let mut again = new();
    again.restore(&sampler.save().unwrap()).unwrap();
    for _ in 0..5 {
        assert_eq!(again.next_batch().unwrap(), sampler.next_batch().unwrap());
    }
    let few = LabelSampler::new(&index, &sets, 8, 3, rng()).unwrap_err();
    assert!(matches!(few, Error::TooFewClasses { need: 8, least: 3, have: 7 }), "{few}");
}
