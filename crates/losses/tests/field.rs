//! The losses of the field beyond the paper's: gradients against central differences, extreme inputs, and what is said
//! when a batch has nothing to compare. Values are compared in `golden.rs` and `field_oracle.rs`.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs, reach, threads};
use npair_types::{ClassId, Labels, Purpose, Streams};
use of_batch::OfBatch;

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];

/// The losses without variables, at their own settings.
fn plain() -> Vec<(&'static str, Box<dyn Loss>)> {
    vec![
        ("nt-xent", Box::<NtXent>::default()),
        ("sup-con", Box::<SupCon>::default()),
        ("multi-similarity", Box::<MultiSimilarity>::default()),
        ("angular", Box::<Angular>::default()),
        ("tuplet margin", Box::<TupletMargin>::default()),
        ("triplet margin", Box::<BatchAllTriplet>::default()),
        ("batch-hard", Box::new(BatchHardTriplet::soft())),
        ("batch-hard, unit", Box::new(BatchHardTriplet::new(0.2).unwrap().with_unit_rows())),
        ("contrastive", Box::<PairwiseContrastive>::default()),
        ("lifted", Box::<LiftedStructure>::default()),
        ("generalized lifted", Box::<GeneralizedLiftedStructure>::default()),
        ("circle", Box::<Circle>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::<SmoothAp>::default()),
        ("histogram", Box::<Histogram>::default()),
        ("ranked list", Box::<RankedList>::default()),
    ]
}

/// A loss with margins and weights of its classes.
macro_rules! by_size {
    ($loss:expr, $margins:expr) => {
        $loss.with_class_margins(&$margins)?.with_class_weights(&[2., 0.25, 0.75])?
    };
}

/// Those with weights of their own: how many rows per class, and how to make them.
type Made = fn(&Tensor) -> npair_losses::Result<Box<dyn Loss>>;
fn weighted() -> Vec<(&'static str, usize, Made)> {
    vec![
        ("normalized softmax", 1, |w| Ok(Box::new(NormalizedSoftmax::from_parts(&CLASSES, w)?))),
        ("cosface", 1, |w| Ok(Box::new(CosFace::from_parts(&CLASSES, w)?))),
        ("arcface", 1, |w| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?))),
        ("sphereface", 1, |w| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?))),
        ("proxy-nca", 1, |w| Ok(Box::new(ProxyNca::from_parts(&CLASSES, w)?))),
        ("proxy-anchor", 1, |w| Ok(Box::new(ProxyAnchor::from_parts(&CLASSES, w)?))),
        ("sub-center arcface", 2, |w| Ok(Box::new(SubCenterArcFace::from_parts(&CLASSES, 2, w)?))),
        ("soft-triple", 2, |w| Ok(Box::new(SoftTriple::from_parts(&CLASSES, 2, w)?))),
        ("cosface, by size", 1, |w| Ok(Box::new(by_size!(CosFace::from_parts(&CLASSES, w)?, [0.5, 0.1, 0.2])))),
        ("arcface, by size", 1, |w| Ok(Box::new(by_size!(ArcFace::from_parts(&CLASSES, w)?, [40., 0., 20.])))),
    ]
}

fn labels(l: &[u32]) -> Labels {
    Labels::new(l.iter().copied()).unwrap()
}

fn wrap(l: npair_losses::Result<LossValue>) -> candle_core::Result<Tensor> {
    l.map(|l| l.value).map_err(candle_core::Error::wrap)
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn gradients_agree_with_central_differences() {
    // One class with four examples, one with two, one alone. The larger scales of the defaults (64, 80) have third
    // derivatives beyond what a central difference sees, so those losses are taken at smaller ones.
    let y = labels(&[5, 5, 2, 5, 9, 2, 5]);
    let x = inputs::normal(21, 0.7, (7, 4), DType::F64).unwrap();
    let mild: Vec<(&str, Box<dyn Loss>)> = vec![
        ("nt-xent", Box::new(NtXent::new(0.5).unwrap())),
        ("sup-con", Box::new(SupCon::new(0.5).unwrap())),
        ("multi-similarity", Box::new(MultiSimilarity::new(2., 5., 0.5).unwrap())),
        ("angular", Box::new(Angular::new(40.).unwrap())),
        ("tuplet margin", Box::new(TupletMargin::new(5.73, 4.).unwrap())),
        ("triplet margin", Box::new(BatchAllTriplet::new(0.3, Reducer::Mean).unwrap())),
        ("triplet margin, non-zero", Box::new(BatchAllTriplet::new(0.3, Reducer::MeanOfNonZero).unwrap())),
        ("batch-hard", Box::new(BatchHardTriplet::new(0.7).unwrap())),
        ("batch-hard, soft", Box::new(BatchHardTriplet::soft())),
        (
            "batch-hard, unit, non-zero",
            Box::new(BatchHardTriplet::new(0.3).unwrap().with_unit_rows().with_reducer(Reducer::MeanOfNonZero)),
        ),
        ("contrastive", Box::new(PairwiseContrastive::new(0.1, 1.2, Reducer::Mean).unwrap())),
        ("contrastive, non-zero", Box::new(PairwiseContrastive::new(0.1, 1.2, Reducer::MeanOfNonZero).unwrap())),
        ("lifted", Box::<LiftedStructure>::default()),
        ("generalized lifted", Box::<GeneralizedLiftedStructure>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::new(SmoothAp::new(0.2).unwrap())),
        ("histogram", Box::new(Histogram::new(9).unwrap())),
        // Without weights, which are constants in the gradient.
        ("ranked list", Box::new(RankedList::new(1.2, 0.4, 0., 0.3).unwrap())),
    ];
    for (name, loss) in &mild {
        gradient::check(std::slice::from_ref(&x), |t| wrap(loss.of_batch(&t[0], &y)))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let other = inputs::normal(22, 0.7, (7, 4), DType::F64).unwrap();
    gradient::check(&[x.clone(), other], |t| wrap(Angular::default().against(&t[0], &t[1], &y))).unwrap();
    let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
    for reducer in [Reducer::Mean, Reducer::MeanOfNonZero] {
        gradient::check(&[x.clone(), boundaries.clone()], |t| {
            wrap(MarginLoss::from_parts(&CLASSES, &t[1]).and_then(|l| l.with_reducer(reducer).of_batch(&t[0], &y)))
        })
        .unwrap();
    }
    let scalars = [0.7f64, -0.4].map(|v| Tensor::new(v, &Device::Cpu).unwrap());
    let positives = inputs::normal(24, 0.7, (7, 4), DType::F64).unwrap();
    gradient::check(&[x.clone(), positives, scalars[0].clone(), scalars[1].clone()], |t| {
        wrap(SigLip::from_parts(&t[2], &t[3]).and_then(|l| l.forward_pairs(&t[0], &t[1])))
    })
    .unwrap();
    let made: Vec<(&str, usize, Made)> = vec![
        ("normalized softmax", 1, |w| Ok(Box::new(NormalizedSoftmax::from_parts(&CLASSES, w)?.with_temperature(0.3)?))),
        ("cosface", 1, |w| Ok(Box::new(CosFace::from_parts(&CLASSES, w)?.with_scale(3.)?))),
        ("arcface", 1, |w| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?.with_scale(3.)?))),
        ("arcface, wide", 1, |w| Ok(Box::new(ArcFace::from_parts(&CLASSES, w)?.with_margin(100.)?.with_scale(3.)?))),
        ("sphereface", 1, |w| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?))),
        ("sphereface, 3", 1, |w| Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?.with_margin(3)?))),
        ("proxy-nca", 1, |w| Ok(Box::new(ProxyNca::from_parts(&CLASSES, w)?))),
        ("proxy-anchor", 1, |w| Ok(Box::new(ProxyAnchor::from_parts(&CLASSES, w)?.with_alpha(3.)?))),
        ("sub-center arcface", 2, |w| Ok(Box::new(SubCenterArcFace::from_parts(&CLASSES, 2, w)?.with_scale(3.)?))),
        ("soft-triple", 2, |w| Ok(Box::new(SoftTriple::from_parts(&CLASSES, 2, w)?.with_lambda(3.)?.with_gamma(0.5)?))),
        ("cosface, by size", 1, |w| {
            Ok(Box::new(by_size!(CosFace::from_parts(&CLASSES, w)?.with_scale(3.)?, [0.5, 0.1, 0.2])))
        }),
        // The second class is beyond 180 degrees with its margin.
        ("arcface, by size", 1, |w| {
            Ok(Box::new(by_size!(ArcFace::from_parts(&CLASSES, w)?.with_scale(3.)?, [40., 170., 20.])))
        }),
        ("sub-center arcface, by size", 2, |w| {
            Ok(Box::new(by_size!(SubCenterArcFace::from_parts(&CLASSES, 2, w)?.with_scale(3.)?, [40., 0., 20.])))
        }),
        ("sphereface, weighed", 1, |w| {
            Ok(Box::new(SphereFace::from_parts(&CLASSES, w)?.with_class_weights(&[2., 0.25, 0.75])?))
        }),
        ("proxy-nca, weighed", 1, |w| {
            Ok(Box::new(ProxyNca::from_parts(&CLASSES, w)?.with_class_weights(&[2., 0.25, 0.75])?))
        }),
        ("soft-triple, weighed", 2, |w| {
            let loss = SoftTriple::from_parts(&CLASSES, 2, w)?.with_lambda(3.)?.with_gamma(0.5)?;
            Ok(Box::new(loss.with_class_weights(&[2., 0.25, 0.75])?))
        }),
        ("softmax, weighed", 1, |w| {
            let bias = w.narrow(1, 0, 1)?.squeeze(1)?;
            Ok(Box::new(SoftmaxClassifier::from_parts(&CLASSES, w, &bias)?.with_class_weights(&[2., 0.25, 0.75])?))
        }),
    ];
    for (name, per_class, made) in made {
        let w = inputs::normal(23, 0.5, (3 * per_class, 4), DType::F64).unwrap();
        let run = |t: &[Tensor]| wrap(made(&t[1]).and_then(|l| l.of_batch(&t[0], &y)));
        gradient::check(&[x.clone(), w], run).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn one_center_is_arcface_and_no_margin_is_normalized_softmax() {
    let y = labels(&[5, 2, 9, 9, 5]);
    let x = inputs::normal(31, 1., (5, 6), DType::F64).unwrap();
    let w = inputs::normal(32, 1., (3, 6), DType::F64).unwrap();
    let value = |l: npair_losses::Result<LossValue>| l.unwrap().to_f64().unwrap();
    let arc = value(ArcFace::from_parts(&CLASSES, &w).unwrap().of_batch(&x, &y));
    let sub = value(SubCenterArcFace::from_parts(&CLASSES, 1, &w).unwrap().of_batch(&x, &y));
    assert!((arc - sub).abs() < 1e-12 * arc, "{arc} {sub}");
    let plain = NormalizedSoftmax::from_parts(&CLASSES, &w).unwrap().with_temperature(0.25).unwrap();
    let plain = value(plain.of_batch(&x, &y));
    let cos = CosFace::from_parts(&CLASSES, &w).unwrap().with_margin(0.).unwrap().with_scale(4.).unwrap();
    let triple = SoftTriple::from_parts(&CLASSES, 1, &w).unwrap().with_margin(0.).unwrap().with_lambda(4.).unwrap();
    for other in [value(cos.of_batch(&x, &y)), value(triple.of_batch(&x, &y))] {
        assert!((plain - other).abs() < 1e-12 * plain, "{plain} {other}");
    }
}

#[test]
fn extreme_inputs_give_finite_values_and_gradients() {
    // Opposite rows of length 1e4, duplicates within and across classes, zero rows, rows too short or long to be squared.
    let rows =
        [[1e4f32, 0.], [-1e4, 0.], [1e4, 0.], [0., 0.], [0., 0.], [1e4, 0.], [1e-30, 0.], [0., 1e30], [1., 1e-7]];
    let y = labels(&[2, 5, 2, 5, 5, 9, 9, 2, 2]);
    let finite = |name: &str, value: &LossValue, vars: &[&Var]| {
        let v = value.to_f64().unwrap();
        assert!(v.is_finite(), "{name}: {v}");
        let grads = value.value.backward().unwrap();
        for var in vars {
            let grad = grads.get(var).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            let grad = grad.to_vec1::<f64>().unwrap();
            assert!(grad.iter().all(|g| g.is_finite()), "{name}: {grad:?}");
        }
    };
    for dtype in [DType::F32, DType::F64] {
        let all = Tensor::new(&rows, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let x = Var::from_tensor(&all).unwrap();
        for (name, loss) in plain() {
            finite(name, &loss.of_batch(&x, &y).unwrap(), &[&x]);
        }
        let margin = MarginLoss::new(&CLASSES, dtype, &Device::Cpu).unwrap();
        finite("margin", &margin.of_batch(&x, &y).unwrap(), &[&x, &margin.variables()[0].1]);
        let pairs = labels(&[1, 2, 2, 3, 3, 4, 4, 1]);
        let eight = x.narrow(0, 0, 8).unwrap();
        // The second with logits of 1e4.
        let hot = [1e4f64.ln(), -1e4].map(|v| Tensor::new(v, &Device::Cpu).unwrap().to_dtype(dtype).unwrap());
        for loss in [SigLip::new(dtype, &Device::Cpu).unwrap(), SigLip::from_parts(&hot[0], &hot[1]).unwrap()] {
            let vars = loss.variables();
            let vars: Vec<&Var> = vars.iter().map(|(_, v)| v).chain([&x]).collect();
            finite("siglip", &loss.of_batch(&eight, &pairs).unwrap(), &vars);
        }
        // SphereFace keeps lengths: its logits are up to 1e30.
        for (name, per_class, made) in weighted() {
            let w = [[3f32, 0.], [0., 0.], [-2., 0.], [3., 0.], [0., 1.], [1., 1.]];
            let w = Tensor::new(&w, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let w = Var::from_tensor(&w.narrow(0, 0, 3 * per_class).unwrap()).unwrap();
            finite(name, &made(&w).unwrap().of_batch(&x, &y).unwrap(), &[&x, &w]);
        }
    }
}

#[test]
fn own_variables_are_reached_and_unknown_classes_refused() {
    let (rng, t, cpu) = (&mut Streams::new(3).open(Purpose::Initialization, [0, 0]), DType::F32, &Device::Cpu);
    let c = &mut LossContext { classes: &CLASSES, sizes: &[], sets: None, width: 4, rng, dtype: t, device: cpu };
    let losses: Vec<(&str, Box<dyn Loss>)> = vec![
        ("weights", Box::new(NormalizedSoftmax::new(c).unwrap())),
        ("weights", Box::new(CosFace::new(c).unwrap())),
        ("weights", Box::new(ArcFace::new(c).unwrap())),
        ("weights", Box::new(SphereFace::new(c).unwrap())),
        ("proxies", Box::new(ProxyNca::new(c).unwrap())),
        ("proxies", Box::new(ProxyAnchor::new(c).unwrap())),
        ("weights", Box::new(SubCenterArcFace::new(3, c).unwrap())),
        ("centers", Box::new(SoftTriple::new(10, c).unwrap())),
    ];
    let x = Var::from_tensor(&inputs::normal(1, 1., (3, 4), DType::F32).unwrap()).unwrap();
    for (name, loss) in losses {
        // A single example of a single class is a batch for these.
        let one = loss.of_batch(&x.narrow(0, 0, 1).unwrap(), &labels(&[5])).unwrap().to_f64().unwrap();
        assert!(one.is_finite() && one > 0., "{one}");
        let value = loss.of_batch(&x, &labels(&[9, 2, 9])).unwrap();
        let vars = loss.variables();
        assert_eq!(vars.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), [name]);
        let named = vars.iter().map(|(n, v)| (n.as_str(), v)).chain([("embeddings", &x)]);
        assert_eq!(reach::dead(&value.value, named).unwrap(), Vec::<String>::new());
        let said = |l: npair_losses::Result<LossValue>| l.unwrap_err().to_string();
        assert!(said(loss.of_batch(&x, &labels(&[9, 3, 9]))).contains("class 3 is none"));
        assert!(said(loss.of_batch(&x, &labels(&[9, 2]))).contains("2 entries, but 3"));
        assert!(said(loss.of_batch(&x.narrow(1, 0, 3).unwrap(), &labels(&[9, 2, 9]))).contains("(B, 4)"));
        assert!(said(loss.of_batch(&x.to_dtype(DType::F64).unwrap(), &labels(&[9, 2, 9]))).contains("F32"));
        let bad = Tensor::new(&[[1f32, 0., 0., 0.], [0., f32::NAN, 0., 0.]], cpu).unwrap();
        assert!(said(loss.of_batch(&bad, &labels(&[9, 2]))).contains("row 1 of the"));
    }
    let margin = MarginLoss::new(&CLASSES, t, cpu).unwrap();
    // Boundaries of classes with as many positives above 0 as negatives have no slope: these have not.
    let (y, near) = (labels(&[9, 2, 9, 5]), Tensor::ones((4, 2), t, cpu).unwrap());
    let value = margin.of_batch(&near, &y).unwrap();
    let vars = margin.variables();
    assert_eq!(reach::dead(&value.value, vars.iter().map(|(n, v)| (n.as_str(), v))).unwrap(), Vec::<String>::new());
    let unknown = margin.of_batch(&near, &labels(&[9, 2, 3, 5])).unwrap_err().to_string();
    assert!(unknown.contains("class 3 is none"), "{unknown}");
    assert!(
        margin.of_batch(&near.narrow(0, 0, 1).unwrap(), &labels(&[9])).unwrap_err().to_string().contains("least 2")
    );
    assert!(MarginLoss::from_parts(&CLASSES, &near).unwrap_err().to_string().contains("(3)"));
    let siglip = SigLip::new(t, cpu).unwrap();
    let value = siglip.forward_pairs(&x, &x.flip(&[0]).unwrap()).unwrap();
    let vars = siglip.variables();
    let named = vars.iter().map(|(n, v)| (n.as_str(), v)).chain([("embeddings", &x)]);
    assert_eq!(reach::dead(&value.value, named).unwrap(), Vec::<String>::new());
    let one = x.narrow(0, 0, 1).unwrap();
    assert!(siglip.forward_pairs(&one, &one).unwrap_err().to_string().contains("at least 2 pairs"));
    assert!(SigLip::from_parts(&near, &near).unwrap_err().to_string().contains("a scalar"));
    let said = |made: npair_losses::Result<CosFace>| made.unwrap_err().to_string();
    let one = &mut LossContext { classes: &[ClassId(1)], rng: &mut *c.rng, ..*c };
    assert!(said(CosFace::new(one)).contains("distinct classes"));
    let flat = &mut LossContext { width: 0, rng: &mut *c.rng, ..*c };
    assert!(said(CosFace::new(flat)).contains("embedding dimensions"));
    assert!(SoftTriple::new(0, c).unwrap_err().to_string().contains("centers"));
    let w = inputs::normal(2, 1., (4, 4), DType::F32).unwrap();
    assert!(ArcFace::from_parts(&CLASSES, &w).unwrap_err().to_string().contains("(3, D)"));
}

#[test]
fn batches_with_nothing_to_compare_are_refused_by_name() {
    // Rows near each other, so that the hinge of negatives is not satisfied.
    let x = (inputs::normal(1, 0.1, (4, 3), DType::F32).unwrap() + 1.).unwrap();
    for (name, loss) in plain() {
        let said = |x: &Tensor, l: &[u32]| loss.of_batch(x, &labels(l)).map(|v| v.to_f64().unwrap());
        let one = said(&x.narrow(0, 0, 1).unwrap(), &[1]).unwrap_err().to_string();
        assert!(one.contains("at least 2"), "{name}: {one}");
        assert!(said(&x, &[1, 1, 2]).unwrap_err().to_string().contains("3 entries, but 4"), "{name}");
        let bad = Tensor::new(&[[1f32, 0.], [f32::NAN, 0.], [0., 1.], [0., 1.]], &Device::Cpu).unwrap();
        let bad = said(&bad, &[1, 2, 1, 2]).unwrap_err().to_string();
        assert!(bad.contains("row 1 of the") && bad.contains("not finite"), "{name}: {bad}");
        if matches!(name, "multi-similarity" | "contrastive" | "ranked list") {
            // Either half is a loss of its own; the ranked list finds nothing to pull together in one near class.
            let one = loss.of_batch(&x, &labels(&[1, 1, 1, 1])).unwrap();
            assert!(one.to_f64().unwrap() > 0. || (name, one.active) == ("ranked list", 0), "{name}");
            assert!(said(&x, &[1, 2, 3, 4]).unwrap() > 0., "{name}");
        } else {
            assert!(said(&x, &[1, 1, 1, 1]).unwrap_err().to_string().contains("at least 2 classes"), "{name}");
            assert!(said(&x, &[1, 2, 3, 4]).unwrap_err().to_string().contains("examples of one class"), "{name}");
        }
    }
    // Two classes far apart and each in one place: all hinges are satisfied, and that is said.
    let x = Var::new(&[[1f64, 0.], [1., 0.], [-1., 0.], [-1., 0.]], &Device::Cpu).unwrap();
    let y = labels(&[1, 1, 2, 2]);
    let learned = MarginLoss::new(&[ClassId(1), ClassId(2)], DType::F64, &Device::Cpu).unwrap();
    let hard = BatchHardTriplet::new(1.).unwrap();
    let hinged: [&dyn Loss; 5] =
        [&BatchAllTriplet::default(), &hard, &PairwiseContrastive::default(), &RankedList::default(), &learned];
    for loss in hinged {
        let value = loss.of_batch(&x, &y).unwrap();
        assert_eq!((value.to_f64().unwrap(), value.active), (0., 0));
        let grad = value.value.backward().unwrap().get(&x).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(grad.to_scalar::<f64>().unwrap(), 0.);
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let said = |e: npair_losses::Error| e.to_string();
    let w = inputs::normal(2, 1., (3, 4), DType::F32).unwrap();
    let nan = f64::NAN;
    let all = [
        said(NtXent::new(0.).unwrap_err()),
        said(SupCon::new(-1.).unwrap_err()),
        said(MultiSimilarity::new(2., nan, 0.5).unwrap_err()),
        said(Angular::new(90.).unwrap_err()),
        said(TupletMargin::new(5., f64::INFINITY).unwrap_err()),
        said(BatchAllTriplet::new(-0.1, Reducer::Mean).unwrap_err()),
        said(BatchHardTriplet::new(-0.1).unwrap_err()),
        said(PairwiseContrastive::new(0., nan, Reducer::Mean).unwrap_err()),
        said(LiftedStructure::new(nan, 0.).unwrap_err()),
        said(GeneralizedLiftedStructure::new(1., nan).unwrap_err()),
        said(Circle::new(1.5, 80.).unwrap_err()),
        said(FastAp::new(0).unwrap_err()),
        said(SmoothAp::new(0.).unwrap_err()),
        said(Histogram::new(1).unwrap_err()),
        said(RankedList::new(1.2, 1.3, 10., 0.5).unwrap_err()),
        said(RankedList::new(2.1, 1.3, 10., 0.5).unwrap_err()),
        said(NormalizedSoftmax::from_parts(&CLASSES, &w).unwrap().with_temperature(0.).unwrap_err()),
        said(CosFace::from_parts(&CLASSES, &w).unwrap().with_margin(-1.).unwrap_err()),
        said(ArcFace::from_parts(&CLASSES, &w).unwrap().with_margin(180.).unwrap_err()),
        said(SphereFace::from_parts(&CLASSES, &w).unwrap().with_margin(0).unwrap_err()),
        said(ProxyNca::from_parts(&CLASSES, &w).unwrap().with_scale(0.).unwrap_err()),
        said(ProxyAnchor::from_parts(&CLASSES, &w).unwrap().with_alpha(0.).unwrap_err()),
        said(SoftTriple::from_parts(&CLASSES, 1, &w).unwrap().with_gamma(0.).unwrap_err()),
    ];
    assert!(all.iter().all(|e| e.contains("but has to be")), "{all:?}");
}

#[test]
fn the_same_bits_with_one_and_two_threads() {
    let x = inputs::normal(61, 1., (150, 24), DType::F32).unwrap();
    let y = Labels::new((0..150).map(|i| [2, 5, 9][i % 3])).unwrap();
    let bits = |loss: &dyn Loss, vars: &[&Var]| {
        let value = loss.of_batch(vars[0], &y).unwrap();
        let grads = value.value.backward().unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let all = vars.iter().map(|v| flat(grads.get(v).unwrap())).chain([flat(&value.value)]).collect::<Vec<_>>();
        all.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    for (name, loss) in plain() {
        let all = threads::with_threads(&[1, 2], || bits(&*loss, &[&Var::from_tensor(&x).unwrap()]));
        assert_eq!(all[0], all[1], "{name}");
    }
    for (name, per_class, made) in weighted() {
        let w = inputs::normal(62, 1., (3 * per_class, 24), DType::F32).unwrap();
        let all = threads::with_threads(&[1, 2], || {
            let w = Var::from_tensor(&w).unwrap();
            bits(&*made(&w).unwrap(), &[&Var::from_tensor(&x).unwrap(), &w])
        });
        assert_eq!(all[0], all[1], "{name}");
    }
}
