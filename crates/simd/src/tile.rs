#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx2Double, Avx512, Avx512Double, Avx512Pairs, Avx512Quads};
#[cfg(target_arch = "aarch64")]
use crate::vector::{Neon, NeonDouble};
use crate::vector::{Plain, PlainPairs, PlainQuads, Vector};
use crate::{Element, Level};

/// Steps of the sum: `start`, `start + step`, ..., `len` of them, as offsets from a row's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first offset.
    pub start: usize,
    /// Number of steps.
    pub len: usize,
    /// From one offset to the next.
    pub step: usize,
}

/// The runs cut into blocks of at most `most` steps, all of nearly the same number.
pub fn blocks(runs: &[Run], most: usize) -> Vec<Vec<Run>> {
    let total = steps(runs);
    let count = total.div_ceil(most).max(1);
    let mut blocks = vec![Vec::new(); count];
    let mut at = 0;
    for &(mut run) in runs {
        while run.len > 0 {
            let block = (0..count).find(|b| at < (b + 1) * total / count).unwrap_or(count - 1);
            let take = run.len.min((block + 1) * total / count - at);
            blocks[block].push(Run { len: take, ..run });
            run.start += take * run.step;
            run.len -= take;
            at += take;
        }
    }
    blocks
}

/// Number of steps of all runs.
pub fn steps(runs: &[Run]) -> usize {
    runs.iter().map(|r| r.len).sum()
}

/// What is done with the sums.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a, T> {
    /// Whether they are added to what was there or replace it.
    pub add: bool,
    /// A bias per column is added then; as many values as the panel has columns, the unused ones too.
    pub bias: Option<&'a [T]>,
    /// What is added then, at the places of the result.
    pub plus: Option<&'a [T]>,
    /// A ReLU comes last.
    pub relu: bool,
}

impl<T> Epilogue<'_, T> {
    /// They replace what was there.
    pub const STORE: Self = Self { add: false, bias: None, plus: None, relu: false };
    /// They are added to what was there.
    pub const ADD: Self = Self { add: true, ..Self::STORE };
}

/// Operands of a tile:
///
/// ```text
/// out[out_rows[j] + n] = sum over steps s of x[rows[j] + offset(s)] y[s y_step + n]
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Tile<'a, T> {
    /// Where the left factor lies.
    pub x: &'a [T],
    /// At most [`Kernel::rows`] rows.
    pub rows: &'a [usize],
    /// The steps of the sum.
    pub runs: &'a [Run],
    /// A panel of the right factor, from its first step on.
    pub y: &'a [T],
    /// Values from one step of the panel to the next.
    pub y_step: usize,
    /// Rows that come next, if they have not been read lately.
    pub ahead: &'a [usize],
    /// As many as rows.
    pub out_rows: &'a [usize],
    /// Columns that are written.
    pub columns: usize,
    /// What is done with the sums.
    pub epilogue: Epilogue<'a, T>,
}

type Compute<T> = unsafe fn(&Tile<T>, *mut T);

/// The tile's code for one width of panel on this machine.
#[derive(Clone, Copy)]
pub struct Kernel<T> {
    compute: Compute<T>,
    /// The sums alone, side by side.
    sums: Compute<T>,
    /// Rows that it makes at once.
    pub rows: usize,
    /// Columns that it makes at once.
    pub columns: usize,
}

impl<T: Element> Kernel<T> {
    /// This machine's code for panels of `vectors` registers.
    pub(super) fn of(vectors: usize) -> Self {
        // SAFETY: the machine has the level that was found.
        unsafe { T::kernel(Level::detect(), vectors) }
    }

    /// Computes a tile into `out`.
    ///
    /// # Panics
    /// If an operand leaves its slice.
    #[inline]
    pub fn run(&self, tile: &Tile<T>, out: &mut [T]) {
        assert!(self.holds(tile, out.len()), "a tile leaves its slices");
        let count = tile.rows.len();
        assert!(count > 0 && count <= self.rows && count == tile.out_rows.len() && tile.columns <= self.columns);
        // SAFETY: every place that is read or written lies in its slice (asserted above).
        unsafe { (self.compute)(tile, out.as_mut_ptr()) }
    }

    /// The same for an `out` that other tasks write other places of.
    ///
    /// # Safety
    /// `out` is valid for writes at all columns of all `out_rows`, of which `len` values are known to be valid; nobody else
    /// touches those; and no other operand leaves its slice (checked in debug builds).
    #[inline]
    pub unsafe fn run_at(&self, tile: &Tile<T>, out: *mut T, len: usize) {
        debug_assert!(self.holds(tile, len));
        let count = tile.rows.len();
        assert!(count > 0 && count <= self.rows && count == tile.out_rows.len() && tile.columns <= self.columns);
        // SAFETY: as above, and the caller vouches for `out`.
        unsafe { (self.compute)(tile, out) }
    }

    /// The sums of a tile, (row, column) of all [`Kernel::rows`] rows and [`Kernel::columns`] columns; the last row stands for those
    /// that the tile lacks. Its epilogue and the places of its results are not looked at.
    ///
    /// # Safety
    /// No operand leaves its slice (checked in debug builds).
    ///
    /// # Panics
    /// If `to` has no room for them.
    #[inline]
    pub unsafe fn sums_at(&self, tile: &Tile<T>, to: &mut [T]) {
        let rows = tile.rows.len();
        assert!(rows > 0 && rows <= self.rows && to.len() >= self.rows * self.columns, "sums have no room");
        debug_assert!(self.holds(&Tile { epilogue: Epilogue::STORE, out_rows: &[], ..*tile }, 0));
        // SAFETY: as the caller vouches, and there is room (asserted above).
        unsafe { (self.sums)(tile, to.as_mut_ptr()) }
    }

    fn holds(&self, tile: &Tile<T>, out: usize) -> bool {
        let last = |r: &Run| r.start + (r.len.max(1) - 1) * r.step;
        let reach = tile.runs.iter().map(last).max().unwrap_or(0);
        let steps = steps(tile.runs);
        let bias = tile.epilogue.bias.is_none_or(|bias| bias.len() >= self.columns);
        let plus = tile.epilogue.plus.is_none_or(|plus| plus.len() >= out);
        bias && plus
            && tile.rows.iter().all(|r| r + reach < tile.x.len())
            && (steps == 0 || (steps - 1) * tile.y_step + self.columns <= tile.y.len())
            && tile.out_rows.iter().all(|r| r + tile.columns <= out)
    }
}

/// Sums of a tile at most: rows times columns.
const MOST: usize = 512;

/// The sums of a tile, row by row of `N` registers, to `sums`. Nothing but the loop, so that the compiler keeps every
/// sum in a register: with anything else in the function it has been seen to keep them on the stack, at half the speed.
///
/// # Safety
/// The instructions of `V`; the places that [`Kernel::holds`] checks; `M N` registers' room in `sums`.
#[inline(always)]
unsafe fn multiply<V: Vector, const M: usize, const N: usize>(t: &Tile<V::Value>, to: *mut V::Value) {
    // SAFETY: all pointers below stay within the places that the caller vouches for; missing rows repeat the last one.
    unsafe {
        let zero = V::splat(V::Value::ZERO);
        let mut sums = [[zero; N]; M];
        let last = t.rows.len() - 1;
        let x: [*const V::Value; M] = std::array::from_fn(|j| t.x.as_ptr().add(t.rows[j.min(last)]));
        let mut y = t.y.as_ptr();
        let mut runs = t.runs.iter().filter(|r| r.len > 0);
        if let Some(&(mut run)) = runs.next() {
            // One loop over all runs' steps, for the same reason.
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
        for j in 0..M {
            for n in 0..N {
                sums[j][n].store(to.add((j * N + n) * V::LANES));
            }
        }
    }
}

/// Takes the sums of whole registers to their places, line by line.
///
/// # Safety
/// Those of [`finish`], and all columns of a row are in use.
#[inline(always)]
unsafe fn finish_whole<V: Vector, const N: usize>(t: &Tile<V::Value>, sums: *const V::Value, out: *mut V::Value) {
    // SAFETY: as there.
    unsafe {
        let Epilogue { add, bias, plus, relu } = t.epilogue;
        let mut shift = [V::splat(V::Value::ZERO); N];
        if let Some(bias) = bias {
            for n in 0..N {
                shift[n] = V::load(bias.as_ptr().add(n * V::LANES));
            }
        }
        let mut sum = sums;
        for &row in t.out_rows {
            for n in 0..N {
                let (to, mut value) = (out.add(row + n * V::LANES), V::load(sum.add(n * V::LANES)));
                if bias.is_some() {
                    value = value.add(shift[n]);
                }
                if add {
                    value = V::load(to).add(value);
                }
                if let Some(plus) = plus {
                    value = V::load(plus.as_ptr().add(row + n * V::LANES)).add(value);
                }
                if relu {
                    value = value.positive();
                }
                value.store(to);
            }
            sum = sum.add(N * V::LANES);
        }
    }
}

/// Takes the sums to their places.
///
/// # Safety
/// The instructions of `V`; the places that [`Kernel::holds`] checks; `M N` registers in `sums`.
#[inline(always)]
unsafe fn finish<V: Vector, const N: usize>(t: &Tile<V::Value>, sums: *const V::Value, out: *mut V::Value) {
    // SAFETY: as above.
    unsafe {
        if t.columns == N * V::LANES {
            return finish_whole::<V, N>(t, sums, out);
        }
        let Epilogue { add, bias, plus, relu } = t.epilogue;
        for n in 0..N {
            let from = n * V::LANES;
            let shift = match bias {
                Some(bias) => V::load(bias.as_ptr().add(from)),
                None => V::splat(V::Value::ZERO),
            };
            let mut sum = sums.add(from);
            for &row in t.out_rows {
                let (to, mut value) = (out.add(row + from), V::load(sum).add(shift));
                sum = sum.add(N * V::LANES);
                if from + V::LANES <= t.columns {
                    if add {
                        value = V::load(to).add(value);
                    }
                    if let Some(plus) = plus {
                        value = V::load(plus.as_ptr().add(row + from)).add(value);
                    }
                    if relu {
                        value = value.positive();
                    }
                    value.store(to);
                } else if from < t.columns {
                    // The last columns do not fill a register.
                    let (mut rest, count) = ([V::Value::ZERO; 16], t.columns - from);
                    if add {
                        std::ptr::copy_nonoverlapping(to, rest.as_mut_ptr(), count);
                        value = V::load(rest.as_ptr()).add(value);
                    }
                    if let Some(plus) = plus {
                        std::ptr::copy_nonoverlapping(plus.as_ptr().add(row + from), rest.as_mut_ptr(), count);
                        value = V::load(rest.as_ptr()).add(value);
                    }
                    if relu {
                        value = value.positive();
                    }
                    value.store(rest.as_mut_ptr());
                    std::ptr::copy_nonoverlapping(rest.as_ptr(), to, count);
                }
            }
        }
    }
}

/// Asks for the lines that the tile will write and the next one will read, which the machine does not guess: the
/// products take longer than memory does.
#[inline(always)]
fn fetch_ahead<T>(t: &Tile<T>, out: *mut T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        let line = 64 / size_of::<T>();
        // What sums are added to was written a moment ago.
        let new = if t.epilogue.add { &[] } else { t.out_rows };
        for row in new {
            for n in (0..t.columns).step_by(line) {
                // SAFETY: a prefetch of any address is harmless; this one is written soon.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(out.wrapping_add(row + n).cast()) };
            }
        }
        let fetch = |at: usize| {
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(t.x.as_ptr().wrapping_add(at).cast()) };
        };
        for run in t.runs {
            if run.step == 1 {
                for row in t.ahead {
                    (0..run.len).step_by(line).for_each(|n| fetch(row + run.start + n));
                }
            } else if let Some(row) = t.ahead.last() {
                // Rows that lie side by side: the last one's line has them all, or is the one that is new.
                (0..run.len).for_each(|s| fetch(row + run.start + s * run.step));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (t, out);
}

/// The two halves for one kind of register.
macro_rules! code {
    ($kernel:ident, $multiply:ident, $finish:ident, $tile:ident, $vector:ty, $value:ty, [$($generic:ident)?],
     $(#[$feature:meta])*) => {
        $(#[$feature])*
        #[inline(never)]
        unsafe fn $multiply<$($generic: Element,)? const M: usize, const N: usize>(t: &Tile<$value>, to: *mut $value) {
            // SAFETY: the caller's promises.
            unsafe { multiply::<$vector, M, N>(t, to) }
        }

        $(#[$feature])*
        #[inline(never)]
        unsafe fn $finish<$($generic: Element,)? const N: usize>(t: &Tile<$value>, sums: *const $value, out: *mut $value) {
            // SAFETY: the caller's promises.
            unsafe { finish::<$vector, N>(t, sums, out) }
        }

        unsafe fn $tile<$($generic: Element,)? const M: usize, const N: usize>(t: &Tile<$value>, out: *mut $value) {
            let mut sums = Sums([const { std::mem::MaybeUninit::<$value>::uninit() }; MOST]);
            let sums = sums.0.as_mut_ptr().cast::<$value>();
            fetch_ahead(t, out);
            // SAFETY: the caller's promises; M N registers are at most `MOST` values, all written by the first half.
            unsafe {
                $multiply::<$($generic,)? M, N>(t, sums);
                $finish::<$($generic,)? N>(t, sums, out);
            }
        }

        fn $kernel<$($generic: Element,)? const M: usize, const N: usize>() -> Kernel<$value> {
            let (compute, sums) = ($tile::<$($generic,)? M, N>, $multiply::<$($generic,)? M, N>);
            Kernel { compute, sums, rows: M, columns: N * <$vector as Vector>::LANES }
        }
    };
}

/// Values at the border of a cache line.
#[repr(align(64))]
struct Sums<T>([std::mem::MaybeUninit<T>; MOST]);

#[cfg(target_arch = "x86_64")]
code!(kernel_avx512, multiply_avx512, finish_avx512, tile_avx512, Avx512, f32, [],
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(kernel_pairs, multiply_pairs, finish_pairs, tile_pairs, Avx512Pairs, f32, [],
    #[target_feature(enable = "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(kernel_quads, multiply_quads, finish_quads, tile_quads, Avx512Quads, f32, [],
    #[target_feature(enable = "avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(kernel_avx2, multiply_avx2, finish_avx2, tile_avx2, Avx2, f32, [], #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(kernel_avx512_double, multiply_avx512_double, finish_avx512_double, tile_avx512_double, Avx512Double, f64, [],
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(kernel_avx2_double, multiply_avx2_double, finish_avx2_double, tile_avx2_double, Avx2Double, f64, [],
    #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
code!(kernel_neon, multiply_neon, finish_neon, tile_neon, Neon, f32, [], #[target_feature(enable = "neon")]);
#[cfg(target_arch = "aarch64")]
code!(kernel_neon_double, multiply_neon_double, finish_neon_double, tile_neon_double, NeonDouble, f64, [],
    #[target_feature(enable = "neon")]);
code!(kernel_plain, multiply_plain, finish_plain, tile_plain, Plain<T>, T, [T],);
code!(kernel_plain_pairs, multiply_plain_pairs, finish_plain_pairs, tile_plain_pairs, PlainPairs, f32, [],);
code!(kernel_plain_quads, multiply_plain_quads, finish_plain_quads, tile_plain_quads, PlainQuads, f32, [],);

/// Registers that a panel is at most wide.
pub(crate) fn widest(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 4,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => 4,
        _ => 2,
    }
}

/// Code in plain Rust.
pub(crate) fn plain<T: Element>(vectors: usize) -> Kernel<T> {
    match vectors {
        1 => kernel_plain::<T, 6, 1>(),
        _ => kernel_plain::<T, 4, 2>(),
    }
}

/// Code with the machine's instructions: as many sums as there are registers.
macro_rules! machine {
    ($name:ident, $value:ty, $avx512:ident, $avx2:ident, $neon:ident) => {
        pub(crate) fn $name(level: Level, vectors: usize) -> Kernel<$value> {
            match (level, vectors) {
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512, 1) => $avx512::<14, 1>(),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512, 2) => $avx512::<12, 2>(),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512, 3) => $avx512::<8, 3>(),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512, _) => $avx512::<6, 4>(),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx2, 1) => $avx2::<10, 1>(),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx2, _) => $avx2::<6, 2>(),
                #[cfg(target_arch = "aarch64")]
                (Level::Neon, 1) => $neon::<14, 1>(),
                #[cfg(target_arch = "aarch64")]
                (Level::Neon, 2) => $neon::<12, 2>(),
                #[cfg(target_arch = "aarch64")]
                (Level::Neon, 3) => $neon::<8, 3>(),
                #[cfg(target_arch = "aarch64")]
                (Level::Neon, _) => $neon::<6, 4>(),
                (Level::Baseline, vectors) => plain(vectors),
            }
        }
    };
}
/// Code by the number of registers that a panel is wide, and how many it has at most.
pub type Widths<T> = (fn(usize) -> Kernel<T>, usize);

/// Code for factors in pairs of bf16, and how many registers a panel is at most wide.
pub(crate) fn pairs() -> Widths<f32> {
    #[cfg(target_arch = "x86_64")]
    if crate::pair::can_be_multiplied() {
        return (pairs_avx512, 4);
    }
    (plain_pairs, 2)
}

#[cfg(target_arch = "x86_64")]
fn pairs_avx512(vectors: usize) -> Kernel<f32> {
    match vectors {
        1 => kernel_pairs::<14, 1>(),
        2 => kernel_pairs::<12, 2>(),
        3 => kernel_pairs::<8, 3>(),
        _ => kernel_pairs::<6, 4>(),
    }
}

/// In plain Rust: for machines that do not multiply pairs, slower than f32 there.
pub(crate) fn plain_pairs(vectors: usize) -> Kernel<f32> {
    match vectors {
        1 => kernel_plain_pairs::<6, 1>(),
        _ => kernel_plain_pairs::<4, 2>(),
    }
}

/// Code for factors in quads of whole numbers, and how many registers a panel is at most wide.
pub(crate) fn quads() -> Widths<f32> {
    #[cfg(target_arch = "x86_64")]
    if crate::quad::can_be_multiplied() {
        return (quads_avx512, 4);
    }
    (plain_quads, 2)
}

#[cfg(target_arch = "x86_64")]
fn quads_avx512(vectors: usize) -> Kernel<f32> {
    match vectors {
        1 => kernel_quads::<14, 1>(),
        2 => kernel_quads::<12, 2>(),
        3 => kernel_quads::<8, 3>(),
        _ => kernel_quads::<6, 4>(),
    }
}

/// In plain Rust: for machines that do not multiply quads, slower than f32 there.
pub(crate) fn plain_quads(vectors: usize) -> Kernel<f32> {
    match vectors {
        1 => kernel_plain_quads::<6, 1>(),
        _ => kernel_plain_quads::<4, 2>(),
    }
}

machine!(single, f32, kernel_avx512, kernel_avx2, kernel_neon);
machine!(double, f64, kernel_avx512_double, kernel_avx2_double, kernel_neon_double);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_runs_in_order() {
        let runs =
            [Run { start: 5, len: 3, step: 2 }, Run { start: 0, len: 0, step: 1 }, Run { start: 100, len: 7, step: 1 }];
        let offsets = |runs: &[Run]| -> Vec<usize> {
            runs.iter().flat_map(|r| (0..r.len).map(move |k| r.start + k * r.step)).collect()
        };
        for most in 1..12 {
            let blocks = blocks(&runs, most);
            assert_eq!(blocks.iter().flat_map(|b| offsets(b)).collect::<Vec<_>>(), offsets(&runs));
            assert!(blocks.iter().all(|b| steps(b) <= most && steps(b) > 0), "{most}: {blocks:?}");
        }
        assert_eq!(blocks(&[], 4), [vec![]]);
    }

    /// Every code of this machine against plain sums, for all numbers of rows and columns.
    #[test]
    fn tiles_are_sums() {
        let levels: &[Level] = match Level::detect() {
            Level::Baseline => &[Level::Baseline],
            #[cfg(target_arch = "aarch64")]
            Level::Neon => &[Level::Baseline, Level::Neon],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => &[Level::Baseline, Level::Avx2],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => &[Level::Baseline, Level::Avx2, Level::Avx512],
        };
        for &level in levels {
            for vectors in 1..=widest(level) {
                kernel_sums::<f32>(single(level, vectors));
                kernel_sums::<f64>(double(level, vectors));
            }
        }
    }

    fn kernel_sums<T: Element>(kernel: Kernel<T>) {
        // Whole numbers: sums are exact in any order.
        let value = |i: usize| T::narrow(((i * 7 + 3) % 11) as f64 - 5.);
        let values = |n: usize, from: usize| -> Vec<T> { (from..from + n).map(value).collect() };
        let x = values(400, 0);
        let runs = [Run { start: 1, len: 3, step: 2 }, Run { start: 40, len: 2, step: 1 }];
        let offsets = [1, 3, 5, 40, 41];
        let (y, bias) = (values(5 * kernel.columns, 5), values(kernel.columns, 0));
        let two = T::ONE + T::ONE;
        for count in 1..=kernel.rows {
            for columns in [1, kernel.columns - 1, kernel.columns] {
                let rows: Vec<usize> = (0..count).map(|j| j * 13).collect();
                let out_rows: Vec<usize> = (0..count).map(|j| j * (columns + 2) + 1).collect();
                for (add, bias, relu) in [(false, None, false), (true, None, true), (true, Some(&bias[..]), true)] {
                    let other = values(count * (columns + 2), 0);
                    let plus = relu.then_some(&other[..]);
                    let epilogue = Epilogue { add, bias, plus, relu };
                    let (runs, y_step) = (&runs, kernel.columns);
                    let (x, y, rows, out_rows) = (&x, &y, &rows, &out_rows);
                    let mut out = vec![two; count * (columns + 2)];
                    kernel.run(&Tile { x, rows, runs, y, y_step, ahead: &[], out_rows, columns, epilogue }, &mut out);
                    let mut want = vec![two; out.len()];
                    for j in 0..count {
                        for n in 0..columns {
                            let sum: T = (0..5).map(|s| x[rows[j] + offsets[s]] * y[s * y_step + n]).sum();
                            let old = if add { two } else { T::ZERO };
                            let more = plus.map_or(T::ZERO, |p| p[out_rows[j] + n]);
                            let value = old + sum + bias.map_or(T::ZERO, |b| b[n]) + more;
                            want[out_rows[j] + n] = if relu && value < T::ZERO { T::ZERO } else { value };
                        }
                    }
                    assert_eq!(out, want, "{} x {}: {count} {columns} {epilogue:?}", kernel.rows, kernel.columns);
                }
            }
        }
    }
}
