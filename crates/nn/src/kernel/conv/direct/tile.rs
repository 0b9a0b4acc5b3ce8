//! The inner loops: register tiles of a convolution over long rows, and of its weight gradient.

#[cfg(target_arch = "x86_64")]
use crate::kernel::simd::{Avx2, Avx512};
use crate::kernel::simd::{Level, Vector};

/// Registers of pixels in a tile.
const WIDE: usize = 3;
/// (input channel, tap) entries in a tile of the weight gradient.
const ENTRIES: usize = 6;

/// The vector kernels of a machine that has them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    /// Tiles of 8 output channels x 48 pixels, and of 4 output channels x 6 entries: 24 of 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Tiles of 4 output channels x 24 pixels, and of 2 output channels x 6 entries: 12 of 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// Planes in long rows: `data[channel * stride + place]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    pub channels: usize,
}

impl Kernel {
    pub(super) fn detect() -> Option<Self> {
        match Level::detect() {
            Level::Baseline => None,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Some(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Some(Self::Avx512),
        }
    }

    /// Those that this machine can run, the best last.
    #[cfg(test)]
    pub(super) fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend((Level::detect() != Level::Baseline).then_some(Self::Avx2));
            all.extend((Level::detect() == Level::Avx512).then_some(Self::Avx512));
        }
        all
    }

    /// Output channels of a tile: weights are packed in blocks of as many.
    pub(super) fn block(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 4,
        }
    }

    /// Pixels of a tile.
    pub(super) fn tile(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => WIDE * Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => WIDE * Avx2::LANES,
        }
    }

    /// `out[c, p] = sum over channels i and taps t of weights[i, t, c] planes[i, p + taps[t]]` for a block of output
    /// channels and `flat` pixels, a multiple of the tile.
    ///
    /// # Panics
    /// If a slice is too short: an error of this crate, not of its user.
    pub(super) fn correlate(self, planes: Planes, taps: &[usize], weights: &[f32], out: &mut [f32], flat: usize) {
        let reach = taps.iter().max().map_or(0, |t| t + flat);
        assert!(flat.is_multiple_of(self.tile()) && reach <= planes.stride, "a tap leaves its plane");
        assert!(planes.channels * planes.stride <= planes.data.len(), "planes are missing");
        assert!(planes.channels * taps.len() * self.block() <= weights.len(), "weights are missing");
        assert!(self.block() * flat <= out.len(), "there is no room for the block");
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX-512 (`detect`); all tiles, taps and weights lie in the slices (see above).
            Self::Avx512 => unsafe { correlate_avx512(planes, taps, weights.as_ptr(), out.as_mut_ptr(), flat) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX2 and FMA (`detect`); all tiles, taps and weights lie in the slices.
            Self::Avx2 => unsafe { correlate_avx2(planes, taps, weights.as_ptr(), out.as_mut_ptr(), flat) },
        }
    }

    /// `out[c, e] += sum over p < flat of grad[c, origin + p] x[places[e] + p]`; `out` is (channels, entries).
    ///
    /// # Panics
    /// If a slice is too short: an error of this crate, not of its user.
    pub(super) fn dots(self, grad: Planes, origin: usize, x: &[f32], places: &[usize], out: &mut [f32], flat: usize) {
        assert!(flat.is_multiple_of(self.tile()) && origin + flat <= grad.stride, "pixels leave their plane");
        assert!(grad.channels * grad.stride <= grad.data.len(), "planes are missing");
        assert!(places.iter().all(|place| place + flat <= x.len()), "an entry leaves the planes");
        assert!(grad.channels * places.len() <= out.len(), "there is no room for the sums");
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX-512 (`detect`); all pixels, entries and sums lie in the slices (see above).
            Self::Avx512 => unsafe { dots_avx512(grad, origin, x.as_ptr(), places, out.as_mut_ptr(), flat) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine has AVX2 and FMA (`detect`); all pixels, entries and sums lie in the slices.
            Self::Avx2 => unsafe { dots_avx2(grad, origin, x.as_ptr(), places, out.as_mut_ptr(), flat) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn correlate_avx512(planes: Planes, taps: &[usize], weights: *const f32, out: *mut f32, flat: usize) {
    // SAFETY: handed on to the caller, who checked all extents.
    unsafe { correlate::<Avx512, 8>(planes, taps, weights, out, flat) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn correlate_avx2(planes: Planes, taps: &[usize], weights: *const f32, out: *mut f32, flat: usize) {
    // SAFETY: handed on to the caller, who checked all extents.
    unsafe { correlate::<Avx2, 4>(planes, taps, weights, out, flat) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn dots_avx512(grad: Planes, origin: usize, x: *const f32, places: &[usize], out: *mut f32, flat: usize) {
    // SAFETY: handed on to the caller, who checked all extents.
    unsafe { dots::<Avx512, 4>(grad, origin, x, places, out, flat) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dots_avx2(grad: Planes, origin: usize, x: *const f32, places: &[usize], out: *mut f32, flat: usize) {
    // SAFETY: handed on to the caller, who checked all extents.
    unsafe { dots::<Avx2, 2>(grad, origin, x, places, out, flat) }
}

/// # Safety
/// V's instructions are there, and the extents are those that [`Kernel::correlate`] checks.
#[inline(always)]
unsafe fn correlate<V: Vector, const C: usize>(
    planes: Planes,
    taps: &[usize],
    weights: *const f32,
    out: *mut f32,
    flat: usize,
) {
    for p in (0..flat).step_by(WIDE * V::LANES) {
        // SAFETY: the tile's loads end at most at the last tap of the last pixel of the last plane, its weights and its
        // stores within the block; the caller checked all three.
        unsafe {
            let mut sums = [[V::zero(); WIDE]; C];
            let mut w = weights;
            for channel in 0..planes.channels {
                let plane = planes.data.as_ptr().add(channel * planes.stride + p);
                for &tap in taps {
                    let at = plane.add(tap);
                    let pixels = [V::load(at), V::load(at.add(V::LANES)), V::load(at.add(2 * V::LANES))];
                    for c in 0..C {
                        let weight = V::splat(*w.add(c));
                        for j in 0..WIDE {
                            sums[c][j] = sums[c][j].add_product(weight, pixels[j]);
                        }
                    }
                    w = w.add(C);
                }
            }
            for c in 0..C {
                for j in 0..WIDE {
                    sums[c][j].store(out.add(c * flat + p + j * V::LANES));
                }
            }
        }
    }
}

/// # Safety
/// V's instructions are there, and the extents are those that [`Kernel::dots`] checks.
#[inline(always)]
unsafe fn dots<V: Vector, const C: usize>(
    grad: Planes,
    origin: usize,
    x: *const f32,
    places: &[usize],
    out: *mut f32,
    flat: usize,
) {
    let whole = grad.channels / C * C;
    // SAFETY: the caller checked the extents for all channels and entries; the parts here cover each once.
    unsafe {
        for c in (0..whole).step_by(C) {
            dots_of_channels::<V, C>(grad, c, origin, x, places, out, flat);
        }
        for c in whole..grad.channels {
            dots_of_channels::<V, 1>(grad, c, origin, x, places, out, flat);
        }
    }
}

/// # Safety
/// As for [`dots`]; channels `c..c + C` exist.
#[inline(always)]
unsafe fn dots_of_channels<V: Vector, const C: usize>(
    grad: Planes,
    c: usize,
    origin: usize,
    x: *const f32,
    places: &[usize],
    out: *mut f32,
    flat: usize,
) {
    // SAFETY: the first pixel of channel c, and its row of sums, lie in their slices.
    let (g, out) = unsafe { (grad.data.as_ptr().add(c * grad.stride + origin), out.add(c * places.len())) };
    for (at, group) in places.chunks(ENTRIES).enumerate() {
        // SAFETY: each group writes the sums of its own entries of channels c..c + C, which exist.
        unsafe {
            let out = out.add(at * ENTRIES);
            match *group {
                [a, b, c, d, e, f] => {
                    dots_of::<V, C, 6>(g, grad.stride, x, [a, b, c, d, e, f], out, places.len(), flat)
                }
                [a, b, c, d, e] => dots_of::<V, C, 5>(g, grad.stride, x, [a, b, c, d, e], out, places.len(), flat),
                [a, b, c, d] => dots_of::<V, C, 4>(g, grad.stride, x, [a, b, c, d], out, places.len(), flat),
                [a, b, c] => dots_of::<V, C, 3>(g, grad.stride, x, [a, b, c], out, places.len(), flat),
                [a, b] => dots_of::<V, C, 2>(g, grad.stride, x, [a, b], out, places.len(), flat),
                [a] => dots_of::<V, C, 1>(g, grad.stride, x, [a], out, places.len(), flat),
                _ => {}
            }
        }
    }
}

/// # Safety
/// V's instructions are there; `g` has `flat` pixels in each of C rows `stride` apart, `x` has them from every place on,
/// and `out` has E sums in each of C rows `entries` apart.
#[inline(always)]
unsafe fn dots_of<V: Vector, const C: usize, const E: usize>(
    g: *const f32,
    stride: usize,
    x: *const f32,
    places: [usize; E],
    out: *mut f32,
    entries: usize,
    flat: usize,
) {
    // SAFETY: the caller vouches for all extents.
    unsafe {
        let mut sums = [[V::zero(); E]; C];
        for p in (0..flat).step_by(V::LANES) {
            let mut grads = [V::zero(); C];
            for c in 0..C {
                grads[c] = V::load(g.add(c * stride + p));
            }
            for e in 0..E {
                let pixels = V::load(x.add(places[e] + p));
                for c in 0..C {
                    sums[c][e] = sums[c][e].add_product(grads[c], pixels);
                }
            }
        }
        let mut lanes = [0f32; MOST];
        for c in 0..C {
            for e in 0..E {
                sums[c][e].store(lanes.as_mut_ptr().add((c * E + e) * V::LANES));
            }
        }
        for c in 0..C {
            add_lanes::<E>(
                &lanes[c * E * V::LANES..],
                V::LANES,
                std::slice::from_raw_parts_mut(out.add(c * entries), E),
            );
        }
    }
}

/// Values of the largest tile's sums.
const MOST: usize = 16 * 4 * ENTRIES;

/// Adds the lanes of each sum, in a fixed order. A function of its own: inlined, it makes the compiler keep the sums
/// of the loop before it on the stack.
#[inline(never)]
fn add_lanes<const E: usize>(lanes: &[f32], width: usize, out: &mut [f32]) {
    for (out, lanes) in out.iter_mut().zip(lanes.chunks_exact(width)).take(E) {
        let mut sums = [0f32; 4];
        for four in lanes.chunks_exact(4) {
            for i in 0..4 {
                sums[i] += four[i];
            }
        }
        *out += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}
