//! Losses of batches that meet a memory, and the memory itself.

#![allow(clippy::unwrap_used)]

mod of_batch;

use candle_core::{DType, Device, Tensor, Var};
use npair_losses::*;
use npair_testkit::{gradient, inputs, threads};
use npair_types::{ClassId, Labels};
use of_batch::OfBatch;

const CLASSES: [ClassId; 3] = [ClassId(2), ClassId(5), ClassId(9)];

fn labels(l: &[u32]) -> Labels {
    Labels::new(l.iter().copied()).unwrap()
}

fn wrap(l: npair_losses::Result<LossValue>) -> candle_core::Result<Tensor> {
    l.map(|l| l.value).map_err(candle_core::Error::wrap)
}

/// Losses whose value is a mean over terms of queries, mild enough for a central difference; those whose weights are
/// constants for the gradient come last.
fn of_queries() -> Vec<(&'static str, Box<dyn Loss>)> {
    let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
    let margin = |reducer| MarginLoss::from_parts(&CLASSES, &boundaries).unwrap().with_reducer(reducer);
    vec![
        ("multi-positive", Box::new(MultiPositiveNPair)),
        ("nca", Box::new(NcaStyle)),
        ("nt-xent", Box::new(NtXent::new(0.5).unwrap())),
        ("sup-con", Box::new(SupCon::new(0.5).unwrap())),
        ("tuplet margin", Box::new(TupletMargin::new(5.73, 4.).unwrap())),
        ("multi-similarity", Box::new(MultiSimilarity::new(2., 5., 0.5).unwrap())),
        ("triplet margin", Box::new(BatchAllTriplet::new(0.3, Reducer::Mean).unwrap())),
        ("batch-hard", Box::new(BatchHardTriplet::soft())),
        ("batch-hard, unit", Box::new(BatchHardTriplet::new(0.4).unwrap().with_unit_rows())),
        ("margin", Box::new(margin(Reducer::Mean))),
        ("generalized lifted", Box::<GeneralizedLiftedStructure>::default()),
        ("fast-ap", Box::<FastAp>::default()),
        ("smooth-ap", Box::new(SmoothAp::new(0.3).unwrap())),
        ("ranked list", Box::<RankedList>::default()),
        ("circle", Box::new(Circle::new(0.4, 3.).unwrap())),
    ]
}

fn split(x: &Tensor, y: &Labels, first: usize) -> [(Tensor, Labels); 2] {
    let (all, of) = (x.dim(0).unwrap(), y.as_slice());
    [
        (x.narrow(0, 0, first).unwrap(), Labels::from_ids(of[..first].to_vec()).unwrap()),
        (x.narrow(0, first, all - first).unwrap(), Labels::from_ids(of[first..].to_vec()).unwrap()),
    ]
}

fn against(loss: &dyn Loss, queries: &(Tensor, Labels), memory: &(Tensor, Labels)) -> npair_losses::Result<LossValue> {
    assert!(loss.accepts().meets_reference());
    loss.forward(&Batch::new(&queries.0, &queries.1)?.with_reference(&memory.0, &memory.1)?)
}

#[test]
fn the_terms_of_a_batch_and_of_its_memory_are_those_of_all() {
    // Every row of all G is a query once: in the first half against the second as memory, or the other way round.
    let y = labels(&[5, 5, 2, 5, 9, 2, 5, 2, 9]);
    let x = inputs::normal(21, 0.7, (9, 4), DType::F64).unwrap();
    for (name, loss) in of_queries() {
        let all = loss.of_batch(&x, &y).unwrap();
        for first in [1, 4, 7] {
            let [a, b] = split(&x, &y, first);
            let parts = [against(&*loss, &a, &b).unwrap(), against(&*loss, &b, &a).unwrap()];
            let sum: f64 = parts.iter().map(|p| p.to_f64().unwrap() * p.terms as f64).sum();
            let want = all.to_f64().unwrap() * all.terms as f64;
            assert_eq!(parts[0].terms + parts[1].terms, all.terms, "{name}");
            assert_eq!(parts[0].active + parts[1].active, all.active, "{name}");
            assert!((sum - want).abs() < 1e-12 * want.abs(), "{name}, {first}: {sum} {want}");
        }
        // Without its reference a batch has the loss of the batch.
        let [a, b] = split(&x, &y, 7);
        let batch = Batch::new(&a.0, &a.1).unwrap();
        let with = batch.clone().with_reference(&b.0, &b.1).unwrap();
        let [alone, want] = [with.alone(), batch].map(|batch| loss.forward(&batch).unwrap().to_f64().unwrap());
        assert_eq!(alone, want, "{name}");
    }
}

#[test]
fn pairs_of_either_kind_are_averaged_by_themselves() {
    let y = labels(&[5, 5, 2, 9, 2, 5]);
    let x = inputs::normal(3, 0.7, (6, 4), DType::F64).unwrap();
    let [a, b] = split(&x, &y, 2);
    let loss = PairwiseContrastive::new(0.1, 1.5, Reducer::Mean).unwrap();
    let value = against(&loss, &a, &b).unwrap();
    let row = |i: usize| -> Vec<f64> {
        let row = x.get(i).unwrap().to_vec1::<f64>().unwrap();
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter().map(|v| v / norm).collect()
    };
    let far = |i, j| row(i).iter().zip(row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let (mut near, mut apart) = (Vec::new(), Vec::new());
    for i in 0..2 {
        for j in (0..6).filter(|&j| j != i) {
            match y.same(i, j) {
                true => near.push((far(i, j) - 0.1).max(0.)),
                false => apart.push((1.5 - far(i, j)).max(0.)),
            }
        }
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!((value.to_f64().unwrap() - mean(&near) - mean(&apart)).abs() < 1e-13);
    assert_eq!(value.terms, 10);
}

#[test]
fn a_memory_adds_negatives_to_n_pairs() {
    let y = labels(&[5, 2, 5, 2, 9, 2, 5]);
    let x = inputs::normal(4, 0.7, (7, 3), DType::F64).unwrap();
    let rows: Vec<Vec<f64>> = x.to_vec2().unwrap();
    let dot = |i: usize, j: usize| rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f64>();
    let [a, b] = split(&x, &y, 4);
    // Of anchors 0 and 1: the other's positive, and the memory's rows of other classes.
    let above = |i: usize, others: &[usize]| -> Vec<f64> {
        others.iter().map(|&j| (dot(i, j) - dot(i, i + 2)).exp()).collect()
    };
    let each = [above(0, &[3, 4, 5]), above(1, &[2, 4, 6])];
    let mc = each.iter().map(|e| (1. + e.iter().sum::<f64>()).ln()).sum::<f64>() / 2.;
    let ovo = each.iter().map(|e| e.iter().map(|v| v.ln_1p()).sum::<f64>()).sum::<f64>() / 2.;
    let got = against(&NPairMc, &a, &b).unwrap();
    assert!((got.to_f64().unwrap() - mc).abs() < 1e-13 && got.terms == 2);
    let got = against(&NPairOvo, &a, &b).unwrap();
    assert!((got.to_f64().unwrap() - ovo).abs() < 1e-13);
    assert_eq!(got.terms, 6);
}

#[test]
fn gradients_with_a_memory_agree_with_central_differences() {
    let y = labels(&[5, 5, 2, 9, 5, 2, 5, 2, 9, 9]);
    let x = inputs::normal(22, 0.7, (10, 4), DType::F64).unwrap();
    let [a, b] = split(&x, &y, 4);
    let mut losses = of_queries();
    losses.truncate(losses.len() - 2);
    losses.push(("contrastive", Box::new(PairwiseContrastive::new(0.1, 1.2, Reducer::MeanOfNonZero).unwrap())));
    let run = |loss: &dyn Loss, t: &Tensor, of: &Labels| wrap(against(loss, &(t.clone(), of.clone()), &b));
    for (name, loss) in &losses {
        gradient::check(std::slice::from_ref(&a.0), |t| run(&**loss, &t[0], &a.1))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let of_pairs = labels(&[5, 2, 5, 2]);
    for loss in [&NPairMc as &dyn Loss, &NPairOvo] {
        gradient::check(std::slice::from_ref(&a.0), |t| run(loss, &t[0], &of_pairs)).unwrap();
    }
    let boundaries = Tensor::new(&[1.1f64, 1.2, 1.3], &Device::Cpu).unwrap();
    gradient::check(&[a.0.clone(), boundaries], |t| {
        run(&MarginLoss::from_parts(&CLASSES, &t[1]).map_err(candle_core::Error::wrap)?, &t[0], &a.1)
    })
    .unwrap();
}

#[test]
fn f32_is_f64_up_to_rounding_and_threads_change_nothing() {
    let y = Labels::new((0..96u32).map(|i| [2, 5, 9][i as usize % 3])).unwrap();
    let x = inputs::normal(23, 0.3, (96, 16), DType::F64).unwrap();
    for (name, loss) in of_queries().into_iter().filter(|(name, _)| *name != "margin") {
        let grad = |dtype: DType| -> Vec<f64> {
            let [a, b] = split(&x.to_dtype(dtype).unwrap(), &y, 30);
            let var = Var::from_tensor(&a.0).unwrap();
            let value = against(&*loss, &(var.as_tensor().clone(), a.1), &b).unwrap().value;
            let grads = value.backward().unwrap();
            grads.get(&var).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let (narrow, wide) = (grad(DType::F32), grad(DType::F64));
        let apart: Vec<f64> = narrow.iter().zip(&wide).map(|(a, b)| a - b).collect();
        let relative = norm(&apart) / norm(&wide);
        assert!(relative < 1e-6, "{name}: {relative:e}");
        let all = threads::with_threads(&[1, 2], || grad(DType::F32));
        assert!(all[0] == all[1], "{name}");
    }
}

/// A memory that was filled with rows 0, 1, 2, ... of class = row, in batches of these sizes.
fn filled(size: usize, start: u64, batches: &[usize]) -> CrossBatchMemory {
    let mut memory = CrossBatchMemory::new(size, start).unwrap();
    let mut next = 0u32;
    for &n in batches {
        let of: Vec<u32> = (next..next + n as u32).collect();
        let rows: Vec<f64> = of.iter().map(|&c| f64::from(c)).collect();
        memory.remember(&Tensor::from_vec(rows, (n, 1), &Device::Cpu).unwrap(), &labels(&of)).unwrap();
        next += n as u32;
    }
    memory
}

fn held(memory: &CrossBatchMemory) -> Vec<u32> {
    let of: Vec<u32> = memory.labels().iter().map(|c| c.0).collect();
    let rows = memory.rows().map(|rows| rows.flatten_all().unwrap().to_vec1::<f64>().unwrap()).unwrap_or_default();
    assert_eq!(rows, of.iter().map(|&c| f64::from(c)).collect::<Vec<_>>());
    of
}

#[test]
fn the_oldest_leave_first() {
    assert_eq!(held(&filled(5, 0, &[2, 2])), [0, 1, 2, 3]);
    assert_eq!(held(&filled(5, 0, &[2, 2, 2])), [1, 2, 3, 4, 5]);
    assert_eq!(held(&filled(5, 0, &[2, 2, 3, 4])), [6, 7, 8, 9, 10]);
    // A batch as large as the memory, and a larger one.
    assert_eq!(held(&filled(3, 0, &[2, 3])), [2, 3, 4]);
    assert_eq!(held(&filled(3, 0, &[5])), [2, 3, 4]);
    assert_eq!(held(&filled(1, 0, &[2, 2])), [3]);
    // Idle for two batches.
    assert_eq!(held(&filled(5, 2, &[2, 2])), [0u32; 0]);
    assert_eq!(held(&filled(5, 2, &[2, 2, 3])), [4, 5, 6]);
    assert_eq!(filled(5, 2, &[2, 2, 3]).batches(), 3);
    assert!(CrossBatchMemory::new(0, 0).unwrap_err().to_string().contains("above 0"));
}

#[test]
fn a_batch_is_remembered_after_its_loss() {
    let loss = MultiPositiveNPair;
    let batches: Vec<(Tensor, Labels)> = (0..4)
        .map(|i| (inputs::normal(30 + i, 0.7, (4, 3), DType::F64).unwrap(), labels(&[1, 2, 1, 2 + i as u32])))
        .collect();
    let mut memory = CrossBatchMemory::new(6, 1).unwrap();
    for (at, (x, y)) in batches.iter().enumerate() {
        let got = memory.forward(&loss, x, y).unwrap().to_f64().unwrap();
        // The last six rows of the batches before this one, without the first, in which the memory was idle.
        let before: Vec<&(Tensor, Labels)> = batches[1.min(at)..at].iter().collect();
        let of: Vec<ClassId> = before.iter().flat_map(|b| b.1.as_slice().iter().copied()).collect();
        let want = if of.is_empty() {
            loss.of_batch(x, y).unwrap()
        } else {
            let rows = Tensor::cat(&before.iter().map(|b| &b.0).collect::<Vec<_>>(), 0).unwrap();
            let out = of.len().saturating_sub(6);
            let rows = rows.narrow(0, out, of.len() - out).unwrap();
            against(&loss, &(x.clone(), y.clone()), &(rows, Labels::from_ids(of[out..].to_vec()).unwrap())).unwrap()
        };
        assert_eq!(got.to_bits(), want.to_f64().unwrap().to_bits(), "batch {at}");
    }
    // What fails is not remembered, and counts as no batch.
    let (rows, seen) = (memory.labels().to_vec(), memory.batches());
    let bad = Tensor::full(f64::NAN, (2, 3), &Device::Cpu).unwrap();
    assert!(memory.forward(&loss, &bad, &labels(&[1, 2])).unwrap_err().to_string().contains("not finite"));
    let wide = Tensor::zeros((2, 4), DType::F64, &Device::Cpu).unwrap();
    assert!(memory.forward(&loss, &wide, &labels(&[1, 2])).unwrap_err().to_string().contains("(M, 4)"));
    let narrow = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(memory.forward(&loss, &narrow, &labels(&[1, 2])).unwrap_err().to_string().contains("F32"));
    assert_eq!((memory.labels(), memory.batches()), (&rows[..], seen));
}

#[test]
fn a_memory_is_no_variable_and_does_not_follow_one() {
    let x = Var::new(&[[1f64, 2.], [3., 4.]], &Device::Cpu).unwrap();
    let mut memory = CrossBatchMemory::new(2, 0).unwrap();
    memory.remember(&x, &labels(&[1, 2])).unwrap();
    x.set(&x.zeros_like().unwrap()).unwrap();
    assert_eq!(memory.rows().unwrap().to_vec2::<f64>().unwrap(), [[1., 2.], [3., 4.]]);
    assert!(!memory.rows().unwrap().track_op());
}

#[test]
fn restored_is_uninterrupted() {
    let (sizes, more) = ([2, 3, 2], [3, 1]);
    for start in [0, 2, 4] {
        let stopped = filled(5, start, &sizes);
        let kept =
            stopped.rows().map(|rows| (rows.copy().unwrap(), Labels::from_ids(stopped.labels().to_vec()).unwrap()));
        let mut resumed = CrossBatchMemory::new(5, start).unwrap();
        resumed.restore(stopped.batches(), kept).unwrap();
        let whole = filled(5, start, &[&sizes[..], &more[..]].concat());
        let mut next = 7u32;
        for n in more {
            let of: Vec<u32> = (next..next + n as u32).collect();
            let rows = Tensor::from_vec(of.iter().map(|&c| f64::from(c)).collect::<Vec<_>>(), (n, 1), &Device::Cpu);
            resumed.remember(&rows.unwrap(), &labels(&of)).unwrap();
            next += n as u32;
        }
        assert_eq!((held(&resumed), resumed.batches()), (held(&whole), whole.batches()));
    }
    let mut small = CrossBatchMemory::new(2, 0).unwrap();
    let rows = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(small.restore(1, Some((rows, labels(&[1, 2, 3])))).unwrap_err().to_string().contains("at most 2 rows"));
}
