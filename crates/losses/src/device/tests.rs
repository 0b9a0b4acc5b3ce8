//! Every loss as it is worked out on a device against the way of the CPU, values and gradients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::FORCED;
use crate::*;
use candle_core::{DType, Device, Tensor, Var};
use npair_testkit::inputs;
use npair_types::{ClassId, Labels, PairList, Pairs, Purpose, Streams, Triplets, Tuples};

const CLASSES: [ClassId; 4] = [ClassId(2), ClassId(5), ClassId(7), ClassId(9)];

fn on_device<R>(f: impl FnOnce() -> R) -> R {
    FORCED.set(true);
    let result = f();
    FORCED.set(false);
    result
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Value, and gradients by the embeddings and the loss's own variables.
fn run(value: &dyn Fn(&Tensor) -> LossValue, own: &[Var], x: &Tensor) -> (Vec<Vec<f64>>, [usize; 2]) {
    let x = Var::from_tensor(x).unwrap();
    let loss = value(&x);
    // Not the value itself: what is upstream has to get through.
    let grads = (&loss.value * 3.).unwrap().backward().unwrap();
    let gradients = std::iter::once(&x).chain(own).map(|var| match grads.get(var) {
        Some(grad) => values(grad),
        None => vec![0.; var.elem_count()],
    });
    let all = std::iter::once(values(&loss.value)).chain(gradients).collect();
    (all, [loss.terms, loss.active])
}

/// Both ways sum the same terms in other orders: of some tens of terms, each off by some roundings, with slopes of up to the
/// sharpest scale among the losses (64 times a cosine, whose logit is off by as many units).
fn compare(name: &str, value: &dyn Fn(&Tensor) -> LossValue, own: &[Var], x: &Tensor) {
    let unit = if x.dtype() == DType::F32 { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let ((want, counts), (got, counted)) = (run(value, own, x), on_device(|| run(value, own, x)));
    assert_eq!(counts, counted, "{name}");
    for (got, want) in got.iter().zip(&want) {
        let scale = want.iter().fold(1f64, |m, v| m.max(v.abs()));
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= 512. * unit * scale, "{name}: {g:e}, not {w:e}");
        }
    }
}

fn batch(dtype: DType) -> (Tensor, Labels) {
    (inputs::normal(4, 0.8, (8, 6), dtype).unwrap(), Labels::new([2, 5, 7, 9, 2, 5, 7, 9]).unwrap())
}

#[test]
fn losses_of_labelled_batches() {
    let of_batches: Vec<(&str, Box<dyn Loss>)> = vec![
        ("n-pair-mc", Box::new(NPairMc)),
        ("n-pair-mc symmetric", Box::new(SymmetricNPairMc)),
        ("n-pair-ovo", Box::new(NPairOvo)),
        ("nca", Box::new(NcaStyle)),
        ("triplet", Box::new(SmoothTriplet)),
        ("triplet with a margin", Box::new(TripletMargin::new(0.5).unwrap())),
        ("triplet without", Box::new(MarginFreeTriplet)),
        ("contrastive", Box::new(Contrastive::new(3.).unwrap())),
        ("multi-positive n-pair", Box::new(MultiPositiveNPair)),
        ("nt-xent", Box::<NtXent>::default()),
        ("sup-con", Box::<SupCon>::default()),
        ("multi-sup-con", Box::new(MultiSupCon::new(0.1, None).unwrap())),
        ("multi-similarity", Box::<MultiSimilarity>::default()),
        ("angular", Box::<Angular>::default()),
        ("tuplet margin", Box::<TupletMargin>::default()),
        ("triplet margin, all", Box::<BatchAllTriplet>::default()),
        ("batch-hard", Box::new(BatchHardTriplet::soft())),
        ("contrastive, all", Box::<PairwiseContrastive>::default()),
        ("lifted", Box::<LiftedStructure>::default()),
        ("generalized lifted", Box::<GeneralizedLiftedStructure>::default()),
        ("circle", Box::<Circle>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::new(SmoothAp::new(0.1).unwrap())),
        ("histogram", Box::<Histogram>::default()),
        ("ranked list", Box::<RankedList>::default()),
    ];
    for dtype in [DType::F64, DType::F32] {
        let (x, y) = batch(dtype);
        for (name, loss) in &of_batches {
            compare(name, &|x| loss.forward(&Batch::new(x, &y).unwrap()).unwrap(), &[], &x);
        }
    }
}

#[test]
fn losses_with_variables() {
    for dtype in [DType::F64, DType::F32] {
        let (x, y) = batch(dtype);
        let mut rng = Streams::new(3).open(Purpose::Initialization, [0, 0]);
        let (rng, cpu) = (&mut rng, &Device::Cpu);
        let c = &mut LossContext { classes: &CLASSES, sizes: &[], sets: None, width: 6, rng, dtype, device: cpu };
        let made: Vec<(&str, Box<dyn Loss>)> = vec![
            ("softmax", Box::new(SoftmaxClassifier::new(c).unwrap())),
            ("normalized softmax", Box::new(NormalizedSoftmax::new(c).unwrap())),
            ("cosface", Box::new(CosFace::new(c).unwrap())),
            ("arcface", Box::new(ArcFace::new(c).unwrap())),
            ("sphereface", Box::new(SphereFace::new(c).unwrap())),
            ("proxy-nca", Box::new(ProxyNca::new(c).unwrap())),
            ("proxy-anchor", Box::new(ProxyAnchor::new(c).unwrap())),
            ("sub-center arcface", Box::new(SubCenterArcFace::new(2, c).unwrap())),
            ("soft-triple", Box::new(SoftTriple::new(2, c).unwrap())),
            ("cosface, by size", {
                let loss = CosFace::new(c).unwrap().with_class_margins(&[0.5, 0.1, 0.2, 0.3]).unwrap();
                Box::new(loss.with_class_weights(&[2., 0.5, 1., 0.5]).unwrap())
            }),
            ("arcface, by size", {
                let loss = ArcFace::new(c).unwrap().with_class_margins(&[40., 0., 20., 30.]).unwrap();
                Box::new(loss.with_class_weights(&[2., 0.5, 1., 0.5]).unwrap())
            }),
            ("margin", Box::new(MarginLoss::new(&CLASSES, dtype, cpu).unwrap())),
            ("siglip", Box::new(SigLip::new(dtype, cpu).unwrap())),
        ];
        for (name, loss) in &made {
            let own: Vec<Var> = loss.variables().into_iter().map(|(_, var)| var).collect();
            assert!(!own.is_empty(), "{name}");
            compare(name, &|x| loss.forward(&Batch::new(x, &y).unwrap()).unwrap(), &own, &x);
        }
    }
}

#[test]
fn losses_of_tuples_a_memory_and_penalties() {
    for dtype in [DType::F64, DType::F32] {
        let (x, y) = batch(dtype);
        let pairs = Pairs::from_labels(&y).unwrap();
        let triplets = Triplets::from_pairs(&pairs).unwrap();
        let with = |x: &Tensor, tuples: &Tuples| Batch::new(x, &y).unwrap().with_tuples(tuples.clone()).unwrap();
        let pairs = Tuples::Pairs(pairs);
        compare("pairs", &|x| NPairMc.forward(&with(x, &pairs)).unwrap(), &[], &x);
        let triplets = Tuples::Triplets(triplets);
        compare("triplets", &|x| SmoothTriplet.forward(&with(x, &triplets)).unwrap(), &[], &x);
        let list = PairList::new(vec![[0, 4], [5, 1]], vec![[0, 1], [0, 2], [3, 4]], &y).unwrap();
        let list = Tuples::PairList(list);
        for loss in [&MultiSimilarity::default() as &dyn Loss, &Circle::default(), &NtXent::default(), &NcaStyle] {
            compare("listed pairs", &|x| loss.forward(&with(x, &list)).unwrap(), &[], &x);
        }
        let old = inputs::normal(8, 0.8, (5, 6), dtype).unwrap();
        let of_old = Labels::new([2, 3, 9, 9, 4]).unwrap();
        for (name, loss) in [
            ("n-pair-mc", &MultiPositiveNPair as &dyn Loss),
            ("multi-similarity", &MultiSimilarity::default()),
            ("circle", &Circle::default()),
        ] {
            let with = |x: &Tensor| Batch::new(x, &y).unwrap().with_reference(&old, &of_old).unwrap();
            compare(name, &|x| loss.forward(&with(x)).unwrap(), &[], &x);
        }
        let penalties: Vec<(&str, Box<dyn Regularizer>)> = vec![
            ("norm", Box::new(NormPenalty::new(0.1, NormForm::MeanSquare).unwrap())),
            ("mean norm", Box::new(NormPenalty::new(0.1, NormForm::MeanNorm).unwrap())),
            ("lp", Box::new(LpNorm::new(1.5).unwrap())),
            ("center-invariant", Box::new(CenterInvariant)),
            ("zero mean", Box::new(ZeroMean)),
            ("regular face", Box::new(RegularFace)),
            ("sparse centers", Box::new(SparseCenters::new(2).unwrap())),
            ("koleo", Box::new(KoLeo)),
            ("uniformity", Box::<Uniformity>::default()),
        ];
        for (name, penalty) in &penalties {
            let value = |x: &Tensor| LossValue::smooth(penalty.penalty(x).unwrap(), 1);
            compare(name, &value, &[], &x);
        }
    }
}

/// `softplus'(0) = 1/2`, and small results keep their digits.
#[test]
fn softplus_is_right_at_zero_and_far_below() {
    let z = Var::new(&[0f64, -40., -750., 40., 750., 1e-9], &Device::Cpu).unwrap();
    let run = || {
        let out = crate::stable::softplus(&z).unwrap();
        (values(&out), values(out.sum_all().unwrap().backward().unwrap().get(&z).unwrap()))
    };
    let ((want, slopes), (got, found)) = (run(), on_device(run));
    assert_eq!(found[0], 0.5);
    for (g, w) in got.iter().zip(&want).chain(found.iter().zip(&slopes)) {
        assert!((g - w).abs() <= 4. * f64::EPSILON * w, "{g:e} {w:e}");
    }
}
