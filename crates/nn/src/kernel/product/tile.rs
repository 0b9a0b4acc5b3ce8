use crate::kernel::Element;
#[cfg(target_arch = "x86_64")]
use crate::kernel::simd::{Avx2, Avx512};
use crate::kernel::simd::{Level, Plain, Vector};

/// Steps of the sum: `start`, `start + step`, ..., `len` of them, as offsets from a row's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub start: usize,
    pub len: usize,
    pub step: usize,
}

/// Number of steps of all runs.
fn steps(runs: &[Run]) -> usize {
    runs.iter().map(|r| r.len).sum()
}

/// What is done with the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Epilogue<'a, T> {
    /// They replace what was there.
    Store,
    /// They are added to what was there.
    Add,
    /// A bias per column is added, then perhaps a ReLU; the slice has as many values as the panel has columns, the
    /// unused ones too.
    Affine { bias: &'a [T], relu: bool },
}

/// Operands of a tile:
///
/// ```text
/// out[out_rows[j] + n] = sum over steps s of x[rows[j] + offset(s)] y[s y_step + n]
/// ```
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile<'a, T> {
    pub x: &'a [T],
    /// At most [`Kernel::rows`] rows.
    pub rows: &'a [usize],
    pub runs: &'a [Run],
    pub y: &'a [T],
    pub y_step: usize,
    /// As many as rows.
    pub out_rows: &'a [usize],
    /// Columns that are written.
    pub columns: usize,
    pub epilogue: Epilogue<'a, T>,
}

type Compute<T> = unsafe fn(&Tile<T>, *mut T, usize);

/// The tile's code for one width of panel on this machine.
#[derive(Clone, Copy)]
pub(crate) struct Kernel<T> {
    compute: Compute<T>,
    /// Rows that it makes at once.
    pub rows: usize,
    /// Columns that it makes at once.
    pub columns: usize,
}

impl<T: Element> Kernel<T> {
    /// The code for panels of `vectors` registers.
    pub(super) fn of(level: Level, vectors: usize) -> Self {
        T::kernel(level, vectors)
    }

    /// Computes a tile into `out`.
    ///
    /// # Panics
    /// If an operand leaves its slice: an error of this crate, not of its user.
    #[inline]
    pub(crate) fn run(&self, tile: &Tile<T>, out: &mut [T]) {
        debug_assert!(self.holds(tile, out.len()));
        let count = tile.rows.len();
        assert!(count > 0 && count <= self.rows && count == tile.out_rows.len() && tile.columns <= self.columns);
        // SAFETY: the rows and runs of this crate stay in their slices (checked in debug builds, which the tests are).
        unsafe { (self.compute)(tile, out.as_mut_ptr(), out.len()) }
    }

    /// The same for an `out` that other tasks write other places of.
    ///
    /// # Safety
    /// `out` is valid for writes at all columns of all `out_rows`, and nobody else touches those.
    #[inline]
    pub(crate) unsafe fn run_at(&self, tile: &Tile<T>, out: *mut T, len: usize) {
        debug_assert!(self.holds(tile, len));
        let count = tile.rows.len();
        assert!(count > 0 && count <= self.rows && count == tile.out_rows.len() && tile.columns <= self.columns);
        // SAFETY: as above, and the caller vouches for `out`.
        unsafe { (self.compute)(tile, out, len) }
    }

    fn holds(&self, tile: &Tile<T>, out: usize) -> bool {
        let last = |r: &Run| r.start + (r.len.max(1) - 1) * r.step;
        let reach = tile.runs.iter().map(last).max().unwrap_or(0);
        let steps = steps(tile.runs);
        let bias = match tile.epilogue {
            Epilogue::Affine { bias, .. } => bias.len() >= self.columns,
            _ => true,
        };
        bias && tile.rows.iter().all(|r| r + reach < tile.x.len())
            && (steps == 0 || (steps - 1) * tile.y_step + self.columns <= tile.y.len())
            && tile.out_rows.iter().all(|r| r + tile.columns <= out)
    }
}

/// # Safety
/// The instructions of `V`; the places that [`Kernel::holds`] checks.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(t: &Tile<V::Value>, out: *mut V::Value) {
    // SAFETY: all pointers below stay within the places that the caller vouches for; missing rows repeat the last one.
    unsafe {
        let zero = V::splat(V::Value::ZERO);
        let mut sums = [[zero; N]; M];
        let last = t.rows.len() - 1;
        let x: [*const V::Value; M] = std::array::from_fn(|j| t.x.as_ptr().add(t.rows[j.min(last)]));
        let mut y = t.y.as_ptr();
        let mut runs = t.runs.iter().filter(|r| r.len > 0);
        if let Some(&(mut run)) = runs.next() {
            // One loop over all runs' steps: with a loop inside a loop the compiler keeps sums on the stack.
            loop {
                let mut columns = [zero; N];
                for n in 0..N {
                    columns[n] = V::load(y.add(n * V::LANES));
                }
                for j in 0..M {
                    let value = V::splat(*x[j].add(run.start));
                    for n in 0..N {
                        sums[j][n] = sums[j][n].add_product(value, columns[n]);
                    }
                }
                run.start += run.step;
                y = y.add(t.y_step);
                run.len -= 1;
                if run.len == 0 {
                    match runs.next() {
                        Some(&next) => run = next,
                        None => break,
                    }
                }
            }
        }
        if let Epilogue::Affine { bias, relu } = t.epilogue {
            for n in 0..N {
                let bias = V::load(bias.as_ptr().add(n * V::LANES));
                for row in &mut sums {
                    row[n] = row[n].add(bias);
                    if relu {
                        row[n] = row[n].positive();
                    }
                }
            }
        }
        let add = matches!(t.epilogue, Epilogue::Add);
        for j in 0..M {
            if j > last {
                break;
            }
            let to = out.add(t.out_rows[j]);
            for n in 0..N {
                let (from, lanes) = (n * V::LANES, V::LANES);
                if from + lanes <= t.columns {
                    let to = to.add(from);
                    let sum = if add { V::load(to).add(sums[j][n]) } else { sums[j][n] };
                    sum.store(to);
                } else if from < t.columns {
                    let mut rest = [V::Value::ZERO; 16];
                    sums[j][n].store(rest.as_mut_ptr());
                    for (c, &value) in rest[..t.columns - from].iter().enumerate() {
                        let to = to.add(from + c);
                        *to = if add { *to + value } else { value };
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn tile_avx512<const M: usize, const N: usize>(t: &Tile<f32>, out: *mut f32, _: usize) {
    // SAFETY: the caller's promises.
    unsafe { tile::<Avx512, M, N>(t, out) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2<const M: usize, const N: usize>(t: &Tile<f32>, out: *mut f32, _: usize) {
    // SAFETY: the caller's promises.
    unsafe { tile::<Avx2, M, N>(t, out) }
}

unsafe fn tile_plain<T: Element, const M: usize, const N: usize>(t: &Tile<T>, out: *mut T, _: usize) {
    // SAFETY: the caller's promises.
    unsafe { tile::<Plain<T>, M, N>(t, out) }
}

/// Registers that a panel is at most wide.
pub(crate) fn widest(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 4,
        _ => 2,
    }
}

/// Code in plain Rust.
pub(crate) fn plain<T: Element>(vectors: usize) -> Kernel<T> {
    match vectors {
        1 => Kernel { compute: tile_plain::<T, 6, 1>, rows: 6, columns: 4 },
        _ => Kernel { compute: tile_plain::<T, 4, 2>, rows: 4, columns: 8 },
    }
}

/// Code for f32 with the machine's instructions: as many sums as there are registers.
pub(crate) fn single(level: Level, vectors: usize) -> Kernel<f32> {
    match (level, vectors) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, 1) => Kernel { compute: tile_avx512::<14, 1>, rows: 14, columns: 16 },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, 2) => Kernel { compute: tile_avx512::<12, 2>, rows: 12, columns: 32 },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, 3) => Kernel { compute: tile_avx512::<8, 3>, rows: 8, columns: 48 },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, _) => Kernel { compute: tile_avx512::<6, 4>, rows: 6, columns: 64 },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, 1) => Kernel { compute: tile_avx2::<10, 1>, rows: 10, columns: 8 },
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, _) => Kernel { compute: tile_avx2::<6, 2>, rows: 6, columns: 16 },
        (Level::Baseline, vectors) => plain(vectors),
    }
}
