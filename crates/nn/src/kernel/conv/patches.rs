//! Patches of an image as a matrix (patch entries, output pixels), and back.

use super::Geometry;
use crate::kernel::Element;
use std::ops::Range;

/// Writes the patches of output rows `band` of one image's group: `columns` is (patch, pixels of the band).
pub(super) fn gather<T: Element>(g: &Geometry, image: &[T], band: Range<usize>, columns: &mut [T]) {
    let width = band.len() * g.map.1;
    let mut entry = columns.chunks_exact_mut(width);
    for channel in image.chunks_exact(g.pixels()) {
        for ky in 0..g.kernel.0 {
            for kx in 0..g.kernel.1 {
                let (inside, from) = g.inside(kx);
                // One row of the matrix; there are as many as the loops take, by the size of `columns`.
                let Some(row) = entry.next() else { return };
                for (y, out) in band.clone().zip(row.chunks_exact_mut(g.map.1)) {
                    let Some(source) = g.row(y, ky) else {
                        out.fill(T::ZERO);
                        continue;
                    };
                    let source = &channel[source * g.image.1..][..g.image.1];
                    out[..inside.start].fill(T::ZERO);
                    out[inside.end..].fill(T::ZERO);
                    let out = &mut out[inside.clone()];
                    if g.stride.1 == 1 {
                        out.copy_from_slice(&source[from..from + out.len()]);
                    } else {
                        for (value, &s) in out.iter_mut().zip(source[from..].iter().step_by(g.stride.1)) {
                            *value = s;
                        }
                    }
                }
            }
        }
    }
}

/// Adds the patches of output rows `band` to the pixels that they were taken from.
pub(super) fn scatter<T: Element>(g: &Geometry, columns: &[T], band: Range<usize>, image: &mut [T]) {
    let width = band.len() * g.map.1;
    let mut entry = columns.chunks_exact(width);
    for channel in image.chunks_exact_mut(g.pixels()) {
        for ky in 0..g.kernel.0 {
            for kx in 0..g.kernel.1 {
                let (inside, from) = g.inside(kx);
                let Some(row) = entry.next() else { return };
                for (y, values) in band.clone().zip(row.chunks_exact(g.map.1)) {
                    let Some(target) = g.row(y, ky) else { continue };
                    let target = &mut channel[target * g.image.1..][..g.image.1];
                    let values = &values[inside.clone()];
                    if g.stride.1 == 1 {
                        for (t, &v) in target[from..].iter_mut().zip(values) {
                            *t += v;
                        }
                    } else {
                        for (t, &v) in target[from..].iter_mut().step_by(g.stride.1).zip(values) {
                            *t += v;
                        }
                    }
                }
            }
        }
    }
}
