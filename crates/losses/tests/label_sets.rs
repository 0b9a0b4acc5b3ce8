//! Classes that are sets of labels: against loops in f64, central differences, and what it is where every class is one label.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor};
use npair_losses::*;
use npair_testkit::{gradient, inputs, threads};
use npair_types::{ClassId, LabelSets, Labels};
use of_batch::OfBatch;

const NAMES: [&str; 6] = ["a|b", "b", "a|c|d", "d|a", "", "e"];
const LABELS: [u32; 7] = [0, 1, 2, 2, 3, 4, 5];
const MEMORY: [u32; 4] = [5, 0, 1, 4];

fn sets() -> LabelSets {
    LabelSets::from_names((0..).map(ClassId).zip(NAMES), "|")
}

fn loss(sets: LabelSets) -> MultiSupCon {
    MultiSupCon::new(0.3, Some(sets)).unwrap()
}

fn rows(seed: u64, count: usize) -> Tensor {
    inputs::normal(seed, 0.7, (count, 4), DType::F64).unwrap()
}

/// The definition: every anchor, every label, every positive. The value and the number of terms.
fn by_loops(x: &Tensor, anchors: usize, classes: &[u32], temperature: f64) -> (f64, usize) {
    let (rows, sets) = (x.to_vec2::<f64>().unwrap(), sets());
    let length = |row: &[f64]| row.iter().map(|v| v * v).sum::<f64>().sqrt();
    let cosine = |i: usize, j: usize| {
        let dot: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum();
        dot / (length(&rows[i]) * length(&rows[j])) / temperature
    };
    let (mut sum, mut terms) = (0., 0);
    for i in 0..anchors {
        let others: Vec<usize> = (0..rows.len()).filter(|&j| j != i).collect();
        let all = others.iter().map(|&j| cosine(i, j).exp()).sum::<f64>().ln();
        for &label in sets.labels(ClassId(classes[i])) {
            let has = |j: &&usize| sets.labels(ClassId(classes[**j])).contains(&label);
            let positives: Vec<usize> = others.iter().filter(has).copied().collect();
            if !positives.is_empty() {
                sum += positives.iter().map(|&p| all - cosine(i, p)).sum::<f64>() / positives.len() as f64;
                terms += 1;
            }
        }
    }
    (sum / terms as f64, terms)
}

#[test]
fn the_value_is_that_of_the_definition() {
    let x = rows(1, LABELS.len());
    let got = loss(sets()).of_batch(&x, &Labels::new(LABELS).unwrap()).unwrap();
    let (want, terms) = by_loops(&x, LABELS.len(), &LABELS, 0.3);
    // a of four, b of two, c of two, d of three rows.
    assert_eq!((got.terms, terms), (11, 11));
    assert!((got.to_f64().unwrap() - want).abs() < 1e-13 * want, "{want}");
    // With a memory its rows are positives and others, and no anchors.
    let memory = rows(2, MEMORY.len());
    let batch = Batch::new(&x, &Labels::new(LABELS).unwrap()).unwrap();
    let got = loss(sets()).forward(&batch.with_reference(&memory, &Labels::new(MEMORY).unwrap()).unwrap()).unwrap();
    let all = Tensor::cat(&[&x, &memory], 0).unwrap();
    let (want, terms) = by_loops(&all, LABELS.len(), &[&LABELS[..], &MEMORY].concat(), 0.3);
    assert_eq!((got.terms, terms), (12, 12));
    assert!((got.to_f64().unwrap() - want).abs() < 1e-13 * want, "{want}");
}

#[test]
fn the_gradient_is_that_of_central_differences() {
    let y = Labels::new(LABELS).unwrap();
    let wrap = |l: npair_losses::Result<LossValue>| l.map(|l| l.value).map_err(candle_core::Error::wrap);
    let x = rows(3, LABELS.len());
    gradient::check(std::slice::from_ref(&x), |t| wrap(loss(sets()).of_batch(&t[0], &y))).unwrap();
    let memory = (rows(4, MEMORY.len()), Labels::new(MEMORY).unwrap());
    gradient::check(&[x], |t| {
        let batch = Batch::new(&t[0], &y).and_then(|batch| batch.with_reference(&memory.0, &memory.1));
        wrap(batch.and_then(|batch| loss(sets()).forward(&batch)))
    })
    .unwrap();
}

/// Where classes are just classes it is supervised contrastive, and the same bits come of any number of threads.
#[test]
fn of_single_labels_it_is_supervised_contrastive() {
    let (x, y) = (rows(5, 9), Labels::new([3, 3, 3, 8, 8, 1, 7, 7, 7]).unwrap());
    let want = SupCon::new(0.3).unwrap().of_batch(&x, &y).unwrap();
    let single = LabelSets::from_names([1, 3, 7, 8].map(ClassId).into_iter().zip(["x", "y", "z", "w"]), "|");
    for loss in [MultiSupCon::new(0.3, None).unwrap(), loss(single)] {
        let got = loss.of_batch(&x, &y).unwrap();
        assert_eq!(got.terms, want.terms);
        assert!((got.to_f64().unwrap() - want.to_f64().unwrap()).abs() < 1e-13);
    }
    let bits = threads::with_threads(&[1, 2, 7], || {
        let loss = loss(sets()).of_batch(&rows(6, LABELS.len()), &Labels::new(LABELS).unwrap()).unwrap();
        loss.to_f64().unwrap().to_bits()
    });
    assert!(bits.iter().all(|b| *b == bits[0]));
}

#[test]
fn what_shares_nothing_is_said() {
    let said = |y: &[u32]| {
        let x = rows(7, y.len());
        loss(sets()).of_batch(&x, &Labels::new(y.iter().copied()).unwrap()).unwrap_err().to_string()
    };
    assert!(said(&[1, 5, 4]).contains("needs at least 2 examples that share a label, got 1"), "{}", said(&[1, 5, 4]));
    assert!(said(&[0]).contains("at least 2 examples"));
    // Classes that the sets do not know have no labels.
    assert!(said(&[77, 78]).contains("share a label"));
    assert!(MultiSupCon::new(0., None).is_err());
    let zero = Tensor::zeros((2, 4), DType::F64, &Device::Cpu).unwrap();
    let value = loss(sets()).of_batch(&zero, &Labels::new([0, 1]).unwrap()).unwrap().to_f64().unwrap();
    assert_eq!(value, 0.);
}
