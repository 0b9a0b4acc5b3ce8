use crate::product::{Left, multiply, transposed, upright};
use crate::{Element, Rows, UnitRows};
use npair_simd::Run;
use rayon::prelude::*;

/// Rows of one task: a multiple of the rows of every register tile. Fixed, so that no bit depends on the number of threads.
const BLOCK: usize = 84;
/// Side of the squares in which a matrix is added to its transpose: two of them stay in the innermost cache.
const SQUARE: usize = 32;
/// Below this squared distance two rows of length 1 are compared entry by entry: `2 - 2c` has lost its digits there.
const NEAR: f64 = 1. / 64.;

/// The cosines of a batch with itself, and with further rows if there are any, kept whole: for losses that need every entry
/// more than once. The losses work out their slopes by the entries; [`gradient`](Self::gradient) leads these back to the
/// rows of the batch, for which the further ones are constants.
///
/// # Shapes
/// Rows (G, D), of which the first B are the batch; the matrix is (B, G), one copy of it in memory. G = B if the batch meets
/// nothing but itself.
///
/// # Numerics
/// Products are summed in `T`; a zero row is at cosine 0 from all.
///
/// # Examples
/// ```
/// # use npair_similarity::{Cosines, Rows};
/// let mut cosines = Cosines::new(Rows::new(&[2f64, 0., 0., 3.], 2)?);
/// assert_eq!(cosines.line(0), [1., 0.]);
/// // The slope of the entry (0, 1) alone: row 0 moves along row 1 by 1/2 of it, row 1 along row 0 by 1/3.
/// cosines.turn(|i, _entries, slopes| slopes.copy_from_slice(&[[0., 1.], [0., 0.]][i]));
/// let gradient = cosines.gradient(1.);
/// assert!(gradient.iter().zip([0., 0.5, 1. / 3., 0.]).all(|(got, want)| (got - want as f64).abs() < 1e-15));
/// # Ok::<(), npair_similarity::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cosines<T> {
    unit: UnitRows<T>,
    batch: usize,
    values: Vec<T>,
}

impl<T: Element> Cosines<T> {
    /// Of rows with themselves, normalised here.
    pub fn new(rows: Rows<T>) -> Self {
        Self::of_first(rows.len(), rows)
    }

    /// Of the first `batch` rows (of all, if there are fewer) with all rows, normalised here.
    pub fn of_first(batch: usize, rows: Rows<T>) -> Self {
        let unit = UnitRows::new(rows);
        let (g, d) = (rows.len(), rows.width());
        let batch = batch.min(g);
        let mut values = vec![T::ZERO; batch * g];
        let all = transposed(unit.rows());
        let panels = &all.columns.panels;
        values.par_chunks_mut((BLOCK * g).max(1)).enumerate().for_each(|(block, out)| {
            let rows = out.len() / g;
            let starts: Vec<usize> = (0..rows).map(|i| (block * BLOCK + i) * d).collect();
            let out_rows: Vec<usize> = (0..rows).map(|i| i * g).collect();
            let runs = [Run { start: 0, len: d, step: 1 }];
            let left = Left { values: unit.rows().as_slice(), rows: &starts, runs: &runs, out_rows: &out_rows };
            multiply(left, &all, 0..panels.len(), 0, |p| panels[p].0, out, false);
        });
        Self { unit, batch, values }
    }

    /// Rows of the batch (B).
    pub fn len(&self) -> usize {
        self.batch
    }

    /// All rows (G), at least 1 so that lines can be cut.
    fn columns(&self) -> usize {
        self.unit.rows().len().max(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All rows at length 1.
    pub fn unit(&self) -> &UnitRows<T> {
        &self.unit
    }

    /// Row `i` of the matrix.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as for slices.
    pub fn line(&self, i: usize) -> &[T] {
        let g = self.columns();
        &self.values[i * g..(i + 1) * g]
    }

    /// What `f` makes of every row of the matrix; rows run in parallel and come back in order.
    pub fn map<R: Send>(&self, f: impl Fn(usize, &[T]) -> R + Sync) -> Vec<R> {
        let lines = self.values.par_chunks_exact(self.columns()).with_min_len(8).enumerate();
        lines.map(|(i, line)| f(i, line)).collect()
    }

    /// Every cosine becomes what `f` says; `f` is given the row and the row's entries.
    pub fn replace(&mut self, f: impl Fn(usize, &mut [T]) + Sync) {
        let g = self.columns();
        self.values.par_chunks_exact_mut(g).with_min_len(8).enumerate().for_each(|(i, line)| f(i, line));
    }

    /// Squared distances of the rows at length 1 in the place of the cosines.
    ///
    /// # Numerics
    /// `2 - 2c`, and from the differences of the rows where they are near: no cancellation.
    pub fn to_squared_distances(&mut self) {
        let (g, rows) = (self.columns(), self.unit.rows());
        self.values.par_chunks_exact_mut(g).with_min_len(8).enumerate().for_each(|(i, line)| {
            squared_distances(rows, i, line);
        });
    }

    /// The entries become slopes: `f` is given a row, its entries and as many zeros to write its slopes to. What it returns
    /// comes back in the order of the rows.
    pub fn turn<R: Send>(&mut self, f: impl Fn(usize, &[T], &mut [T]) -> R + Sync) -> Vec<R> {
        let g = self.columns();
        let lines = self.values.par_chunks_exact_mut(g).with_min_len(8).enumerate();
        lines
            .map_init(
                || vec![T::ZERO; g],
                |entries, (i, line)| {
                    entries.copy_from_slice(line);
                    line.fill(T::ZERO);
                    f(i, entries, line)
                },
            )
            .collect()
    }

    /// The gradient by the rows of the batch, as they came, of whatever has `factor` times the entries as its slopes by the
    /// cosines. Inside the batch entries (i, j) and (j, i) are one cosine: their slopes are added.
    ///
    /// # Numerics
    /// Sums in `T`, in an order that the number of rows alone decides.
    pub fn gradient(&self, factor: f64) -> Vec<T> {
        let (g, rows) = (self.columns(), self.unit.rows());
        let d = rows.width();
        let mut grad = vec![T::ZERO; self.batch * d];
        let all = upright(rows, |_| T::ONE);
        let panels = &all.columns.panels;
        grad.par_chunks_mut(BLOCK * d).enumerate().for_each_init(
            || vec![T::ZERO; BLOCK * g],
            |both, (block, grad)| {
                let (first, n) = (block * BLOCK, grad.len() / d);
                let both = &mut both[..n * g];
                self.both_ways(first, T::narrow(factor), both);
                let [starts, out_rows] = [g, d].map(|step| (0..n).map(|i| i * step).collect::<Vec<_>>());
                let runs = [Run { start: 0, len: g, step: 1 }];
                let left = Left { values: both, rows: &starts, runs: &runs, out_rows: &out_rows };
                multiply(left, &all, 0..panels.len(), 0, |p| panels[p].0, grad, false);
                grad.chunks_exact_mut(d).enumerate().for_each(|(i, grad)| self.unit.back_row(first + i, grad));
            },
        );
        grad
    }

    /// Rows from `first` on of the matrix plus, inside the batch, its transpose, times a factor.
    fn both_ways(&self, first: usize, factor: T, out: &mut [T]) {
        let g = self.columns();
        let n = out.len() / g;
        for rows in (0..n).step_by(SQUARE) {
            for columns in (0..g).step_by(SQUARE) {
                let (rows, columns) = (rows..(rows + SQUARE).min(n), columns..(columns + SQUARE).min(g));
                let mut square = [[T::ZERO; SQUARE]; SQUARE];
                for (j, across) in (columns.start..columns.end.min(self.batch)).zip(&mut square) {
                    let line = &self.values[j * g + first..][rows.clone()];
                    across[..line.len()].copy_from_slice(line);
                }
                for i in rows.clone() {
                    let line = &self.values[(first + i) * g..][columns.clone()];
                    let out = &mut out[i * g..][columns.clone()];
                    for ((out, &v), across) in out.iter_mut().zip(line).zip(&square) {
                        *out = (v + across[i - rows.start]) * factor;
                    }
                }
            }
        }
    }
}

/// Row `i` of the cosines of rows of length 1 becomes one of squared distances.
fn squared_distances<T: Element>(rows: Rows<T>, i: usize, line: &mut [T]) {
    let (two, near) = (T::ONE + T::ONE, T::narrow(NEAR));
    let mut some_near = 0usize;
    for v in line.iter_mut() {
        *v = two - two * *v;
        some_near += usize::from(*v < near);
    }
    // A row itself is near, unless it is zero.
    if some_near > 1 {
        for (j, v) in line.iter_mut().enumerate().filter(|(_, v)| **v < near) {
            *v = between(rows.row(i), rows.row(j));
        }
    }
    line[i] = T::ZERO;
}

/// The squared distance of two rows from their differences, side by side sums.
fn between<T: Element>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 16;
    let mut lanes = [T::ZERO; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder());
    let rest = rest.fold(T::ZERO, |sum, (&p, &q)| sum + (p - q) * (p - q));
    for (a, b) in a.zip(b) {
        for (lane, (&p, &q)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += (p - q) * (p - q);
        }
    }
    lanes.iter().fold(rest, |sum, &lane| sum + lane)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device, Tensor};
    use npair_testkit::{gradient, inputs, threads};

    /// A slope that is another for every entry.
    fn slope(i: usize, j: usize) -> f64 {
        ((i * 7 + j * 3) % 11) as f64 - 4.
    }

    #[test]
    fn the_gradient_is_that_of_the_weighted_sum_of_cosines() {
        // Sizes that fill neither blocks nor squares, and just fill them; then with further rows.
        let alone = [1, 2, 33, 100, 128, 129, 150].map(|b| (b, 0));
        for (b, more) in alone.into_iter().chain([(1, 1), (2, 5), (40, 70), (130, 64)]) {
            let x = inputs::normal(b as u64, 1., (b, 3), DType::F64).unwrap();
            let further = inputs::normal(99, 1., (more, 3), DType::F64).unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let values = [flat(&x), flat(&further)].concat();
            let mut cosines = Cosines::of_first(b, Rows::new(&values, 3).unwrap());
            assert_eq!((cosines.len(), cosines.line(0).len()), (b, b + more));
            let weighted: Vec<f64> = cosines.turn(|i, entries, slopes| {
                slopes.iter_mut().enumerate().for_each(|(j, s)| *s = slope(i, j));
                entries.iter().zip(slopes).map(|(c, s)| *c * *s).sum()
            });
            let grad = cosines.gradient(0.5);
            // The same by candle's operations.
            let weights: Vec<f64> = (0..b).flat_map(|i| (0..b + more).map(move |j| slope(i, j))).collect();
            let weights = Tensor::from_vec(weights, (b, b + more), &Device::Cpu).unwrap();
            let var = candle_core::Var::from_tensor(&x).unwrap();
            let run = |t: &Tensor| {
                let all = if more == 0 { t.clone() } else { Tensor::cat(&[t, &further], 0)? };
                let matrix = crate::Similarity::new(t, &all, npair_types::Measure::Cosine).unwrap().dense().unwrap();
                ((matrix * &weights)?.sum_all()? * 0.5)?.reshape(())
            };
            let value = run(&var).unwrap();
            let want = value.backward().unwrap().get(&var).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let scale = want.iter().fold(1f64, |m, w| m.max(w.abs()));
            // Sums of at most 194 products of order 5.
            assert!(grad.iter().zip(&want).all(|(g, w)| (g - w).abs() <= 1e-13 * scale), "{b}");
            assert!((weighted.iter().sum::<f64>() * 0.5 - value.to_scalar::<f64>().unwrap()).abs() <= 1e-11, "{b}");
            if b == 2 && more == 0 {
                gradient::check(&[x], |t| run(&t[0])).unwrap();
            }
        }
    }

    #[test]
    fn near_rows_keep_the_digits_of_their_distance() {
        // 1e-4 apart in angle: of 2 - 2c an f32 has nothing left.
        let rows = [1f32, 0., 1e-4f32.cos(), 1e-4f32.sin(), 0., 0., 1., 0.];
        let mut cosines = Cosines::new(Rows::new(&rows, 2).unwrap());
        cosines.to_squared_distances();
        assert!((f64::from(cosines.line(0)[1]) - 1e-8).abs() <= 1e-13);
        assert_eq!(cosines.line(0), [0., cosines.line(1)[0], 2., 0.]);
        // A zero row is at cosine 0 from all others.
        assert_eq!(cosines.line(2), [2., 2., 0., 2.]);
    }

    #[test]
    fn the_same_bits_with_any_number_of_threads() {
        let x = inputs::normal(5, 1., (150, 17), DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let all = threads::with_threads(&[1, 2, 5], || {
            let mut cosines = Cosines::new(Rows::new(&x, 17).unwrap());
            cosines.to_squared_distances();
            cosines.turn(|_, entries, slopes| slopes.copy_from_slice(entries));
            cosines.gradient(0.3).into_iter().map(f32::to_bits).collect::<Vec<_>>()
        });
        assert!(all[0] == all[1] && all[0] == all[2]);
    }
}
