use crate::lines;
use crate::tile::{self, Widths};
use crate::{Kernel, Level, Winograd, winograd};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Sub};

mod sealed {
    use crate::lines;
    use crate::tile::Widths;
    use crate::{Kernel, Level, Winograd};

    pub trait Code: Sized {
        /// The product's code for panels of `vectors` registers.
        ///
        /// # Safety
        /// The machine has the level's instructions.
        unsafe fn kernel(level: Level, vectors: usize) -> Kernel<Self>;

        /// The same for factors in pairs, by the number of registers, of which a panel has at most so many; none where there are no
        /// pairs.
        fn kernels_of_pairs() -> Option<Widths<Self>>;

        /// The code of sums of products of lines; whoever calls it vouches that the machine has the level's instructions.
        fn lines(level: Level) -> lines::Code<Self>;

        /// The transforms of Winograd's convolution.
        ///
        /// # Safety
        /// The machine has the level's instructions.
        unsafe fn winograd(level: Level) -> Winograd<Self>;

        /// The same for factors in quads.
        fn kernels_of_quads() -> Option<Widths<Self>>;
    }
}
pub(crate) use sealed::Code;

/// The number types that the kernels compute in: f32 and f64.
pub trait Element:
    sealed::Code
    + Copy
    + Send
    + Sync
    + PartialOrd
    + std::fmt::Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + MulAssign
    + Sum
    + 'static
{
    /// Its name.
    const NAME: &'static str;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Infinity.
    const INFINITY: Self;
    /// Minus infinity.
    const NEG_INFINITY: Self;

    /// The distance from 1 to the next number.
    const EPSILON: f64;

    /// Two values, rounded to bf16, in the bits of one; f64 has no pairs, and gives 0.
    fn pair(low: Self, high: Self) -> Self;

    /// Its bits.
    fn bits(self) -> u64;
    /// The value of these bits; f64 has no quads, and gives 0.
    fn of_bits(bits: u32) -> Self;
    /// The whole number in the lowest 32 bits, less another one, to the nearest value.
    fn whole(self, less: i32) -> Self;

    /// Whether it is no number.
    fn is_nan(self) -> bool;
    /// The value in f64, exactly.
    fn wide(self) -> f64;
    /// The nearest value to an f64.
    fn narrow(value: f64) -> Self;
}

macro_rules! element {
    ($t:ident, $kernel:path, $lines:path, $pair:path, $pairs:path, $of_bits:path, $quads:path, $winograd:path) => {
        impl Element for $t {
            const NAME: &'static str = stringify!($t);
            const ZERO: Self = 0.;
            const ONE: Self = 1.;
            const EPSILON: f64 = $t::EPSILON as f64;
            const INFINITY: Self = $t::INFINITY;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;

            #[inline(always)]
            fn pair(low: Self, high: Self) -> Self {
                $pair(low, high)
            }

            #[inline(always)]
            fn of_bits(bits: u32) -> Self {
                $of_bits(bits)
            }

            #[inline(always)]
            fn bits(self) -> u64 {
                self.to_bits().into()
            }

            #[inline(always)]
            fn whole(self, less: i32) -> Self {
                (self.bits() as i32).wrapping_sub(less) as $t
            }

            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }

            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn narrow(value: f64) -> Self {
                value as $t
            }
        }

        impl Code for $t {
            unsafe fn kernel(level: Level, vectors: usize) -> Kernel<Self> {
                $kernel(level, vectors)
            }

            fn lines(level: Level) -> lines::Code<Self> {
                $lines(level)
            }

            fn kernels_of_pairs() -> Option<Widths<Self>> {
                $pairs()
            }

            fn kernels_of_quads() -> Option<Widths<Self>> {
                $quads()
            }

            unsafe fn winograd(level: Level) -> Winograd<Self> {
                $winograd(level)
            }
        }
    };
}
/// There are none of f64.
fn no_pair(_: f64, _: f64) -> f64 {
    0.
}

fn no_kernels() -> Option<Widths<f64>> {
    None
}

fn some_kernels() -> Option<Widths<f32>> {
    Some(tile::pairs())
}

fn some_of_quads() -> Option<Widths<f32>> {
    Some(tile::quads())
}

/// There are none of f64.
fn no_value(_: u32) -> f64 {
    0.
}

element!(
    f32,
    tile::single,
    lines::single,
    crate::pair::pair,
    some_kernels,
    f32::from_bits,
    some_of_quads,
    winograd::single
);
element!(f64, tile::double, lines::double, no_pair, no_kernels, no_value, no_kernels, winograd::double);
