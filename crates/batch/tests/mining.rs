//! Greedy class mining against brute force.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use npair_batch::{ClassMiner, GreedyMiner, Prototypes, Violation};
use npair_types::{ClassId, Measure, Purpose, Streams};
use proptest::prelude::*;

/// `x[class][example]`
type X = Vec<Vec<Vec<f64>>>;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn own(x: &X, s: usize) -> f64 {
    let pairs: Vec<f64> = (0..x[s].len())
        .flat_map(|i| (i + 1..x[s].len()).map(move |j| (i, j)))
        .map(|(i, j)| dot(&x[s][i], &x[s][j]))
        .collect();
    if pairs.is_empty() { 0. } else { pairs.iter().sum::<f64>() / pairs.len() as f64 }
}

/// The score of a candidate against all chosen classes, from scratch.
fn score(x: &X, chosen: &[usize], c: usize, violation: Violation) -> f64 {
    let of = |s: usize| -> f64 {
        let products: Vec<f64> = x[c].iter().flat_map(|a| x[s].iter().map(move |b| dot(a, b))).collect();
        let between = match violation {
            Violation::WorstPair => products.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Violation::Mean => products.iter().sum::<f64>() / products.len() as f64,
        };
        between - own(x, s)
    };
    let all: Vec<f64> = chosen.iter().map(|&s| of(s)).collect();
    match violation {
        Violation::WorstPair => all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Violation::Mean => all.iter().sum::<f64>() / all.len() as f64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_choice_is_the_best_of_what_is_left(
        // One or two examples of small whole numbers: products, sums and halves are exact, so ties are true ties.
        (e, x) in (1usize..=2, 1usize..20, 3usize..30).prop_flat_map(|(e, d, c)| (Just(e), proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec((-2i8..=2).prop_map(f64::from), d), e), c))),
        n in 1usize..20,
        seed: u64,
        worst: bool,
    ) {
        let violation = if worst { Violation::WorstPair } else { Violation::Mean };
        let (c, d) = (x.len(), x[0][0].len());
        let n = n.min(c);
        let flat: Vec<f32> = x.iter().flatten().flatten().map(|&v| v as f32).collect();
        let classes: Vec<ClassId> = (0..c as u32).map(ClassId).collect();
        let t = Tensor::from_vec(flat, (c * e, d), &Device::Cpu).unwrap();
        let prototypes = Prototypes::new(&classes, &t, Measure::Dot).unwrap();
        let choose = |seed| {
            let mut rng = Streams::new(seed).open(Purpose::Mining, [0, 0]);
            (GreedyMiner { violation }).choose(&prototypes, n, &mut rng).unwrap()
        };
        let mined = choose(seed);
        prop_assert_eq!(&mined, &choose(seed));
        prop_assert_eq!(mined.indices.len(), n);
        for step in 1..n {
            let (chosen, this) = (&mined.indices[..step], mined.indices[step]);
            prop_assert!(!chosen.contains(&this));
            let best = (0..c).filter(|i| !chosen.contains(i)).map(|i| score(&x, chosen, i, violation)).fold(f64::NEG_INFINITY, f64::max);
            let got = score(&x, chosen, this, violation);
            // Running f32 sums of up to 20 quarters of whole numbers are exact; only the mean's last division rounds.
            prop_assert!((got - best).abs() <= 1e-12, "step {step}: {got} instead of {best}");
            prop_assert!((f64::from(mined.violations[step - 1]) - got).abs() <= 1e-6 * got.abs().max(1.));
        }
    }
}

#[test]
fn ties_and_starts_are_random_and_all_come_up() {
    // Four equal classes: every order is as good as any other.
    let t = Tensor::ones((4, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let classes: Vec<ClassId> = (0..4).map(ClassId).collect();
    let prototypes = Prototypes::new(&classes, &t, Measure::Cosine).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let mut rng = Streams::new(seed).open(Purpose::Mining, [0, 0]);
        seen.insert(GreedyMiner::default().choose(&prototypes, 4, &mut rng).unwrap().indices);
    }
    // 24 orders; one of them stays away in 300 trials with a chance of 24 (23/24)^300 < 1e-4.
    assert_eq!(seen.len(), 24);
}

#[test]
fn hard_classes_are_found() {
    // Two clusters of classes: from a start in one, the other classes of that cluster come first.
    let at = |angle: f32| [angle.cos(), angle.sin()];
    let rows: Vec<[f32; 2]> = (0..6).map(|i| at(if i < 3 { 0.1 } else { 2. } + 0.05 * i as f32)).collect();
    let t = Tensor::from_vec(rows.concat(), (6, 2), &Device::Cpu).unwrap();
    let classes: Vec<ClassId> = (0..6).map(ClassId).collect();
    let prototypes = Prototypes::new(&classes, &t, Measure::Cosine).unwrap();
    for seed in 0..20 {
        let mut rng = Streams::new(seed).open(Purpose::Mining, [0, 0]);
        let places = GreedyMiner::default().choose(&prototypes, 3, &mut rng).unwrap().indices;
        assert!(places.iter().all(|p| (*p < 3) == (places[0] < 3)), "{places:?}");
    }
}

#[test]
fn what_does_not_fit_is_said() {
    let classes = [ClassId(3), ClassId(8)];
    let new = |t: &Tensor| Prototypes::new(&classes, t, Measure::Dot).map_err(|e| e.to_string());
    let t = |v: &[f32]| Tensor::new(v, &Device::Cpu).unwrap().reshape((v.len() / 2, 2)).unwrap();
    assert!(new(&t(&[0.; 6])).unwrap_err().contains("(2 E, D)"));
    assert!(new(&t(&[0., 0., 0., f32::NAN])).unwrap_err().contains("candidate class 8"));
    let prototypes = new(&t(&[0.; 4])).unwrap();
    let mut rng = Streams::new(1).open(Purpose::Mining, [0, 0]);
    assert!(
        GreedyMiner::default().choose(&prototypes, 3, &mut rng).unwrap_err().to_string().contains("needs 3 classes")
    );
    let huge = new(&t(&[3e38, 3e38, -3e38, 3e38])).unwrap();
    let mined = GreedyMiner { violation: Violation::Mean }.choose(&huge, 2, &mut rng);
    assert!(mined.is_ok() || mined.unwrap_err().to_string().contains("small enough"));
}
