//! Which pixels a convolution's windows are made of, as indices.

use super::table::{Key, NOTHING, indices};
use crate::kernel::conv::Geometry;
use candle_core::{Device, Result, Tensor};

fn key(what: &'static str, g: &Geometry, part: usize) -> Key {
    let pairs = [g.image, g.kernel, g.stride, g.padding, g.dilation, g.map];
    let mut extents: Vec<usize> = pairs.iter().flat_map(|p| [p.0, p.1]).collect();
    extents.push(part);
    Key::new(what, &extents)
}

/// Whether every window is the pixel at its own place.
pub(super) fn are_pixels(g: &Geometry) -> bool {
    g.kernel == (1, 1) && g.stride == (1, 1) && g.padding == (0, 0)
}

/// The pixels of all windows, tap by tap: (windows, taps).
pub(super) fn windows(g: &Geometry, device: &Device) -> Result<Tensor> {
    indices(key("convolution windows", g, 0), device, || {
        let along = |at: usize, tap: usize, s: usize, p: usize, d: usize, extent: usize| {
            (at * s + tap * d).checked_sub(p).filter(|i| *i < extent)
        };
        let mut made = Vec::with_capacity(g.map_pixels() * g.kernel.0 * g.kernel.1);
        for i in 0..g.map.0 {
            for j in 0..g.map.1 {
                for ky in 0..g.kernel.0 {
                    let y = along(i, ky, g.stride.0, g.padding.0, g.dilation.0, g.image.0);
                    for kx in 0..g.kernel.1 {
                        let x = along(j, kx, g.stride.1, g.padding.1, g.dilation.1, g.image.1);
                        made.push(y.zip(x).map_or(NOTHING, |(y, x)| (y * g.image.1 + x) as u32));
                    }
                }
            }
        }
        made
    })
}

/// Pixels along one axis that leave the same rest when divided by the stride: they are seen through the same taps.
struct Residue {
    first: usize,
    count: usize,
    taps: Vec<usize>,
}

fn residues(extent: usize, kernel: usize, stride: usize, padding: usize, dilation: usize) -> Vec<Residue> {
    let of = |first: usize| Residue {
        first,
        count: (extent - first).div_ceil(stride),
        taps: (0..kernel).filter(|tap| (tap * dilation) % stride == (first + padding) % stride).collect(),
    };
    (0..stride.min(extent)).map(of).collect()
}

/// Pixels of the input whose gradient is made of the same taps.
pub(super) struct Phase {
    /// For every pixel, tap by tap, the window that sees it there: (pixels, taps).
    pub windows: Tensor,
    pub pixels: usize,
    /// How many taps.
    pub taps: usize,
    /// Their places in the kernel, if they are not all of it in order.
    pub chosen: Option<Tensor>,
}

/// The input's gradient in parts without a wasted product, and where every pixel stands among the parts, if that is not
/// its own place. Input row `y` is seen by output row `o` through kernel row `k` if `y + padding = o stride + k
/// dilation`.
pub(super) fn phases(g: &Geometry, device: &Device) -> Result<(Vec<Phase>, Option<Tensor>)> {
    let down = residues(g.image.0, g.kernel.0, g.stride.0, g.padding.0, g.dilation.0);
    let across = residues(g.image.1, g.kernel.1, g.stride.1, g.padding.1, g.dilation.1);
    let pairs: Vec<(&Residue, &Residue)> = down.iter().flat_map(|y| across.iter().map(move |x| (y, x))).collect();
    let taps = |(y, x): &(&Residue, &Residue)| -> Vec<u32> {
        y.taps.iter().flat_map(|ky| x.taps.iter().map(move |kx| (ky * g.kernel.1 + kx) as u32)).collect()
    };
    let mut phases = Vec::new();
    for (part, pair) in pairs.iter().enumerate() {
        let (y, x) = pair;
        let taps = taps(pair);
        if taps.is_empty() {
            continue;
        }
        let windows = indices(key("convolution phase", g, part), device, || {
            let along = |at: usize, tap: usize, s: usize, p: usize, d: usize, map: usize| {
                (at + p).checked_sub(tap * d).map(|o| o / s).filter(|o| *o < map)
            };
            let mut made = Vec::with_capacity(y.count * x.count * taps.len());
            for i in (y.first..g.image.0).step_by(g.stride.0) {
                for j in (x.first..g.image.1).step_by(g.stride.1) {
                    for ky in &y.taps {
                        let row = along(i, *ky, g.stride.0, g.padding.0, g.dilation.0, g.map.0);
                        for kx in &x.taps {
                            let column = along(j, *kx, g.stride.1, g.padding.1, g.dilation.1, g.map.1);
                            made.push(row.zip(column).map_or(NOTHING, |(r, c)| (r * g.map.1 + c) as u32));
                        }
                    }
                }
            }
            made
        })?;
        let count = taps.len();
        let all = count == g.kernel.0 * g.kernel.1;
        let chosen = (!all).then(|| indices(key("convolution taps", g, part), device, || taps)).transpose()?;
        phases.push(Phase { windows, pixels: y.count * x.count, taps: count, chosen });
    }
    if pairs.len() == 1 {
        return Ok((phases, None));
    }
    let order = indices(key("convolution pixels", g, 0), device, || {
        let mut made = vec![NOTHING; g.pixels()];
        let mut place = 0;
        for (y, x) in pairs.iter().filter(|pair| !taps(pair).is_empty()) {
            for i in (y.first..g.image.0).step_by(g.stride.0) {
                for j in (x.first..g.image.1).step_by(g.stride.1) {
                    made[i * g.image.1 + j] = place;
                    place += 1;
                }
            }
        }
        made
    })?;
    Ok((phases, Some(order)))
}
