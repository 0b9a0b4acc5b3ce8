//! Sums of entrywise products of lines: what convolutions of every channel by itself are made of.

#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx2Double, Avx512, Avx512Double};
#[cfg(target_arch = "aarch64")]
use crate::vector::{Neon, NeonDouble};
use crate::vector::{Plain, Vector};
use crate::{Element, Level};

/// Some sums of products of lines, whose values lie side by side:
///
/// ```text
/// out[p out_step + c] = sum over terms (a, b) of x[a + p step + c] y[b + c]        c < width, p < count
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a, T> {
    /// Where the lines lie that every sum has its own of.
    pub x: &'a [T],
    /// Where the lines lie that the sums share.
    pub y: &'a [T],
    /// Where both begin, for the first sum.
    pub terms: &'a [(usize, usize)],
    /// Values from one sum's line to the next one's.
    pub step: usize,
    /// Values of a line.
    pub width: usize,
    /// Sums, at most [`Lines::MOST`].
    pub count: usize,
    /// Whether they are added to what was there.
    pub add: bool,
}

/// The sums' code for one kind of register.
pub(crate) type Code<T> = unsafe fn(&Lines<T>, *mut T, usize);

impl<T: Element> Lines<'_, T> {
    /// Sums that are made at once, at most.
    pub const MOST: usize = 8;

    /// Makes the sums, `out_step` apart.
    ///
    /// # Safety
    /// All their places from `out` on are valid for writes, with `add` written before, and nobody else touches them.
    ///
    /// # Panics
    /// If a line leaves its slice.
    #[inline]
    pub unsafe fn run_at(&self, out: *mut T, out_step: usize) {
        assert!(0 < self.count && self.count <= Self::MOST, "{} sums at once", self.count);
        let reach = (self.count - 1) * self.step + self.width;
        let inside = |&(a, b): &(usize, usize)| a + reach <= self.x.len() && b + self.width <= self.y.len();
        assert!(self.terms.iter().all(inside), "a line leaves its slice");
        // SAFETY: the machine has the level that was found, all lines lie in their slices, and the caller vouches for `out`.
        unsafe { T::lines(Level::detect())(self, out, out_step) }
    }
}

/// Sums of `P` lines, `N` registers at a time, then one, then value by value.
///
/// # Safety
/// The instructions of `V`; the places that [`Lines::run_at`] speaks of.
#[inline(always)]
unsafe fn sums<V: Vector, const P: usize, const N: usize>(l: &Lines<V::Value>, out: *mut V::Value, out_step: usize) {
    let mut at = 0;
    // SAFETY: as above: every block lies within the width.
    unsafe {
        while at + N * V::LANES <= l.width {
            block::<V, P, N>(l, at, out.add(at), out_step);
            at += N * V::LANES;
        }
        while at + V::LANES <= l.width {
            block::<V, P, 1>(l, at, out.add(at), out_step);
            at += V::LANES;
        }
        for at in at..l.width {
            for p in 0..P {
                let to = out.add(p * out_step + at);
                let mut sum = if l.add { *to } else { V::Value::ZERO };
                for &(a, b) in l.terms {
                    sum += l.x[a + p * l.step + at] * l.y[b + at];
                }
                *to = sum;
            }
        }
    }
}

/// `N` registers of `P` sums.
///
/// # Safety
/// As above.
#[inline(always)]
unsafe fn block<V: Vector, const P: usize, const N: usize>(
    l: &Lines<V::Value>,
    at: usize,
    out: *mut V::Value,
    out_step: usize,
) {
    // SAFETY: the caller's promises.
    unsafe {
        let mut sums = [[V::splat(V::Value::ZERO); N]; P];
        let (x, y) = (l.x.as_ptr().add(at), l.y.as_ptr().add(at));
        for &(a, b) in l.terms {
            let (a, b) = (x.add(a), y.add(b));
            let mut shared = [V::splat(V::Value::ZERO); N];
            for n in 0..N {
                shared[n] = V::load(b.add(n * V::LANES));
            }
            for p in 0..P {
                for n in 0..N {
                    sums[p][n] = sums[p][n].add_product(V::load(a.add(p * l.step + n * V::LANES)), shared[n]);
                }
            }
        }
        for p in 0..P {
            for n in 0..N {
                let to = out.add(p * out_step + n * V::LANES);
                let sum = if l.add { V::load(to).add(sums[p][n]) } else { sums[p][n] };
                sum.store(to);
            }
        }
    }
}

/// The code for one kind of register, of whose kind `$n` are used for each sum.
macro_rules! code {
    ($name:ident, $vector:ty, $value:ty, $n:literal, [$($generic:ident)?], $(#[$feature:meta])*) => {
        $(#[$feature])*
        unsafe fn $name<$($generic: Element)?>(l: &Lines<$value>, out: *mut $value, out_step: usize) {
            // SAFETY: the caller's promises.
            unsafe {
                match l.count {
                    1 => sums::<$vector, 1, 4>(l, out, out_step),
                    2 => sums::<$vector, 2, $n>(l, out, out_step),
                    3 => sums::<$vector, 3, $n>(l, out, out_step),
                    4 => sums::<$vector, 4, $n>(l, out, out_step),
                    5 => sums::<$vector, 5, $n>(l, out, out_step),
                    6 => sums::<$vector, 6, $n>(l, out, out_step),
                    7 => sums::<$vector, 7, $n>(l, out, out_step),
                    _ => sums::<$vector, 8, $n>(l, out, out_step),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
code!(lines_avx512, Avx512, f32, 2, [], #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(lines_avx512_double, Avx512Double, f64, 2, [],
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(lines_avx2, Avx2, f32, 1, [], #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "x86_64")]
code!(lines_avx2_double, Avx2Double, f64, 1, [], #[target_feature(enable = "avx2,fma")]);
#[cfg(target_arch = "aarch64")]
code!(lines_neon, Neon, f32, 2, [], #[target_feature(enable = "neon")]);
#[cfg(target_arch = "aarch64")]
code!(lines_neon_double, NeonDouble, f64, 2, [], #[target_feature(enable = "neon")]);
code!(lines_plain, Plain<T>, T, 1, [T],);

/// This machine's code for f32.
pub(crate) fn single(level: Level) -> Code<f32> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => lines_avx512,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => lines_avx2,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => lines_neon,
        Level::Baseline => lines_plain::<f32>,
    }
}

/// This machine's code for f64.
pub(crate) fn double(level: Level) -> Code<f64> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => lines_avx512_double,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => lines_avx2_double,
        #[cfg(target_arch = "aarch64")]
        Level::Neon => lines_neon_double,
        Level::Baseline => lines_plain::<f64>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose sums are exact, in every code of this machine.
    #[test]
    fn sums_are_those_of_their_terms() {
        let mut levels = vec![Level::Baseline];
        #[cfg(target_arch = "x86_64")]
        if Level::detect() == Level::Avx512 {
            levels.push(Level::Avx2);
        }
        levels.push(Level::detect());
        let value = |at: usize| (at * 7 % 23) as f32 - 11.;
        let x: Vec<f32> = (0..2000).map(value).collect();
        let y: Vec<f32> = (0..500).map(|at| value(at * at)).collect();
        let terms = [(0, 3), (40, 90), (7, 41), (300, 0)];
        for (level, width, count) in levels
            .iter()
            .flat_map(|&l| [1, 5, 16, 40, 91].map(|w| (l, w)))
            .flat_map(|(l, w)| (1..=Lines::<f32>::MOST).map(move |count| (l, w, count)))
        {
            for add in [false, true] {
                let lines = Lines { x: &x, y: &y, terms: &terms, step: 29, width, count, add };
                let mut out = vec![1f32; 8 * 100];
                // SAFETY: eight rows of a hundred values hold all sums.
                unsafe { single(level)(&lines, out.as_mut_ptr(), 100) };
                for (p, c) in (0..8).flat_map(|p| (0..100).map(move |c| (p, c))) {
                    let sum: f32 = terms.iter().map(|&(a, b)| x[a + p * 29 + c % 91] * y[b + c % 91]).sum();
                    let want = if p < count && c < width { sum + if add { 1. } else { 0. } } else { 1. };
                    assert_eq!(out[p * 100 + c], want, "{level:?}: {count} lines of {width}, {p} {c}");
                }
            }
        }
    }
}
