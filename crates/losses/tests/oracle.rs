//! Losses in f64 against naive loops over plain numbers, and their gradients against central differences.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs, reach};
use npair_types::{ClassId, Labels, Purpose, Streams, Triplets, Tuples, Tuplets};
use of_batch::OfBatch;
use proptest::prelude::*;

type M = Vec<Vec<f64>>;

fn m(t: &Tensor) -> M {
    t.to_vec2().unwrap()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn far2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum()
}

fn mean(terms: impl IntoIterator<Item = f64>) -> f64 {
    let terms: Vec<f64> = terms.into_iter().collect();
    terms.iter().sum::<f64>() / terms.len() as f64
}

fn mc(f: &M, p: &M) -> f64 {
    let n = f.len();
    mean((0..n).map(|i| {
        (1. + (0..n).filter(|&j| j != i).map(|j| (dot(&f[i], &p[j]) - dot(&f[i], &p[i])).exp()).sum::<f64>()).ln()
    }))
}

fn ovo(f: &M, p: &M) -> f64 {
    let n = f.len();
    let term = |i: usize, j: usize| (1. + (dot(&f[i], &p[j]) - dot(&f[i], &p[i])).exp()).ln();
    mean((0..n).map(|i| (0..n).filter(|&j| j != i).map(|j| term(i, j)).sum()))
}

fn nca(x: &M, y: &Labels) -> f64 {
    let sum = |i: usize, keep: &dyn Fn(usize) -> bool| -> f64 {
        (0..x.len()).filter(|&j| j != i && keep(j)).map(|j| dot(&x[i], &x[j]).exp()).sum()
    };
    mean((0..x.len()).filter_map(|i| {
        let own = sum(i, &|j| y.same(i, j));
        (own > 0.).then(|| -(own / sum(i, &|_| true)).ln())
    }))
}

fn multi(x: &M, y: &Labels) -> f64 {
    let b = x.len();
    let pairs = (0..b).flat_map(|i| (0..b).map(move |p| (i, p))).filter(|&(i, p)| i != p && y.same(i, p));
    mean(pairs.map(|(i, p)| {
        let others = (0..b).filter(|&n| !y.same(i, n));
        (1. + others.map(|n| (dot(&x[i], &x[n]) - dot(&x[i], &x[p])).exp()).sum::<f64>()).ln()
    }))
}

fn close(got: npair_losses::Result<LossValue>, want: f64) {
    let got = got.unwrap().to_f64().unwrap();
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1e-3), "{got} instead of {want}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn values_equal_naive_loops(n in 2usize..40, d in 1usize..12, seed in 0u64..500, scale in 0.1f64..1.5) {
        let [f, p, g] = [1, 2, 3].map(|s| inputs::normal(seed * 3 + s, scale, (n, d), DType::F64).unwrap());
        let (mf, mp, mg) = (m(&f), m(&p), m(&g));
        close(NPairMc.forward_pairs(&f, &p), mc(&mf, &mp));
        close(NPairOvo.forward_pairs(&f, &p), ovo(&mf, &mp));
        close(SymmetricNPairMc.forward_pairs(&f, &p), (mc(&mf, &mp) + mc(&mp, &mf)) / 2.);
        close(SmoothTriplet.forward_triplets(&f, &p, &g), mean((0..n).map(|i| (dot(&mf[i], &mg[i]) - dot(&mf[i], &mp[i])).exp().ln_1p())));
        close(MarginFreeTriplet.forward_triplets(&f, &p, &g), mean((0..n).map(|i| (dot(&mf[i], &mg[i]) - dot(&mf[i], &mp[i])).max(0.))));
        let hinge = |i: usize| (far2(&mf[i], &mp[i]) - far2(&mf[i], &mg[i]) + 0.4).max(0.);
        close(TripletMargin::new(0.4).unwrap().forward_triplets(&f, &p, &g), mean((0..n).map(hinge)));
        let same: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        let term = |i: usize| if same[i] { far2(&mf[i], &mp[i]) } else { (1.5 - far2(&mf[i], &mp[i]).sqrt()).max(0.).powi(2) };
        close(Contrastive::new(1.5).unwrap().forward_pairs(&f, &p, &same), mean((0..n).map(term)));

        // Batches with ragged classes; class 0 has one example if n is small.
        let y = Labels::new((0..n).map(|i| (i as f64).sqrt() as u32 * 10)).unwrap();
        if (0..n).any(|i| (0..n).any(|j| i != j && y.same(i, j))) {
            close(NcaStyle.of_batch(&f, &y), nca(&mf, &y));
            close(MultiPositiveNPair.of_batch(&f, &y), multi(&mf, &y));
        }
        // The first half of the batch against itself, as tuplets with two negatives.
        if n >= 4 {
            let y = Labels::new([0, 0, 1, 2]).unwrap();
            let t = Tuplets::new(vec![0, 1], vec![1, 0], vec![2, 3, 3, 2], &y).unwrap();
            let z = |a: usize, j: usize, p: usize| (dot(&mf[a], &mf[j]) - dot(&mf[a], &mf[p])).exp();
            let four = Batch::new(&f.narrow(0, 0, 4).unwrap(), &y).unwrap();
            close(NTuplet.forward(&four.with_sampled(Tuples::Tuplets(t)).unwrap()), mean([(z(0, 2, 1) + z(0, 3, 1)).ln_1p(), (z(1, 2, 0) + z(1, 3, 0)).ln_1p()]));
        }
    }

    #[test]
    fn n_pair_mc_does_not_depend_on_the_order_of_pairs_or_a_rotation(n in 2usize..30, seed in 0u64..100) {
        let [f, p] = [1, 2].map(|s| inputs::normal(seed * 2 + s, 0.8, (n, 2), DType::F64).unwrap());
        let plain = NPairMc.forward_pairs(&f, &p).unwrap().to_f64().unwrap();
        let order: Vec<u32> = (0..n as u32).rev().collect();
        let order = Tensor::new(order, &Device::Cpu).unwrap();
        let [rf, rp] = [&f, &p].map(|t| t.index_select(&order, 0).unwrap());
        let turn = Tensor::new(&[[0.6f64, 0.8], [-0.8, 0.6]], &Device::Cpu).unwrap();
        let [tf, tp] = [&f, &p].map(|t| t.matmul(&turn).unwrap());
        for (a, b) in [(rf, rp), (tf, tp)] {
            let other = NPairMc.forward_pairs(&a, &b).unwrap().to_f64().unwrap();
            prop_assert!((plain - other).abs() < 1e-12 * plain.max(1.));
        }
    }
}

#[test]
fn gradients_agree_with_central_differences() {
    let wrap = |l: npair_losses::Result<LossValue>| l.map(|l| l.value).map_err(candle_core::Error::wrap);
    let [f, p, g] = [11, 12, 13].map(|s| inputs::normal(s, 0.7, (6, 4), DType::F64).unwrap());
    let pair = [f.clone(), p.clone()];
    let triplet = [f.clone(), p.clone(), g.clone()];
    gradient::check(&pair, |t| wrap(NPairMc.forward_pairs(&t[0], &t[1]))).unwrap();
    gradient::check(&pair, |t| wrap(NPairOvo.forward_pairs(&t[0], &t[1]))).unwrap();
    gradient::check(&pair, |t| wrap(SymmetricNPairMc.forward_pairs(&t[0], &t[1]))).unwrap();
    let same = [true, false, true, false, false, true];
    gradient::check(&pair, |t| wrap(Contrastive::new(2.).unwrap().forward_pairs(&t[0], &t[1], &same))).unwrap();
    gradient::check(&triplet, |t| wrap(SmoothTriplet.forward_triplets(&t[0], &t[1], &t[2]))).unwrap();
    gradient::check(&triplet, |t| wrap(MarginFreeTriplet.forward_triplets(&t[0], &t[1], &t[2]))).unwrap();
    gradient::check(&triplet, |t| wrap(TripletMargin::new(0.5).unwrap().forward_triplets(&t[0], &t[1], &t[2])))
        .unwrap();
    let negatives = inputs::normal(14, 0.7, (6, 3, 4), DType::F64).unwrap();
    gradient::check(&[f.clone(), p, negatives], |t| wrap(NTuplet.forward_tuplets(&t[0], &t[1], &t[2]))).unwrap();
    // One class with three examples, one with two, one alone.
    let y = Labels::new([5, 5, 5, 2, 9, 2]).unwrap();
    gradient::check(std::slice::from_ref(&f), |t| wrap(NcaStyle.of_batch(&t[0], &y))).unwrap();
    gradient::check(std::slice::from_ref(&f), |t| wrap(MultiPositiveNPair.of_batch(&t[0], &y))).unwrap();
    gradient::check(std::slice::from_ref(&f), |t| wrap(Contrastive::new(2.).unwrap().of_batch(&t[0], &y))).unwrap();
    for form in [NormForm::MeanSquare, NormForm::QuarterPerSide, NormForm::SumPerPair, NormForm::MeanNorm] {
        let penalty = NormPenalty::new(0.3, form).unwrap();
        gradient::check(std::slice::from_ref(&f), |t| penalty.penalty(&t[0]).map_err(candle_core::Error::wrap))
            .unwrap();
    }
    let w = inputs::normal(15, 0.5, (3, 4), DType::F64).unwrap();
    let b = inputs::normal(16, 0.5, 3, DType::F64).unwrap();
    gradient::check(&[f, w, b], |t| {
        let classes = [ClassId(2), ClassId(5), ClassId(9)];
        wrap(SoftmaxClassifier::from_parts(&classes, &t[1], &t[2]).and_then(|l| l.of_batch(&t[0], &y)))
    })
    .unwrap();
}

#[test]
fn the_classifiers_variables_are_reached() {
    let classes = [ClassId(1), ClassId(8)];
    let mut rng = Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let loss = SoftmaxClassifier::new(&mut LossContext {
        classes: &classes,
        sizes: &[],
        sets: None,
        width: 4,
        rng: &mut rng,
        dtype: DType::F32,
        device: &Device::Cpu,
    })
    .unwrap();
    let x = Var::from_tensor(&inputs::normal(1, 1., (3, 4), DType::F32).unwrap()).unwrap();
    let value = loss.of_batch(&x, &Labels::new([8, 1, 8]).unwrap()).unwrap();
    let vars = loss.variables();
    let named = vars.iter().map(|(n, v)| (n.as_str(), v)).chain([("embeddings", &x)]);
    assert_eq!(reach::dead(&value.value, named).unwrap(), Vec::<String>::new());
}

#[test]
fn extreme_logits_stay_finite() {
    // Logits of +-1e4, duplicate rows, zero rows.
    let big = Tensor::new(&[[100f32, 0.], [-100., 0.], [100., 0.], [0., 0.]], &Device::Cpu).unwrap();
    let y = Labels::new([1, 2, 1, 2]).unwrap();
    let contrastive = Contrastive::new(1.).unwrap();
    let losses: [(&str, &dyn Loss); 8] = [
        ("mc", &NPairMc),
        ("symmetric", &SymmetricNPairMc),
        ("ovo", &NPairOvo),
        ("triplet", &SmoothTriplet),
        ("margin-free", &MarginFreeTriplet),
        ("nca", &NcaStyle),
        ("multi", &MultiPositiveNPair),
        ("contrastive", &contrastive),
    ];
    for (name, loss) in losses {
        let x = Var::from_tensor(&big).unwrap();
        let value = loss.of_batch(&x, &y).unwrap();
        assert!(value.to_f64().unwrap().is_finite(), "{name}: {}", value.to_f64().unwrap());
        let grad = value.value.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(grad.iter().all(|g| g.is_finite()), "{name}: {grad:?}");
    }
    // A well separated batch: the loss underflows to 0 without a NaN; a badly separated one is its largest logit.
    let f = Tensor::new(&[[100f32, 0.], [0., 100.]], &Device::Cpu).unwrap();
    let p = Tensor::new(&[[0f32, 100.], [100., 0.]], &Device::Cpu).unwrap();
    assert_eq!(NPairMc.forward_pairs(&f, &f).unwrap().to_f64().unwrap(), 0.);
    assert_eq!(NPairMc.forward_pairs(&f, &p).unwrap().to_f64().unwrap(), 1e4);
}

#[test]
fn what_does_not_fit_is_said() {
    let x = inputs::normal(1, 1., (4, 3), DType::F32).unwrap();
    let said = |l: npair_losses::Result<LossValue>| l.unwrap_err().to_string();
    let labels = |l: &[u32]| Labels::new(l.iter().copied()).unwrap();
    assert!(said(NPairMc.of_batch(&x, &labels(&[1, 1, 2]))).contains("3 entries, but 4"));
    assert!(said(NPairMc.of_batch(&x, &labels(&[1, 1, 2, 1]))).contains("exactly 2"));
    assert!(
        said(NPairMc.forward_pairs(&x.narrow(0, 0, 1).unwrap(), &x.narrow(0, 0, 1).unwrap()))
            .contains("at least 2 pairs")
    );
    assert!(said(NPairMc.forward_pairs(&x, &x.narrow(0, 0, 3).unwrap())).contains("[4, 3] as of the anchors"));
    assert!(said(NcaStyle.of_batch(&x, &labels(&[1, 2, 3, 4]))).contains("examples of one class"));
    assert!(said(MultiPositiveNPair.of_batch(&x, &labels(&[1, 1, 1, 1]))).contains("at least 2 classes"));
    assert!(
        said(Contrastive::new(1.).unwrap().of_batch(&x.narrow(0, 0, 1).unwrap(), &labels(&[1])))
            .contains("at least 2 examples")
    );
    assert!(TripletMargin::new(-1.).unwrap_err().to_string().contains("-1"));
    assert!(NormPenalty::new(f64::NAN, NormForm::MeanSquare).is_err());
    let nan = Tensor::new(&[[1f32, 0.], [f32::NAN, 0.], [0., 1.], [0., 1.]], &Device::Cpu).unwrap();
    assert!(said(NPairMc.of_batch(&nan, &labels(&[1, 2, 1, 2]))).contains("row 1 of the embeddings is not finite"));
    let t = Triplets::new(&[[0, 1, 3]], &labels(&[1, 1, 2, 2])).unwrap();
    let two = Batch::new(&x.narrow(0, 0, 2).unwrap(), &labels(&[1, 1])).unwrap();
    let other = two.with_tuples(Tuples::Triplets(t)).unwrap_err().to_string();
    assert!(other.contains("points at example 3"), "{other}");
    let mut rng = Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let softmax = SoftmaxClassifier::new(&mut LossContext {
        classes: &[ClassId(1), ClassId(2)],
        sizes: &[],
        sets: None,
        width: 3,
        rng: &mut rng,
        dtype: DType::F32,
        device: &Device::Cpu,
    })
    .unwrap();
    assert!(said(softmax.of_batch(&x, &labels(&[1, 2, 3, 1]))).contains("class 3 is none"));
}
