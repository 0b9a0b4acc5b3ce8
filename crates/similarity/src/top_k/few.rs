//! A few queries against a gallery: every pair is compared by itself. Panels and copies of the gallery pay off when many queries share
//! them.

use super::Unseen;
use super::search::Lists;
use crate::pairwise::PairwiseSimilarity;
use crate::{Element, Error, Result};
use rayon::prelude::*;

/// Up to so many queries: copies of a gallery of a million rows cost what the pairs of six or so do.
pub(super) const FEW: usize = 4;
/// Queries whose candidates are held at one time: more come here where nothing faster can tell their rows apart.
const TOGETHER: usize = 64;
/// Rows of the gallery of a task.
const ROWS: usize = 1 << 13;
/// Candidates beyond the best k that are gathered before the worst are thrown away.
const SPARE: usize = 54;

type Key = <f64 as Element>::Key;

/// The best k of every query by similarity in f64, of which `queries` and `gallery` have so many rows.
pub(super) fn few<T: Element>(
    pairs: &PairwiseSimilarity<T>,
    [queries, gallery]: [usize; 2],
    k: usize,
    exclude: Unseen,
) -> Result<Lists<T>> {
    let (mut starts, mut indices, mut similarity) = (vec![0], Vec::new(), Vec::new());
    for first in (0..queries).step_by(TOGETHER) {
        let block = first..queries.min(first + TOGETHER);
        let tasks: Vec<Vec<Vec<Key>>> = (0..gallery.div_ceil(ROWS))
            .into_par_iter()
            .map(|task| {
                let rows = task * ROWS..((task + 1) * ROWS).min(gallery);
                block.clone().map(|query| best(pairs, query, rows.clone(), k, exclude)).collect::<Option<_>>()
            })
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Overflow { row: overflowed(pairs, [queries, gallery], exclude), dtype: "f64" })?;
        for query in 0..block.len() {
            let mut keys: Vec<Key> = tasks.iter().flat_map(|task| &task[query]).copied().collect();
            keep(&mut keys, k);
            keys.sort_unstable_by(|a, b| b.cmp(a));
            for key in keys {
                let (value, row) = f64::of_key(key);
                indices.push(row);
                similarity.push(T::narrow(value));
            }
            starts.push(indices.len());
        }
    }
    Ok((starts, indices, similarity))
}

/// The best k of some rows, in no order; none if a similarity is not finite.
fn best<T: Element>(
    pairs: &PairwiseSimilarity<T>,
    query: usize,
    rows: std::ops::Range<usize>,
    k: usize,
    exclude: Unseen,
) -> Option<Vec<Key>> {
    let room = k.saturating_add(SPARE.max(k / 5)).min(rows.len());
    let (mut keys, mut bar) = (Vec::with_capacity(room), None::<Key>);
    for row in rows.filter(|&row| !exclude.hits(query, row)) {
        let value = pairs.similarity(query, row);
        if !value.is_finite() {
            return None;
        }
        let key = value.key(row as u32);
        if bar.is_none_or(|bar| key > bar) {
            keys.push(key);
            if keys.len() == room && room > k {
                bar = keep(&mut keys, k);
            }
        }
    }
    Some(keys)
}

/// Leaves the best k, and says which is the last of them.
fn keep(keys: &mut Vec<Key>, k: usize) -> Option<Key> {
    if keys.len() <= k {
        return None;
    }
    let (_, &mut least, _) = keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
    keys.truncate(k);
    Some(least)
}

/// The first query with a similarity that is not finite.
fn overflowed<T: Element>(pairs: &PairwiseSimilarity<T>, [queries, gallery]: [usize; 2], exclude: Unseen) -> usize {
    let wild =
        |&query: &usize| (0..gallery).any(|row| !exclude.hits(query, row) && !pairs.similarity(query, row).is_finite());
    (0..queries).find(wild).unwrap_or(0)
}
