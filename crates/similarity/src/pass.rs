//! One pass over the matrix that gives the rows' results and, where they are wanted, the gradients of both sides: every
//! product is taken once.

use crate::product::{Left, multiply, transposed, upright};
use crate::vectors::{LANES, exps, largest, scale, softplus};
use crate::{Element, Mask, Rows};
use npair_simd::{Panels, Run};
use rayon::prelude::*;
use std::ops::Range;

/// What becomes of a row `s` of inner products above its reference `o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `log sum exp(s - o)`
    LogSumExp,
    /// `log(1 + sum exp(s - o))`
    Log1pSumExp,
    /// `sum log(1 + exp(s - o))`
    SoftplusSum,
}

/// What a row's entries are measured from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reference<'a, T> {
    /// One number per row, with a gradient of its own.
    Given(&'a [T]),
    /// The row's entry on the diagonal, whose gradient is one of the matrix.
    Diagonal,
}

/// How the matrix is cut. All sizes depend on the shape alone, so that no bit depends on the number of threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Rows of a task.
    group: usize,
    /// Groups whose weights live at a time.
    wave: usize,
    /// Columns of a task, in whole panels, at least one.
    columns: usize,
    /// Panels of columns of one task of the second gradient.
    panels: usize,
}

impl Sizes {
    /// Rows of a task: a multiple of the rows of every register tile. Fewer where there would be few tasks.
    const GROUP: usize = 168;
    const SMALL_GROUP: usize = 84;
    const SMALL: usize = 12 * Self::GROUP;

    /// Entries whose weights live at a time: they stay in the last cache, and there are rows enough to pay for passing over
    /// the gallery's gradient.
    const ENTRIES: usize = 1 << 23;
    const GROUPS: usize = 16;

    /// For a matrix of `rows` by `padded` columns.
    fn of(rows: usize, padded: usize) -> Self {
        let group = if rows < Self::SMALL { Self::SMALL_GROUP } else { Self::GROUP };
        // Waves of nearly the same number of groups.
        let groups = rows.div_ceil(group);
        let waves = groups.div_ceil((Self::ENTRIES / (group * padded)).clamp(1, Self::GROUPS)).max(1);
        Self { group, wave: groups.div_ceil(waves).max(1), columns: 512, panels: 2 }
    }
}

/// Which gradients are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) queries: bool,
    pub(crate) gallery: bool,
}

/// What a pass found.
pub(crate) struct Found<T> {
    /// A number per row.
    pub(crate) results: Vec<f64>,
    /// Gradients of `sum_i u_i result_i`; empty where not wanted.
    pub(crate) queries: Vec<T>,
    pub(crate) gallery: Vec<T>,
    pub(crate) reference: Vec<f64>,
}

/// The reduction of every row of `queries gallery^T` under a mask.
pub(crate) struct Pass<'a, T> {
    pub(crate) kind: Kind,
    pub(crate) mask: &'a Mask,
    pub(crate) queries: Rows<'a, T>,
    pub(crate) gallery: Rows<'a, T>,
    pub(crate) reference: Reference<'a, T>,
}

/// A group of rows of the wave, and what is known of them.
struct Group<'w, T> {
    /// The first row.
    first: usize,
    /// Logits, then weights: panel by panel, (row, column of the panel).
    entries: &'w mut [T],
    /// The reference of every row.
    above: Vec<T>,
    /// What is taken from a row's logits.
    base: Vec<T>,
    /// The entries are the derivatives when multiplied by this.
    factor: Vec<T>,
}

/// What a task finds of its rows in its columns, lane by lane.
struct Part<T> {
    most: Vec<[T; LANES]>,
    /// (row of the group, its entry on the diagonal)
    diagonal: Vec<(usize, T)>,
}

/// The sums of a task: of the terms, and of the weights.
struct Sums {
    terms: Vec<[f64; LANES]>,
    weights: Vec<[f64; LANES]>,
}

impl<T: Element> Pass<'_, T> {
    /// Runs it; the gradients are those of `sum_i upstream(i) result_i`.
    ///
    /// A wave of rows at a time, in groups. Both sides have been packed once. Tasks of a group and some columns multiply,
    /// and leave the largest logit; then the logits become weights; then groups give their part of the queries' gradient,
    /// and ranges of columns add the wave's to the gallery's, in the order of the waves.
    pub(crate) fn run(&self, wanted: Wanted, upstream: impl Fn(usize) -> f64 + Sync) -> Found<T> {
        self.run_in(Sizes::of, wanted, upstream)
    }

    /// The same, cut as is said for (rows, padded columns).
    fn run_in(
        &self,
        sizes: impl Fn(usize, usize) -> Sizes,
        wanted: Wanted,
        upstream: impl Fn(usize) -> f64 + Sync,
    ) -> Found<T> {
        let (rows, columns, width) = (self.queries.len(), self.gallery.len(), self.queries.width());
        let room = |wanted: bool, n: usize| if wanted { n } else { 0 };
        let mut found = Found {
            results: vec![0.; rows],
            queries: vec![T::ZERO; room(wanted.queries, rows * width)],
            gallery: vec![T::ZERO; room(wanted.gallery, columns * width)],
            reference: vec![0.; rows],
        };
        if columns == 0 {
            found.results.fill(self.result(0., T::ZERO, T::ZERO).0);
            return found;
        }
        let across = transposed(self.gallery);
        let upwards = wanted.queries.then(|| upright(self.gallery, |_| T::ONE));
        let padded: usize = across.columns.panels.iter().map(|p| p.2.columns).sum();
        let sizes = sizes(rows, padded);
        let (size, wave) = (sizes.group, sizes.group * sizes.wave);
        let mut buffer = vec![T::ZERO; wave.min(rows) * padded];
        for start in (0..rows).step_by(wave) {
            let end = (start + wave).min(rows);
            let mut groups: Vec<Group<T>> = buffer[..(end - start) * padded]
                .chunks_mut((size * padded).max(1))
                .zip((start..end).step_by(size))
                .map(|(entries, first)| {
                    let above = match self.reference {
                        Reference::Given(o) => o[first..end.min(first + size)].to_vec(),
                        Reference::Diagonal => vec![T::ZERO; end.min(first + size) - first],
                    };
                    Group { first, entries, base: above.clone(), factor: above.clone(), above }
                })
                .collect();
            self.logits(&mut groups, &across, sizes.columns);
            self.weights(&mut groups, &across, sizes.columns, &mut found, &upstream);
            if let Some(upwards) = &upwards {
                let grads = found.queries[start * width..end * width].par_chunks_mut(size * width);
                groups.par_iter().zip(grads).for_each(|(group, grad)| group.queries_part(&across, upwards, grad));
            }
            if wanted.gallery {
                let factors: Vec<T> = groups.iter().flat_map(|g| g.factor.iter().copied()).collect();
                let queries = Rows::trusted(self.queries.range(start..end), width);
                let queries = upright(queries, |i| factors[i]);
                let each = across.columns.panels.first().map_or(1, |p| p.2.columns) * sizes.panels;
                found.gallery.par_chunks_mut(each * width).enumerate().for_each(|(at, grad)| {
                    gallery_part(&groups, &across, at * sizes.panels, &queries, start > 0, grad, width);
                });
            }
        }
        found
    }

    /// The logits of a wave, those that take no part hidden, with the base of every row.
    fn logits(&self, groups: &mut [Group<T>], across: &Panels<T>, columns: usize) {
        let width = self.queries.width();
        let diagonal = matches!(self.reference, Reference::Diagonal);
        let parts = by_tasks(groups, across, columns, |first, above, entries, panels| {
            let rows = above.len();
            let starts: Vec<usize> = (0..rows).map(|i| (first + i) * width).collect();
            let runs = [Run { start: 0, len: width, step: 1 }];
            let mut part = Part { most: vec![[T::NEG_INFINITY; LANES]; rows], diagonal: Vec::new() };
            let size = across.columns.panels.first().map_or(1, |p| p.2.columns);
            for (p, lines) in panels.zip(entries.chunks_exact_mut(size * rows)) {
                let (from, count, _) = across.columns.panels[p];
                let out_rows: Vec<usize> = (0..rows).map(|i| i * size).collect();
                let left = Left { values: self.queries.as_slice(), rows: &starts, runs: &runs, out_rows: &out_rows };
                multiply(left, across, p..p + 1, 0, |_| 0, lines, false);
                for (i, line) in lines.chunks_exact_mut(size).enumerate() {
                    let row = first + i;
                    if diagonal && (from..from + count).contains(&row) {
                        part.diagonal.push((i, line[row - from]));
                    }
                    self.mask.hide_part(row, from, &mut line[..count]);
                    line[count..].fill(T::NEG_INFINITY);
                }
                largest(lines, size, &mut part.most);
            }
            part
        });
        let one = self.kind == Kind::Log1pSumExp;
        for (group, parts) in groups.iter_mut().zip(parts) {
            for &(i, value) in parts.iter().flat_map(|p| &p.diagonal) {
                group.above[i] = value;
            }
            for (i, base) in group.base.iter_mut().enumerate() {
                let lanes = parts.iter().flat_map(|p| p.most[i]);
                let most = lanes.fold(T::NEG_INFINITY, |most, v| if v > most { v } else { most });
                *base = match self.kind {
                    Kind::SoftplusSum => group.above[i],
                    // The 1 is the entry exp(0).
                    _ if one && most <= group.above[i] => group.above[i],
                    // No entry takes part: all are minus infinity, or no numbers.
                    _ if most == T::NEG_INFINITY => T::ZERO,
                    _ => most,
                };
            }
        }
    }

    /// The logits become weights; results, factors, and what the references get.
    fn weights(
        &self,
        groups: &mut [Group<T>],
        across: &Panels<T>,
        columns: usize,
        found: &mut Found<T>,
        upstream: &(impl Fn(usize) -> f64 + Sync),
    ) {
        let size = across.columns.panels.first().map_or(1, |p| p.2.columns);
        let soft = self.kind == Kind::SoftplusSum;
        let bases: Vec<Vec<T>> = groups.iter().map(|g| g.base.clone()).collect();
        let start = groups.first().map_or(0, |g| g.first);
        let rows = groups.first().map_or(1, |g| g.above.len());
        let parts = by_tasks(groups, across, columns, |first, above, entries, _| {
            let zeros = vec![[0.; LANES]; above.len()];
            let bases = &bases[(first - start) / rows];
            let mut sums = Sums { weights: if soft { zeros.clone() } else { Vec::new() }, terms: zeros };
            for lines in entries.chunks_exact_mut(size * above.len()) {
                match self.kind {
                    Kind::SoftplusSum => softplus(lines, size, bases, &mut sums.terms, &mut sums.weights),
                    _ => exps(lines, size, bases, &mut sums.terms),
                }
            }
            sums
        });
        for (group, parts) in groups.iter_mut().zip(parts) {
            for i in 0..group.above.len() {
                let row = group.first + i;
                let total = |of: fn(&Sums) -> &[[f64; LANES]]| -> f64 {
                    parts.iter().map(|p| of(p)[i].iter().sum::<f64>()).sum()
                };
                let terms = total(|p| &p.terms);
                let (result, share) = self.result(terms, group.base[i], group.above[i]);
                let sum = if soft { total(|p| &p.weights) } else { terms };
                let factor = share * upstream(row);
                found.results[row] = result;
                found.reference[row] = -sum * factor;
                group.factor[i] = T::narrow(factor);
                if matches!(self.reference, Reference::Diagonal) {
                    let at = row / size * size * group.above.len() + i * size + row % size;
                    group.entries[at] = T::narrow(group.entries[at].wide() - sum);
                }
            }
        }
    }

    /// The result of a row whose terms have this sum above their base, and what makes the entries derivatives.
    fn result(&self, sum: f64, base: T, above: T) -> (f64, f64) {
        let shift = base.wide() - above.wide();
        match self.kind {
            Kind::SoftplusSum => (sum, 1.),
            Kind::LogSumExp if sum == 0. => (f64::NEG_INFINITY, 0.),
            Kind::LogSumExp => (shift + sum.ln(), 1. / sum),
            // Below the 1 nothing has to be shifted: keep the digits of a small sum.
            Kind::Log1pSumExp if shift == 0. => (sum.ln_1p(), 1. / (1. + sum)),
            Kind::Log1pSumExp => {
                let all = sum + (-shift).exp();
                (shift + all.ln(), 1. / all)
            }
        }
    }
}

/// Runs `task(first row, reference, entries, panels)` for every group and every range of columns; a list of what they gave
/// for every group.
fn by_tasks<T: Element, R: Send>(
    groups: &mut [Group<T>],
    across: &Panels<T>,
    columns: usize,
    task: impl Fn(usize, &[T], &mut [T], Range<usize>) -> R + Sync,
) -> Vec<Vec<R>> {
    let count = across.columns.panels.len();
    let size = across.columns.panels.first().map_or(1, |p| p.2.columns);
    let each = (columns / size).max(1);
    let tasks: Vec<_> = groups
        .iter_mut()
        .flat_map(|Group { first, above, entries, .. }| {
            let (first, above) = (*first, &above[..]);
            let parts = entries.chunks_mut(each * size * above.len()).enumerate();
            parts.map(move |(at, entries)| (first, above, entries, at * each..count.min((at + 1) * each)))
        })
        .collect();
    let of_group = count.div_ceil(each);
    let mut results = tasks
        .into_par_iter()
        .map(|(first, above, entries, panels)| task(first, above, entries, panels))
        .collect::<Vec<_>>()
        .into_iter();
    groups.iter().map(|_| results.by_ref().take(of_group).collect()).collect()
}

impl<T: Element> Group<'_, T> {
    /// The gradient of the group's queries: its weights times the gallery.
    fn queries_part(&self, across: &Panels<T>, gallery: &Panels<T>, grad: &mut [T]) {
        let (rows, width) = (self.above.len(), grad.len() / self.above.len());
        let size = across.columns.panels.first().map_or(1, |p| p.2.columns);
        let runs: Vec<Run> = across
            .columns
            .panels
            .iter()
            .map(|&(from, count, _)| Run { start: from * rows, len: count, step: 1 })
            .collect();
        let [starts, out_rows] = [size, width].map(|step| (0..rows).map(|i| i * step).collect::<Vec<_>>());
        let left = Left { values: self.entries, rows: &starts, runs: &runs, out_rows: &out_rows };
        let panels = &gallery.columns.panels;
        multiply(left, gallery, 0..panels.len(), 0, |p| panels[p].0, grad, false);
        scale(grad, width, &self.factor);
    }
}

/// The part of the gallery's gradient that comes of a wave, for the columns from panel `first` on: the weights' transpose
/// times the queries, which carry the factors.
#[allow(clippy::too_many_arguments, reason = "a part of a product: its sides, its place and what is kept")]
fn gallery_part<T: Element>(
    groups: &[Group<T>],
    across: &Panels<T>,
    first: usize,
    queries: &Panels<T>,
    add: bool,
    grad: &mut [T],
    width: usize,
) {
    let size = across.columns.panels.first().map_or(1, |p| p.2.columns);
    let out_rows: Vec<usize> = (0..grad.len() / width).map(|i| i * width).collect();
    let panels = &queries.columns.panels;
    let mut from = 0;
    for (at, group) in groups.iter().enumerate() {
        let rows = group.above.len();
        let starts: Vec<usize> = (0..out_rows.len()).map(|c| (first + c / size) * size * rows + c % size).collect();
        let runs = [Run { start: 0, len: rows, step: size }];
        let left = Left { values: &*group.entries, rows: &starts, runs: &runs, out_rows: &out_rows };
        multiply(left, queries, 0..panels.len(), from, |p| panels[p].0, grad, add || at > 0);
        from += rows;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use npair_types::Labels;
    use proptest::prelude::*;

    /// Entry by entry, in f64: results, and the gradients of queries, gallery and reference.
    fn plain(pass: &Pass<f64>, upstream: impl Fn(usize) -> f64) -> [Vec<f64>; 4] {
        let (q, g, d) = (pass.queries, pass.gallery, pass.queries.width());
        let dot = |i: usize, j: usize| q.row(i).iter().zip(g.row(j)).map(|(a, b)| a * b).sum::<f64>();
        let [mut results, mut below] = [vec![0.; q.len()], vec![0.; q.len()]];
        let (mut dq, mut dg) = (vec![0.; q.as_slice().len()], vec![0.; g.as_slice().len()]);
        for i in 0..q.len() {
            let above = match pass.reference {
                Reference::Given(o) => o[i],
                Reference::Diagonal => dot(i, i),
            };
            let entries: Vec<(usize, f64)> =
                (0..g.len()).filter(|&j| pass.mask.contains(i, j)).map(|j| (j, dot(i, j) - above)).collect();
            let exps: f64 = entries.iter().map(|e| e.1.exp()).sum();
            results[i] = match pass.kind {
                Kind::LogSumExp => exps.ln(),
                Kind::Log1pSumExp => exps.ln_1p(),
                Kind::SoftplusSum => entries.iter().map(|e| e.1.exp().ln_1p()).sum(),
            };
            let slope = |z: f64| match pass.kind {
                Kind::LogSumExp => z.exp() / exps,
                Kind::Log1pSumExp => z.exp() / (1. + exps),
                Kind::SoftplusSum => z.exp() / (1. + z.exp()),
            };
            let mut slopes: Vec<(usize, f64)> = entries.iter().map(|&(j, z)| (j, upstream(i) * slope(z))).collect();
            below[i] = -slopes.iter().map(|s| s.1).sum::<f64>();
            if matches!(pass.reference, Reference::Diagonal) {
                slopes.push((i, below[i]));
            }
            for (j, slope) in slopes {
                for c in 0..d {
                    dq[i * d + c] += slope * g.row(j)[c];
                    dg[j * d + c] += slope * q.row(i)[c];
                }
            }
        }
        [results, dq, dg, below]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn however_the_matrix_is_cut_it_equals_the_plain_sums(
            (n, d, group, wave, columns, panels) in (1usize..90, 1usize..40, 1usize..50, 1usize..5, 1usize..200, 1usize..4),
            seed in 0u64..1000,
        ) {
            let number = |i: usize| ((i as u64 * 7919 + seed * 104_729) % 10_007) as f64 / 10_007. - 0.5;
            let values = |from: usize| (from..from + n * d).map(number).collect::<Vec<f64>>();
            let (q, g, o) = (values(0), values(50_000), (0..n).map(number).collect::<Vec<f64>>());
            let labels = Labels::new((0..n).map(|i| (i % 3) as u32)).unwrap();
            for kind in [Kind::LogSumExp, Kind::Log1pSumExp, Kind::SoftplusSum] {
                for mask in [Mask::All, Mask::OffDiagonal, Mask::positives(&labels), Mask::other_class(&labels, &labels)] {
                    for reference in [Reference::Given(&o[..]), Reference::Diagonal] {
                        let (queries, gallery) = (Rows::trusted(&q, d), Rows::trusted(&g, d));
                        let pass = Pass { kind, mask: &mask, queries, gallery, reference };
                        let wanted = Wanted { queries: true, gallery: true };
                        let upstream = |i: usize| 1. + i as f64 / 8.;
                        let found = pass.run_in(|_, _| Sizes { group, wave, columns, panels }, wanted, upstream);
                        let want = plain(&pass, upstream);
                        for (got, want) in [found.results, found.queries, found.gallery, found.reference].iter().zip(&want) {
                            for (got, want) in got.iter().zip(want) {
                                // Sums of up to a hundred terms of at most a hundred, each rounded once.
                                let fine = got == want || (got - want).abs() <= 1e-11 * want.abs().max(1.);
                                prop_assert!(fine, "{kind:?} {mask:?} {reference:?}: {got} {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
