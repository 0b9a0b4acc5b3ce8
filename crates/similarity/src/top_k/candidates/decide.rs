//! Lists become what is returned: candidates that `T` cannot tell apart are compared in f64, those of many queries in the order of the
//! gallery.

use super::{Block, Exact};
use crate::Element;

/// Bytes of the gallery whose rows are compared with all queries of a block before the next ones: they stay in the second cache.
const NEAR: usize = 1 << 19;

/// Rows are asked for before so many others have been compared.
const AHEAD: usize = 2;

impl<T: Element> Block<'_, T> {
    /// Leaves the best k of every query by similarity, nearest first, with it.
    pub(super) fn decide(&mut self, exact: Exact<T>) {
        if exact.thins {
            self.thin(exact);
        }
        let mut wide = Vec::new();
        let similarity = self.compared(exact, |query, first, row| {
            if first {
                exact.pairs.widen(query, &mut wide);
            }
            exact.pairs.similarity_of(&wide, query, row)
        });
        let (mut keys, mut from) = (Vec::new(), 0);
        for row in 0..self.counts.len() {
            let list = self.list(row);
            let both = similarity[from..].iter().zip(&self.indices[list.clone()]);
            keys.clear();
            keys.extend(both.map(|(&similarity, &index)| similarity.key(index)));
            from += keys.len();
            if keys.len() > self.k {
                keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
                keys.truncate(self.k);
            }
            keys.sort_unstable_by(|a, b| b.cmp(a));
            for (at, &key) in list.zip(&keys) {
                let (similarity, index) = f64::of_key(key);
                (self.similarity[at], self.indices[at]) = (T::narrow(similarity), index);
            }
            self.counts[row] = keys.len() as u32;
        }
    }

    /// Leaves of every query what products of single pairs in `T` cannot tell from the best k.
    fn thin(&mut self, exact: Exact<T>) {
        let bounds = self.compared(exact, |query, _, row| exact.pairs.bounds(query, row));
        let (mut least, mut from) = (Vec::new(), 0);
        for row in 0..self.counts.len() {
            let list = self.list(row);
            let bounds = &bounds[from..from + list.len()];
            from += list.len();
            if list.len() <= self.k {
                continue;
            }
            least.clear();
            least.extend(bounds.iter().map(|&[least, _]| least));
            let (_, &mut bar, _) = least.select_nth_unstable_by(self.k - 1, |a, b| b.total_cmp(a));
            let mut end = list.start;
            for (at, _) in list.clone().zip(bounds).filter(|(_, [_, most])| *most >= bar) {
                self.indices[end] = self.indices[at];
                end += 1;
            }
            self.counts[row] = (end - list.start) as u32;
        }
    }

    /// What `f` makes of every candidate, list by list: of its query, whether the last one was another's, and its row.
    fn compared<R: Copy + Default>(&self, exact: Exact<T>, mut f: impl FnMut(usize, bool, usize) -> R) -> Vec<R> {
        let firsts: Vec<usize> =
            self.counts.iter().scan(0, |sum, &n| Some(std::mem::replace(sum, *sum + n as usize))).collect();
        let mut all = vec![R::default(); self.counts.iter().map(|&n| n as usize).sum()];
        let order = self.by_gallery(exact.pairs.rows_of(NEAR));
        let index = |&(row, place): &(u32, u32)| self.indices[row as usize * self.room + place as usize] as usize;
        let mut last = u32::MAX;
        for (at, candidate) in order.iter().enumerate() {
            if let Some(next) = order.get(at + AHEAD) {
                exact.pairs.fetch(index(next));
            }
            let &(row, place) = candidate;
            let query = exact.query(self.first + row as usize);
            all[firsts[row as usize] + place as usize] = f(query, row != last, index(candidate));
            last = row;
        }
        all
    }

    /// (query, place in its list) of all candidates, in the order of the gallery's parts of `rows` rows.
    fn by_gallery(&self, rows: usize) -> Vec<(u32, u32)> {
        let part = |row: usize, place: usize| self.indices[row * self.room + place] as usize / rows;
        let all =
            || (0..self.counts.len()).flat_map(|row| (0..self.counts[row] as usize).map(move |place| (row, place)));
        let mut starts: Vec<usize> = Vec::new();
        for (row, place) in all() {
            let part = part(row, place);
            starts.resize(starts.len().max(part + 2), 0);
            starts[part + 1] += 1;
        }
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        let mut order = vec![(0, 0); starts.last().copied().unwrap_or(0)];
        for (row, place) in all() {
            let at = &mut starts[part(row, place)];
            order[*at] = (row as u32, place as u32);
            *at += 1;
        }
        order
    }
}
