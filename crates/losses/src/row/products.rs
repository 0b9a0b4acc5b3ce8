use crate::{Batch, LossValue, Result, precomputed_gradient};
use npair_similarity::{Element, Rows, UnitRows};
use npair_types::PairList;

/// Which rows a list of pairs compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lengths {
    /// As they are.
    Own,
    /// Normalized.
    One,
}

/// The loss of the inner products of listed pairs of rows: `f` is given them and says value and gradient by them, each in f64.
/// O(P D) time and O(B D + P) memory for P pairs, whatever else is in the batch.
pub(crate) fn of_products(
    batch: &Batch,
    lengths: Lengths,
    pairs: &[[usize; 2]],
    f: impl FnOnce(&[f64]) -> (f64, Vec<f64>),
) -> Result<candle_core::Tensor> {
    match batch.embeddings().dtype() {
        candle_core::DType::F64 => run::<f64>(batch, lengths, pairs, f),
        _ => run::<f32>(batch, lengths, pairs, f),
    }
}

fn run<T: Element>(
    batch: &Batch,
    lengths: Lengths,
    pairs: &[[usize; 2]],
    f: impl FnOnce(&[f64]) -> (f64, Vec<f64>),
) -> Result<candle_core::Tensor> {
    let plain = batch.plain::<T>()?;
    let all = plain.rows();
    let unit = (lengths == Lengths::One).then(|| UnitRows::new(all));
    let rows = unit.as_ref().map_or(all, UnitRows::rows);
    let products: Vec<f64> = pairs.iter().map(|&[i, j]| dot(rows, i, j)).collect();
    let (value, by_product) = f(&products);
    precomputed_gradient(batch.embeddings(), value, || {
        let mut gradient = by_rows(rows, pairs, &by_product);
        if let Some(unit) = &unit {
            unit.back(&mut gradient);
        }
        gradient
    })
}

fn dot<T: Element>(rows: Rows<T>, i: usize, j: usize) -> f64 {
    rows.row(i).iter().zip(rows.row(j)).map(|(p, q)| p.wide() * q.wide()).sum()
}

/// The gradient by the rows of what has this gradient by the products of pairs of them.
fn by_rows<T: Element>(rows: Rows<T>, pairs: &[[usize; 2]], by_product: &[f64]) -> Vec<T> {
    let width = rows.width();
    let mut gradient = vec![0f64; rows.as_slice().len()];
    for (&[i, j], by) in pairs.iter().zip(by_product) {
        for at in 0..width {
            gradient[i * width + at] += by * rows.row(j)[at].wide();
            gradient[j * width + at] += by * rows.row(i)[at].wide();
        }
    }
    gradient.into_iter().map(T::narrow).collect()
}

/// One anchor's listed pairs: inner products with its positives and negatives, and places for the gradient by them.
pub(crate) struct Anchor<'a> {
    pub(crate) positives: &'a [f64],
    pub(crate) negatives: &'a [f64],
    pub(crate) by_positives: &'a mut [f64],
    pub(crate) by_negatives: &'a mut [f64],
}

/// The mean of terms that each belong to an anchor: `f` adds up those of one anchor, writes the gradient of their sum, and says
/// how many there are.
pub(crate) fn mean_over_anchors(
    batch: &Batch,
    list: &PairList,
    lengths: Lengths,
    f: impl Fn(Anchor<'_>) -> (f64, usize),
) -> Result<LossValue> {
    let positives = by_anchor(list.positives(), batch.labels().len());
    let negatives = by_anchor(list.negatives(), batch.labels().len());
    // The pairs of an anchor one after the other, positives first.
    let with = |kind: &[Vec<usize>], a: usize| kind[a].iter().map(move |&o| [a, o]).collect::<Vec<_>>();
    let anchors = 0..batch.labels().len();
    let pairs: Vec<[usize; 2]> =
        anchors.clone().flat_map(|a| [with(&positives, a), with(&negatives, a)].concat()).collect();
    let mut terms = 0;
    let value = of_products(batch, lengths, &pairs, |products| {
        let (mut sum, mut at) = (0., 0);
        let mut gradient = vec![0.; products.len()];
        for a in anchors {
            let (near, far) = (positives[a].len(), negatives[a].len());
            let (of_near, of_far) = products[at..at + near + far].split_at(near);
            let (by_positives, by_negatives) = gradient[at..at + near + far].split_at_mut(near);
            let anchor = Anchor { positives: of_near, negatives: of_far, by_positives, by_negatives };
            let (term, count) = f(anchor);
            sum += term;
            terms += count;
            at += near + far;
        }
        let share = if terms == 0 { 0. } else { 1. / terms as f64 };
        gradient.iter_mut().for_each(|by| *by *= share);
        (sum * share, gradient)
    })?;
    Ok(LossValue::smooth(value, terms))
}

fn by_anchor(pairs: &[[usize; 2]], anchors: usize) -> Vec<Vec<usize>> {
    let mut others = vec![Vec::new(); anchors];
    pairs.iter().for_each(|&[a, other]| others[a].push(other));
    others
}
