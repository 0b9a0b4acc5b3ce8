//! One rule for number types, views and numbers that are none, for every loss, penalty and memory.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::inputs;
use npair_types::{ClassId, Labels, Purpose, Streams, Triplets, Tuples, Tuplets};

const CLASSES: [ClassId; 4] = [ClassId(1), ClassId(2), ClassId(3), ClassId(4)];

fn labels() -> Labels {
    Labels::new([1, 2, 3, 4, 1, 2, 3, 4]).unwrap()
}

/// Every loss that takes a labeled batch, with variables of this number type.
fn every(dtype: DType) -> Vec<Box<dyn Loss>> {
    let cpu = &Device::Cpu;
    let rng = &mut Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let c = &mut LossContext { classes: &CLASSES, sizes: &[], sets: None, width: 6, rng, dtype, device: cpu };
    let sum = WeightedSum::new().and("pairs", 0.5, NPairMc).unwrap().and("all", 2., NcaStyle).unwrap();
    vec![
        Box::new(Contrastive::new(1.).unwrap()),
        Box::<PairwiseContrastive>::default(),
        Box::new(TripletMargin::new(0.2).unwrap()),
        Box::new(SmoothTriplet),
        Box::new(MarginFreeTriplet),
        Box::<BatchAllTriplet>::default(),
        Box::new(BatchHardTriplet::new(0.2).unwrap()),
        Box::new(BatchHardTriplet::soft().with_unit_rows()),
        Box::<Angular>::default(),
        Box::new(NPairMc),
        Box::new(SymmetricNPairMc),
        Box::new(NPairOvo),
        Box::new(MultiPositiveNPair),
        Box::new(NcaStyle),
        Box::<LiftedStructure>::default(),
        Box::<GeneralizedLiftedStructure>::default(),
        Box::<Histogram>::default(),
        Box::<TupletMargin>::default(),
        Box::<FastAp>::default(),
        Box::<SmoothAp>::default(),
        Box::<RankedList>::default(),
        Box::<MultiSimilarity>::default(),
        Box::<Circle>::default(),
        Box::<NtXent>::default(),
        Box::<SupCon>::default(),
        Box::new(MultiSupCon::new(0.1, None).unwrap()),
        Box::new(SoftmaxClassifier::new(c).unwrap()),
        Box::new(NormalizedSoftmax::new(c).unwrap()),
        Box::new(SphereFace::new(c).unwrap()),
        Box::new(CosFace::new(c).unwrap()),
        Box::new(ArcFace::new(c).unwrap()),
        Box::new(SubCenterArcFace::new(3, c).unwrap()),
        Box::new(ProxyNca::new(c).unwrap()),
        Box::new(ProxyAnchor::new(c).unwrap()),
        Box::new(SoftTriple::new(2, c).unwrap()),
        Box::new(MarginLoss::new(&CLASSES, dtype, cpu).unwrap()),
        Box::new(SigLip::new(dtype, cpu).unwrap()),
        Box::new(sum),
    ]
}

fn penalties() -> Vec<Box<dyn Regularizer>> {
    vec![
        Box::new(NormPenalty::new(0.1, NormForm::MeanSquare).unwrap()),
        Box::new(NormPenalty::new(0.1, NormForm::MeanNorm).unwrap()),
        Box::new(LpNorm::new(1.).unwrap()),
        Box::new(LpNorm::new(2.).unwrap()),
        Box::new(CenterInvariant),
        Box::new(ZeroMean),
        Box::new(RegularFace),
        Box::new(SparseCenters::new(2).unwrap()),
        Box::new(KoLeo),
        Box::<Uniformity>::default(),
    ]
}

fn forward(loss: &dyn Loss, x: &Tensor) -> Result<LossValue> {
    loss.forward(&Batch::new(x, &labels())?)
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Value and gradient of a scalar made of `x`.
fn with_gradient(x: &Var, f: &dyn Fn(&Tensor) -> Result<Tensor>) -> (f64, Tensor) {
    let value = f(x).unwrap();
    let grads = value.backward().unwrap();
    (flat(&value)[0], grads.get(x).unwrap().clone())
}

#[test]
fn sixteen_bits_are_computed_in_f32_and_their_gradient_comes_back_in_them() {
    for dtype in [DType::F16, DType::BF16] {
        let short = Var::from_tensor(&inputs::normal(4, 0.8, (8, 6), dtype).unwrap()).unwrap();
        let long = Var::from_tensor(&short.to_dtype(DType::F32).unwrap()).unwrap();
        let same = |name: &str, f: &dyn Fn(&Tensor) -> Result<Tensor>| {
            let ((got, by), (want, of_f32)) = (with_gradient(&short, f), with_gradient(&long, f));
            assert_eq!((got, by.dtype()), (want, dtype), "{name}");
            assert_eq!(flat(&by), flat(&of_f32.to_dtype(dtype).unwrap()), "{name}");
        };
        for loss in every(DType::F32) {
            same(loss.name(), &|x| Ok(forward(&*loss, x)?.value));
        }
        for penalty in penalties() {
            same(penalty.name(), &|x| penalty.penalty(x));
        }
    }
}

#[test]
fn whole_numbers_are_refused_by_name() {
    for dtype in [DType::U8, DType::U32, DType::I64] {
        let x = Tensor::ones((8, 6), dtype, &Device::Cpu).unwrap();
        for loss in every(DType::F32) {
            let said = forward(&*loss, &x).unwrap_err().to_string();
            assert!(said.contains(&format!("the embeddings are of type {dtype:?}")), "{}: {said}", loss.name());
        }
        for penalty in penalties() {
            let said = penalty.penalty(&x).unwrap_err().to_string();
            assert!(
                said.contains(&format!("the rows are of type {dtype:?}")) || said.contains("the embeddings"),
                "{said}"
            );
        }
        let mut memory = CrossBatchMemory::new(8, 0).unwrap();
        assert!(memory.remember(&x, &labels()).unwrap_err().to_string().contains("of type"));
    }
}

#[test]
fn views_are_taken_as_other_tensors_are() {
    for dtype in [DType::F32, DType::F64] {
        let x = inputs::normal(4, 0.8, (8, 6), dtype).unwrap();
        let turned = Var::from_tensor(&x.t().unwrap().contiguous().unwrap()).unwrap();
        let wider = Var::from_tensor(&Tensor::cat(&[&x, &x], 1).unwrap()).unwrap();
        let alone = Var::from_tensor(&x).unwrap();
        type View = fn(&Tensor) -> candle_core::Result<Tensor>;
        let views: [(&Var, View); 2] = [(&turned, |t| t.t()), (&wider, |t| t.narrow(1, 6, 6))];
        let same = |name: &str, f: &dyn Fn(&Tensor) -> Result<Tensor>| {
            let (want, by) = with_gradient(&alone, f);
            for (var, view) in views {
                let (got, grad) = with_gradient(var, &|t| f(&view(t)?));
                assert_eq!((got, flat(&view(&grad).unwrap())), (want, flat(&by)), "{name}");
            }
        };
        for loss in every(dtype) {
            same(loss.name(), &|x| Ok(forward(&*loss, x)?.value));
        }
        for penalty in penalties() {
            same(penalty.name(), &|x| penalty.penalty(x));
        }
    }
}

#[test]
fn what_is_not_finite_is_refused_by_its_row() {
    let refused = |name: &str, outcome: Result<()>, row: usize| {
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains(&format!("row {row} of the ")) && said.contains("not finite"), "{name}: {said}");
    };
    for (dtype, bad) in [(DType::F32, f64::NAN), (DType::F64, f64::INFINITY), (DType::F16, f64::NEG_INFINITY)] {
        let with = |row: usize, shape: (usize, usize)| {
            let mut values = flat(&inputs::normal(4, 0.8, shape, DType::F64).unwrap());
            values[row * shape.1 + 2] = bad;
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
        };
        let x = with(3, (8, 6));
        let variables = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        for loss in every(variables) {
            refused(loss.name(), forward(&*loss, &x).map(|_| ()), 3);
        }
        for penalty in penalties() {
            refused(penalty.name(), penalty.penalty(&x).map(|_| ()), 3);
        }
        let mut memory = CrossBatchMemory::new(8, 0).unwrap();
        refused("memory", memory.remember(&x, &labels()), 3);
        refused("memory", memory.restore(1, Some((x.clone(), labels()))), 3);
        assert_eq!((memory.batches(), memory.rows().is_none()), (0, true));
        let fine = inputs::normal(5, 0.8, (8, 6), dtype).unwrap();
        refused("reference", Batch::new(&fine, &labels()).unwrap().with_reference(&x, &labels()).map(|_| ()), 3);
        // The direct doors.
        for loss in
            [&NPairMc as &dyn PairLoss, &NPairOvo, &SymmetricNPairMc, &SigLip::new(variables, &Device::Cpu).unwrap()]
        {
            refused("anchors", loss.forward_pairs(&x, &fine).map(|_| ()), 3);
            refused("positives", loss.forward_pairs(&fine, &x).map(|_| ()), 3);
        }
        for loss in [&SmoothTriplet as &dyn TripletLoss, &MarginFreeTriplet, &TripletMargin::new(0.1).unwrap()] {
            refused("anchors", loss.forward_triplets(&x, &fine, &fine).map(|_| ()), 3);
            refused("negatives", loss.forward_triplets(&fine, &fine, &x).map(|_| ()), 3);
        }
        refused("right", Contrastive::new(1.).unwrap().forward_pairs(&fine, &x, &[true; 8]).map(|_| ()), 3);
        let negatives = with(5, (16, 6)).reshape((8, 2, 6)).unwrap();
        refused("tuplets", NTuplet.forward_tuplets(&fine, &fine, &negatives).map(|_| ()), 2);
    }
}

#[test]
fn tuples_in_sixteen_bits_too() {
    let x = Var::from_tensor(&inputs::normal(4, 0.8, (8, 6), DType::BF16).unwrap()).unwrap();
    let batch = || Batch::new(&x, &labels()).unwrap();
    let triplets = Triplets::new(&[[0, 4, 1], [1, 5, 2]], &labels()).unwrap();
    let tuplets = Tuplets::new(vec![0], vec![4], vec![1, 2], &labels()).unwrap();
    let of = [
        SmoothTriplet.forward(&batch().with_tuples(Tuples::Triplets(triplets.clone())).unwrap()),
        Circle::default().forward(&batch().with_tuples(Tuples::Triplets(triplets)).unwrap()),
        NTuplet.forward(&batch().with_sampled(Tuples::Tuplets(tuplets)).unwrap()),
        MultiPositiveNPair.forward(&batch().with_reference(&x, &labels()).unwrap()),
    ];
    for value in of {
        let value = value.unwrap().value;
        assert_eq!(value.dtype(), DType::F32);
        assert_eq!(value.backward().unwrap().get(&x).unwrap().dtype(), DType::BF16);
    }
}

#[test]
fn hardest_triplets_far_from_the_origin_are_those_of_f64() {
    // Pairs 0.001 apart on centers 0.01 apart; f32 holds them at 10 to a hundredth of that, which f64 is given too.
    let (classes, d) = (60, 8);
    let centers = flat(&inputs::normal(1, 0.01, (classes, d), DType::F64).unwrap());
    let noise = flat(&inputs::normal(2, 0.001, (2 * classes, d), DType::F64).unwrap());
    let labels = Labels::new((0..2 * classes as u32).map(|i| i / 2)).unwrap();
    for (offset, of_other) in [(0., 0.), (10., 0.), (1000., 0.), (30., -60.)] {
        let of = |i: usize| offset + if (i / d / 2).is_multiple_of(2) { 0. } else { of_other };
        let values = (0..2 * classes * d).map(|i| (centers[i / d / 2 * d + i % d] + noise[i] + of(i)) as f32);
        let single = Tensor::from_vec(values.collect::<Vec<_>>(), (2 * classes, d), &Device::Cpu).unwrap();
        let double = single.to_dtype(DType::F64).unwrap();
        for loss in [BatchHardTriplet::new(0.01).unwrap(), BatchHardTriplet::new(0.).unwrap(), BatchHardTriplet::soft()]
        {
            let value = |x: &Tensor| loss.forward(&Batch::new(x, &labels).unwrap()).unwrap().to_f64().unwrap();
            let (got, want) = (value(&single), value(&double));
            assert!((got - want).abs() <= 1e-6 * want.abs() + 1e-9, "{offset}: {got:e} for {want:e}");
        }
    }
}

#[test]
fn class_weights_may_be_views_and_have_to_be_finite() {
    let x = inputs::normal(4, 0.8, (8, 6), DType::F32).unwrap();
    let weights = inputs::normal(5, 0.8, (4, 6), DType::F32).unwrap();
    let turned = weights.t().unwrap().contiguous().unwrap().t().unwrap();
    let bad = {
        let mut values = weights.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[2 * 6 + 1] = f32::NAN;
        Tensor::from_vec(values, (4, 6), &Device::Cpu).unwrap()
    };
    let of = |w: &Tensor| -> Vec<Box<dyn Loss>> {
        vec![
            Box::new(NormalizedSoftmax::from_parts(&CLASSES, w).unwrap()),
            Box::new(SphereFace::from_parts(&CLASSES, w).unwrap()),
            Box::new(CosFace::from_parts(&CLASSES, w).unwrap()),
            Box::new(ArcFace::from_parts(&CLASSES, w).unwrap()),
            Box::new(SubCenterArcFace::from_parts(&CLASSES, 1, w).unwrap()),
            Box::new(ProxyNca::from_parts(&CLASSES, w).unwrap()),
            Box::new(ProxyAnchor::from_parts(&CLASSES, w).unwrap()),
            Box::new(SoftTriple::from_parts(&CLASSES, 1, w).unwrap()),
        ]
    };
    for ((plain, view), bad) in of(&weights).iter().zip(of(&turned)).zip(of(&bad)) {
        let value = |loss: &dyn Loss| forward(loss, &x).unwrap().to_f64().unwrap();
        assert_eq!(value(&**plain), value(&*view), "{}", plain.name());
        let said = forward(&*bad, &x).map(|loss| loss.to_f64()).unwrap_err().to_string();
        assert!(said.contains("not finite") && said.contains("row 2 of the "), "{}: {said}", bad.name());
    }
}
