//! Winograd's convolution F(4 x 4, 3 x 3) (Lavin and Gray, 2016): 36 products make 16 outputs of a 3 x 3 window with step 1, which
//! otherwise take 144.
//!
//! ```text
//! Y = A^T [ (G w G^T) * (B^T x B) ] A      x: 6 x 6 pixels, w: 3 x 3 weights, Y: 4 x 4 outputs; * entry by entry
//! dw = G^T [ (A dY A^T) * (B^T x B) ] G
//! ```
//!
//! The products of all channels are sums of matrix products, one for each of the 36 entries; here are the transforms around them.
//! A, B, G are Toom and Cook's for the points 0, +-5/8, +-3/2 and infinity. In f32 they round half as much as the usual 0, +-1, +-2, infinity
//! do: sums of both signs are smaller where the points' powers are near 1.

mod maps;
mod passes;
mod patch;
#[cfg(test)]
mod tests;

pub use patch::Patch;

use crate::vector::{Plain, Vector};
use crate::{Element, Epilogue, Level};
use maps::{OfPixels, OfSlopes, OfWeights, ToWeights};
use passes::{planes, read, write};

/// Outputs of a tile along a side.
pub const TILE_SIDE: usize = 4;
/// Pixels that they are made of along a side.
const SOURCE_SIDE: usize = 6;
/// Weights along a side.
const WEIGHTS_SIDE: usize = 3;
/// Products per tile and pair of channels: planes of what is transformed.
pub const PRODUCTS: usize = SOURCE_SIDE * SOURCE_SIDE;
/// Weights per pair of channels.
const WEIGHTS: usize = WEIGHTS_SIDE * WEIGHTS_SIDE;

type Read<T> = unsafe fn((*const T, &Patch), (*const T, usize), (*mut T, usize));
type Write<T> = unsafe fn((*const T, usize), (*mut T, &Patch), usize, &Epilogue<T>);
type Planes<T> = unsafe fn(*const T, usize, *mut T);

/// The transforms' code for this machine.
#[derive(Clone, Copy)]
pub struct Winograd<T> {
    /// Values of a register: channels that there have to be at least.
    pub lanes: usize,
    pixels: Read<T>,
    slopes: Read<T>,
    outputs: Write<T>,
    weights: Planes<T>,
    to_weights: Planes<T>,
}

impl<T: Element> Winograd<T> {
    /// This machine's code.
    pub fn new() -> Self {
        // SAFETY: the machine has the level that was found.
        unsafe { T::winograd(Level::detect()) }
    }

    /// `B^T x B` of the patch of 6 x 6 pixels: [`PRODUCTS`] planes, `plane` values apart, of as many channels as there are `zeros`, which
    /// stand for the pixels outside.
    ///
    /// # Panics
    /// If an operand leaves its slice, or there are fewer channels than a register has.
    pub fn pixels(&self, (from, patch): (&[T], &Patch), zeros: &[T], to: (&mut [T], usize)) {
        self.check_read((from, patch), zeros, (to.0, to.1));
        // SAFETY: checked above.
        unsafe { (self.pixels)((from.as_ptr(), patch), (zeros.as_ptr(), zeros.len()), (to.0.as_mut_ptr(), to.1)) }
    }

    /// `A dY A^T` of the patch of 4 x 4 outputs, laid out in the same way.
    ///
    /// # Panics
    /// As above.
    pub fn slopes(&self, (from, patch): (&[T], &Patch), zeros: &[T], to: (&mut [T], usize)) {
        self.check_read((from, patch), zeros, (to.0, to.1));
        // SAFETY: checked above.
        unsafe { (self.slopes)((from.as_ptr(), patch), (zeros.as_ptr(), zeros.len()), (to.0.as_mut_ptr(), to.1)) }
    }

    fn check_read(&self, (from, patch): (&[T], &Patch), zeros: &[T], (to, plane): (&[T], usize)) {
        let channels = zeros.len();
        assert!(channels >= self.lanes && patch.lies_in(from.len(), channels), "a patch leaves its image");
        assert!(planes_lie_in(to.len(), plane, channels), "planes leave their slice");
    }

    /// `A^T M A` of [`PRODUCTS`] planes of sums, `plane` values apart, into the patch of 4 x 4 outputs of `columns` channels; the epilogue
    /// does not know what was there.
    ///
    /// # Safety
    /// `out` is valid for writes at all pixels of the patch, of which `len` values are known to be valid; nobody else touches those.
    ///
    /// # Panics
    /// If an operand leaves its slice, or there are fewer columns than a register has.
    pub unsafe fn outputs(
        &self,
        (sums, plane): (&[T], usize),
        (out, len, patch): (*mut T, usize, &Patch),
        columns: usize,
        epilogue: &Epilogue<T>,
    ) {
        assert!(columns >= self.lanes && planes_lie_in(sums.len(), plane, columns), "planes leave their slice");
        assert!(patch.lies_in(len, columns), "a patch leaves its image");
        assert!(epilogue.bias.is_none_or(|bias| bias.len() >= columns), "a bias is missing");
        assert!(epilogue.plus.is_none_or(|plus| patch.lies_in(plus.len(), columns)), "a patch leaves what is added");
        // SAFETY: checked above, and the caller vouches for `out`.
        unsafe { (self.outputs)((sums.as_ptr(), plane), (out, patch), columns, epilogue) }
    }

    /// `G w G^T`: from 9 planes of weights, one after the other, to [`PRODUCTS`].
    ///
    /// # Panics
    /// If the planes are not of one size, of a register's values at least.
    pub fn weights(&self, weights: &[T], to: &mut [T]) {
        let count = self.values_of_a_plane(weights.len(), to.len());
        // SAFETY: the planes lie in their slices (checked above).
        unsafe { (self.weights)(weights.as_ptr(), count, to.as_mut_ptr()) }
    }

    /// `G^T M G`: from [`PRODUCTS`] planes of sums to the gradients of 9 planes of weights.
    ///
    /// # Panics
    /// As above.
    pub fn to_weights(&self, sums: &[T], to: &mut [T]) {
        let count = self.values_of_a_plane(to.len(), sums.len());
        // SAFETY: the planes lie in their slices (checked above).
        unsafe { (self.to_weights)(sums.as_ptr(), count, to.as_mut_ptr()) }
    }

    fn values_of_a_plane(&self, weights: usize, products: usize) -> usize {
        let count = weights / WEIGHTS;
        assert!(count >= self.lanes && weights == WEIGHTS * count && products == PRODUCTS * count, "planes differ");
        count
    }
}

/// Whether as many planes as products, `plane` values apart, with `count` values each, lie among `len` values.
fn planes_lie_in(len: usize, plane: usize, count: usize) -> bool {
    len.checked_sub(count).is_some_and(|room| plane <= room / (PRODUCTS - 1))
}

impl<T: Element> Default for Winograd<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The code for one kind of register.
macro_rules! transforms {
    ($name:ident, $vector:ty, $value:ty, [$($generic:ident)?], $(#[$feature:meta])*) => {
        fn $name<$($generic: Element)?>() -> Winograd<$value> {
            $(#[$feature])*
            unsafe fn read_pixels<$($generic: Element)?>(
                from: (*const $value, &Patch), zeros: (*const $value, usize), to: (*mut $value, usize),
            ) {
                // SAFETY: the caller's promises.
                unsafe { read::<$vector, OfPixels, 6>(from, zeros, to) }
            }

            $(#[$feature])*
            unsafe fn read_slopes<$($generic: Element)?>(
                from: (*const $value, &Patch), zeros: (*const $value, usize), to: (*mut $value, usize),
            ) {
                // SAFETY: the caller's promises.
                unsafe { read::<$vector, OfSlopes, 4>(from, zeros, to) }
            }

            $(#[$feature])*
            unsafe fn write_outputs<$($generic: Element)?>(
                sums: (*const $value, usize), out: (*mut $value, &Patch), columns: usize, epilogue: &Epilogue<$value>,
            ) {
                // SAFETY: the caller's promises.
                unsafe { write::<$vector>(sums, out, columns, epilogue) }
            }

            $(#[$feature])*
            unsafe fn change_weights<$($generic: Element)?>(from: *const $value, count: usize, to: *mut $value) {
                // SAFETY: the caller's promises.
                unsafe { planes::<$vector, OfWeights, 3, 6>(from, count, to) }
            }

            $(#[$feature])*
            unsafe fn change_sums<$($generic: Element)?>(from: *const $value, count: usize, to: *mut $value) {
                // SAFETY: the caller's promises.
                unsafe { planes::<$vector, ToWeights, 6, 3>(from, count, to) }
            }

            Winograd {
                lanes: <$vector as Vector>::LANES,
                pixels: read_pixels$(::<$generic>)?,
                slopes: read_slopes$(::<$generic>)?,
                outputs: write_outputs$(::<$generic>)?,
                weights: change_weights$(::<$generic>)?,
                to_weights: change_sums$(::<$generic>)?,
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::vector::{Avx2, Avx2Double, Avx512, Avx512Double};

    transforms!(avx512, Avx512, f32, [], #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
    transforms!(avx2, Avx2, f32, [], #[target_feature(enable = "avx2,fma")]);
    transforms!(avx512_double, Avx512Double, f64, [],
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]);
    transforms!(avx2_double, Avx2Double, f64, [], #[target_feature(enable = "avx2,fma")]);

    pub(super) fn single(level: Level) -> Winograd<f32> {
        match level {
            Level::Avx512 => avx512(),
            Level::Avx2 => avx2(),
            Level::Baseline => plain(),
        }
    }

    pub(super) fn double(level: Level) -> Winograd<f64> {
        match level {
            Level::Avx512 => avx512_double(),
            Level::Avx2 => avx2_double(),
            Level::Baseline => plain(),
        }
    }
}
#[cfg(target_arch = "aarch64")]
mod arm {
    use super::*;
    use crate::vector::{Neon, NeonDouble};

    transforms!(neon, Neon, f32, [], #[target_feature(enable = "neon")]);
    transforms!(neon_double, NeonDouble, f64, [], #[target_feature(enable = "neon")]);

    pub(super) fn single(level: Level) -> Winograd<f32> {
        match level {
            Level::Neon => neon(),
            Level::Baseline => plain(),
        }
    }

    pub(super) fn double(level: Level) -> Winograd<f64> {
        match level {
            Level::Neon => neon_double(),
            Level::Baseline => plain(),
        }
    }
}
transforms!(plain, Plain<T>, T, [T],);

/// In plain Rust, for all other machines.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod other {
    use super::*;

    pub(super) fn single(_: Level) -> Winograd<f32> {
        plain()
    }

    pub(super) fn double(_: Level) -> Winograd<f64> {
        plain()
    }
}

#[cfg(target_arch = "aarch64")]
use arm as machine;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use other as machine;
#[cfg(target_arch = "x86_64")]
use x86 as machine;

/// The code for f32.
pub(crate) fn single(level: Level) -> Winograd<f32> {
    machine::single(level)
}

/// The code for f64.
pub(crate) fn double(level: Level) -> Winograd<f64> {
    machine::double(level)
}
