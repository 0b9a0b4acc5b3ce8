//! Every loss on hostile batches: finite values and gradients, or an error that names what is missing.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_types::{ClassId, Labels, PairList, Pairs, Purpose, Streams, Triplets, Tuples, Tuplets};
use of_batch::OfBatch;

const CLASSES: [ClassId; 4] = [ClassId(1), ClassId(2), ClassId(3), ClassId(4)];

/// Every loss of the crate that takes labeled batches, at its own settings.
fn every(dtype: DType) -> Vec<(&'static str, Box<dyn Loss>)> {
    let cpu = &Device::Cpu;
    let rng = &mut Streams::new(3).open(Purpose::Initialization, [0, 0]);
    let c = &mut LossContext { classes: &CLASSES, sizes: &[], sets: None, width: 2, rng, dtype, device: cpu };
    let sum = WeightedSum::new().and("pairs", 0.5, NPairMc).unwrap().and("all", 2., NcaStyle).unwrap();
    vec![
        ("contrastive", Box::new(Contrastive::new(1.).unwrap())),
        ("triplet margin", Box::new(TripletMargin::new(0.2).unwrap())),
        ("smooth triplet", Box::new(SmoothTriplet)),
        ("margin-free triplet", Box::new(MarginFreeTriplet)),
        ("n-pair-mc", Box::new(NPairMc)),
        ("symmetric n-pair-mc", Box::new(SymmetricNPairMc)),
        ("n-pair-ovo", Box::new(NPairOvo)),
        ("nca", Box::new(NcaStyle)),
        ("multi-positive", Box::new(MultiPositiveNPair)),
        ("softmax", Box::new(SoftmaxClassifier::new(c).unwrap())),
        ("lifted", Box::<LiftedStructure>::default()),
        ("generalized lifted", Box::<GeneralizedLiftedStructure>::default()),
        ("histogram", Box::<Histogram>::default()),
        ("angular", Box::<Angular>::default()),
        ("tuplet margin", Box::<TupletMargin>::default()),
        ("triplet margin all", Box::<BatchAllTriplet>::default()),
        ("batch-hard", Box::new(BatchHardTriplet::new(0.2).unwrap())),
        ("batch-hard, soft, unit", Box::new(BatchHardTriplet::soft().with_unit_rows())),
        ("contrastive all", Box::<PairwiseContrastive>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::<SmoothAp>::default()),
        ("ranked list", Box::<RankedList>::default()),
        ("multi-similarity", Box::<MultiSimilarity>::default()),
        ("circle", Box::<Circle>::default()),
        ("nt-xent", Box::<NtXent>::default()),
        ("sup-con", Box::<SupCon>::default()),
        ("multi-sup-con", Box::new(MultiSupCon::new(0.1, None).unwrap())),
        ("sphereface", Box::new(SphereFace::new(c).unwrap())),
        ("cosface", Box::new(CosFace::new(c).unwrap())),
        ("arcface", Box::new(ArcFace::new(c).unwrap())),
        ("sub-center arcface", Box::new(SubCenterArcFace::new(3, c).unwrap())),
        ("normalized softmax", Box::new(NormalizedSoftmax::new(c).unwrap())),
        ("proxy-nca", Box::new(ProxyNca::new(c).unwrap())),
        ("proxy-anchor", Box::new(ProxyAnchor::new(c).unwrap())),
        ("soft-triple", Box::new(SoftTriple::new(10, c).unwrap())),
        ("margin", Box::new(MarginLoss::new(&CLASSES, dtype, cpu).unwrap())),
        ("siglip", Box::new(SigLip::new(dtype, cpu).unwrap())),
        ("weighted sum", Box::new(sum)),
    ]
}

/// What is hostile about a batch, its rows and their classes.
type Hostile = (&'static str, Vec<[f32; 2]>, Vec<u32>);

/// Batches of two rows a class, as every loss takes them, and what is hostile about them. Rows of length 100 have inner
/// products, the logits of most losses that do not normalize, of 1e4 and -1e4.
fn batches() -> Vec<Hostile> {
    vec![
        ("logits of 1e4", vec![[100., 0.], [-100., 0.], [-100., 0.], [100., 0.]], vec![1, 2, 1, 2]),
        ("the right ones", vec![[100., 0.], [-100., 0.], [100., 0.], [-100., 0.]], vec![1, 2, 1, 2]),
        ("duplicate rows", vec![[0.6, 0.8]; 6], vec![1, 2, 3, 1, 2, 3]),
        ("zero rows", vec![[0., 0.]; 4], vec![1, 2, 2, 1]),
        ("one zero row", vec![[0., 0.], [1., 0.], [0.5, 1.], [0., 2.]], vec![1, 2, 2, 1]),
        ("one class", vec![[1., 0.], [0.5, 1.]], vec![3, 3]),
        ("one class of four", vec![[1., 0.], [0.5, 1.], [1., 1.], [0., 1.]], vec![3, 3, 3, 3]),
        ("two rows of two classes", vec![[1., 0.], [0.5, 1.]], vec![3, 4]),
        ("a single row", vec![[1., 2.]], vec![2]),
        ("a single zero row", vec![[0., 0.]], vec![2]),
    ]
}

fn variable(rows: &[[f32; 2]], dtype: DType) -> Var {
    Var::from_tensor(
        &Tensor::from_slice(rows.as_flattened(), (rows.len(), 2), &Device::Cpu).unwrap().to_dtype(dtype).unwrap(),
    )
    .unwrap()
}

/// Whether value and all gradients are finite, or the error is one of the crate's own that names its reason.
fn survives(name: &str, what: &str, outcome: npair_losses::Result<LossValue>, vars: &[(String, Var)]) -> bool {
    match outcome {
        Ok(value) => {
            let number = value.to_f64().unwrap();
            assert!(number.is_finite(), "{name}, {what}: {number}");
            let grads = value.value.backward().unwrap();
            for (of, var) in vars {
                let Some(grad) = grads.get(var) else { continue };
                let grad = grad.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                assert!(grad.iter().all(|g| g.is_finite()), "{name}, {what}: {of} {grad:?}");
            }
            assert!(grads.get(&vars[0].1).is_some(), "{name}, {what}: no gradient");
            true
        }
        Err(Error::Candle(why)) => panic!("{name}, {what}: {why}"),
        Err(why) => {
            assert!(matches!(why, Error::TooFew { .. } | Error::Types(_)), "{name}, {what}: {why}");
            false
        }
    }
}

#[test]
fn hostile_batches_give_finite_values_or_named_errors() {
    for dtype in [DType::F32, DType::F64] {
        for (name, loss) in every(dtype) {
            let mut taken = 0;
            for (what, rows, classes) in batches() {
                let y = Labels::new(classes).unwrap();
                let x = variable(&rows, dtype);
                let mut vars = vec![("embeddings".to_owned(), x.clone())];
                vars.extend(loss.variables());
                taken += usize::from(survives(name, what, loss.of_batch(&x, &y), &vars));
            }
            // The first five are batches for every loss.
            assert!(taken >= 5, "{name} took {taken}");
        }
    }
}

#[test]
fn hostile_memories_too() {
    for dtype in [DType::F32, DType::F64] {
        for (name, loss) in every(dtype) {
            if !loss.accepts().meets_reference() {
                continue;
            }
            for (what, rows, classes) in batches() {
                for (_, other, of_other) in batches() {
                    let x = variable(&rows, dtype);
                    let batch = Batch::new(&x, &Labels::new(classes.clone()).unwrap()).unwrap();
                    let batch =
                        batch.with_reference(&variable(&other, dtype), &Labels::new(of_other).unwrap()).unwrap();
                    survives(name, what, loss.forward(&batch), &[("embeddings".to_owned(), x)]);
                }
            }
        }
    }
}

#[test]
fn hostile_batches_with_the_tuples_of_a_miner() {
    for dtype in [DType::F32, DType::F64] {
        for (name, loss) in every(dtype) {
            for (what, rows, classes) in batches() {
                let (y, b) = (Labels::new(classes).unwrap(), rows.len());
                let all = || (0..b).flat_map(|i| (0..b).map(move |j| [i, j])).filter(|[i, j]| i != j);
                let (near, far): (Vec<_>, Vec<_>) = all().partition(|&[i, j]| y.same(i, j));
                let lists = [(near.clone(), far.clone()), (near.clone(), vec![]), (vec![], far), (vec![], vec![])];
                for (positives, negatives) in lists {
                    let list = PairList::new(positives, negatives, &y).unwrap();
                    let triplets = Triplets::from_pair_list(&list).map(Tuples::Triplets);
                    for tuples in [Some(Tuples::PairList(list)), triplets].into_iter().flatten() {
                        if !loss.accepts().uses(tuples.kind()) {
                            continue;
                        }
                        let x = variable(&rows, dtype);
                        let batch = Batch::new(&x, &y).unwrap().with_tuples(tuples).unwrap();
                        let mut vars = vec![("embeddings".to_owned(), x.clone())];
                        vars.extend(loss.variables());
                        // What a miner chose is never too little.
                        assert!(survives(name, what, loss.forward(&batch), &vars), "{name}, {what}");
                    }
                }
            }
        }
    }
}

#[test]
fn hostile_pairs_triplets_and_tuplets() {
    for dtype in [DType::F32, DType::F64] {
        for (what, rows, classes) in batches() {
            let y = Labels::new(classes).unwrap();
            let x = variable(&rows, dtype);
            let vars = [("embeddings".to_owned(), x.clone())];
            let Ok(pairs) = Pairs::from_labels(&y) else { continue };
            let batch = Batch::new(&x, &y).unwrap();
            let of_pairs: [(&str, &dyn Loss); 4] = [
                ("n-pair-mc", &NPairMc),
                ("symmetric", &SymmetricNPairMc),
                ("n-pair-ovo", &NPairOvo),
                ("siglip", &SigLip::new(dtype, &Device::Cpu).unwrap()),
            ];
            for (name, loss) in of_pairs {
                let batch = batch.clone().with_tuples(Tuples::Pairs(pairs.clone())).unwrap();
                survives(name, what, loss.forward(&batch), &vars);
            }
            let Ok(triplets) = Triplets::from_pairs(&pairs) else { continue };
            let of_triplets: [(&str, &dyn Loss); 3] = [
                ("triplet margin", &TripletMargin::new(0.2).unwrap()),
                ("smooth triplet", &SmoothTriplet),
                ("margin-free triplet", &MarginFreeTriplet),
            ];
            for (name, loss) in of_triplets {
                let batch = batch.clone().with_tuples(Tuples::Triplets(triplets.clone())).unwrap();
                survives(name, what, loss.forward(&batch), &vars);
            }
            // Every anchor with the positive of the next pair as its own negative.
            let mut others = pairs.positives().to_vec();
            others.rotate_left(1);
            let tuplets = Tuplets::new(pairs.anchors().to_vec(), pairs.positives().to_vec(), others, &y).unwrap();
            let batch = batch.with_sampled(Tuples::Tuplets(tuplets)).unwrap();
            survives("tuplets", what, NTuplet.forward(&batch), &vars);
        }
    }
}
