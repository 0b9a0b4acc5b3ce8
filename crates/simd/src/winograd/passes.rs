//! Passes over squares of registers.

use super::SOURCE_SIDE;
use super::maps::{Linear, OfSums, all};
use super::patch::Patch;
use crate::Epilogue;
use crate::vector::Vector;

/// `L v L^T` of a square of registers that `load(row, column)` gives; `store(row, column, value)` takes the result.
///
/// # Safety
/// The instructions of `V`.
#[inline(always)]
unsafe fn sandwich<V: Vector, L: Linear<S, R>, const S: usize, const R: usize>(
    load: impl Fn(usize, usize) -> V,
    mut store: impl FnMut(usize, usize, V),
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut half = [[all::<V>(0.); S]; R];
        for j in 0..S {
            let made = L::apply(std::array::from_fn(|i| load(i, j)));
            for i in 0..R {
                half[i][j] = made[i];
            }
        }
        for (i, row) in half.into_iter().enumerate() {
            let made = L::apply(row);
            for (j, value) in made.into_iter().enumerate() {
                store(i, j, value);
            }
        }
    }
}

/// Every register of `0..count`; the last one may overlap the one before it.
#[inline(always)]
fn registers(count: usize, lanes: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(lanes).map(move |at| at.min(count - lanes))
}

/// Transforms a patch of `S` x `S` pixels of `channels` channels into planes, `plane` values apart.
///
/// # Safety
/// The instructions of `V`; the patch lies in `from`, `zeros` has all channels, and `to` all planes; a register of channels at least.
#[inline(always)]
pub(super) unsafe fn read<V: Vector, L: Linear<S, 6>, const S: usize>(
    (from, patch): (*const V::Value, &Patch),
    (zeros, channels): (*const V::Value, usize),
    (to, plane): (*mut V::Value, usize),
) {
    let pixel = |i: usize, j: usize| match patch.has(i, j) {
        true => from.wrapping_offset(patch.first + (i * patch.row + j * patch.pixel) as isize),
        false => zeros,
    };
    let pixels: [[*const V::Value; S]; S] = std::array::from_fn(|i| std::array::from_fn(|j| pixel(i, j)));
    for c in registers(channels, V::LANES) {
        // SAFETY: every pixel has `channels` values, and so has every plane.
        unsafe {
            sandwich::<V, L, S, 6>(
                |i, j| V::load(pixels[i][j].add(c)),
                |i, j, value| value.store(to.add((i * SOURCE_SIDE + j) * plane + c)),
            );
        }
    }
}

/// Transforms planes of sums, `plane` values apart, into the pixels of a patch, with what the epilogue adds.
///
/// # Safety
/// The instructions of `V`; the patch lies in `out` and in what is added, and so do the planes, all of `columns` values, a register at least.
#[inline(always)]
pub(super) unsafe fn write<V: Vector>(
    (sums, plane): (*const V::Value, usize),
    (out, patch): (*mut V::Value, &Patch),
    columns: usize,
    epilogue: &Epilogue<V::Value>,
) {
    for n in registers(columns, V::LANES) {
        // SAFETY: the caller's promises.
        unsafe {
            let bias = epilogue.bias.map_or(all(0.), |bias| V::load(bias.as_ptr().add(n)));
            sandwich::<V, OfSums, 6, 4>(
                |i, j| V::load(sums.add((i * SOURCE_SIDE + j) * plane + n)),
                |i, j, value| {
                    if !patch.has(i, j) {
                        return;
                    }
                    let at = patch.first + (i * patch.row + j * patch.pixel + n) as isize;
                    let mut value = value.add(bias);
                    if let Some(plus) = epilogue.plus {
                        value = value.add(V::load(plus.as_ptr().offset(at)));
                    }
                    if epilogue.relu {
                        value = value.positive();
                    }
                    value.store(out.offset(at));
                },
            );
        }
    }
}

/// Transforms `S^2` planes of `count` values into `R^2`, all one after the other.
///
/// # Safety
/// The instructions of `V`; the planes lie in `from` and `to`; a register of values at least.
#[inline(always)]
pub(super) unsafe fn planes<V: Vector, L: Linear<S, R>, const S: usize, const R: usize>(
    from: *const V::Value,
    count: usize,
    to: *mut V::Value,
) {
    for at in registers(count, V::LANES) {
        // SAFETY: the caller's promises.
        unsafe {
            sandwich::<V, L, S, R>(
                |i, j| V::load(from.add((i * S + j) * count + at)),
                |i, j, value| value.store(to.add((i * R + j) * count + at)),
            );
        }
    }
}
