//! Convolutions of 3 x 3 windows with step 1 by Winograd's F(4 x 4, 3 x 3): a quarter of the products ([`Winograd`]).
//!
//! Some tiles at a time are transformed, multiplied and transformed back while they are in the second cache. Every output is the sum of
//! the same products in the same order whatever the batch and the number of threads.
//!
//! What is no number, or infinite, in one pixel makes all outputs of its tiles so; pixels and weights far below the largest f32 overflow
//! where plain sums of them did not, for their sums are multiplied.

#[cfg(test)]
mod tests;

use super::gradient::Maps;
use super::multiply::{Finish, Output, RESULTS, TASKS, biases};
use super::windows::Windows;
use crate::kernel::Element;
use crate::kernel::norm::{self, Join, Moments};
use candle_core::DType;
use npair_simd::{
    Aligned, Columns, Epilogue, Kernel, PRODUCTS, Panels, Patch, Run, TILE_SIDE, Tile, Winograd, blocks, steps,
};
use rayon::prelude::*;
use std::ops::Range;

/// The window's pixels along a side.
const WINDOW: usize = 3;
/// Pixels that a tile is made of along a side.
const SOURCE_SIDE: usize = TILE_SIDE + WINDOW - 1;

/// Steps of a sum that are taken for all tiles of a block before the next ones, as in [`super::multiply`].
const STEPS: usize = 192;

/// Values of what is transformed and of its products at one time, about: half of a second cache.
const VALUES: usize = 1 << 17;

/// The same for gradients of weights, whose sums lie there, too.
const GRADIENT_VALUES: usize = 1 << 18;

/// Tiles at one time: fewer would read the weights too often.
const TILES: Range<usize> = 24..96;

/// Tiles of a task, at least, for the same reason.
const LEAST_OF_TASK: usize = 32;

/// Channels on either side from which on it pays, and how many times fewer products there have to be: tiles that hang over a small map
/// make outputs that nobody sees. Measured: decision 0030.
const LEAST_CHANNELS: usize = 16;
const FEWER: f64 = 2.5;

/// Whether these windows are convolved in this way: where it is faster, and in f32 alone (f64 is what it is held against). The batch has
/// no say, so that a picture's maps are the same bits in any company.
pub(super) fn suits<T: Element>(windows: &Windows, outputs: usize) -> bool {
    let dense = (0..WINDOW).flat_map(|y| (0..WINDOW).map(move |x| (y, x)));
    T::DTYPE == DType::F32
        && windows.step == (1, 1)
        && windows.seen.1.min(outputs) >= LEAST_CHANNELS
        && windows.taps.iter().copied().eq(dense)
        && fewer(windows.count) >= FEWER
}

/// How many times fewer products there are for maps of this size.
fn fewer((rows, columns): (usize, usize)) -> f64 {
    let tiles = rows.div_ceil(TILE_SIDE) * columns.div_ceil(TILE_SIDE);
    (rows * columns * WINDOW * WINDOW) as f64 / (PRODUCTS * tiles).max(1) as f64
}

/// Weights, transformed: `fill` writes panels of (tap, channel) as [`Panels::new`] asks.
pub(super) fn panels<T: Element>(
    columns: Columns<T>,
    channels: usize,
    fill: impl Fn(usize, usize, usize, &mut [T]) + Sync,
) -> Panels<T> {
    let code = Winograd::<T>::new();
    Panels::new(columns, PRODUCTS * channels, |first, count, width, values| {
        let mut weights = Aligned::zeros(WINDOW * WINDOW * channels * width);
        fill(first, count, width, weights.values_mut());
        code.weights(weights.values(), values);
    })
}

/// The tiles of all maps: strips of tiles one below the other, of all images.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    windows: &'a Windows,
    down: usize,
    across: usize,
}

impl<'a> Tiles<'a> {
    fn new(windows: &'a Windows) -> Self {
        let (rows, columns) = windows.count;
        Self { windows, down: rows.div_ceil(TILE_SIDE), across: columns.div_ceil(TILE_SIDE) }
    }

    fn strips(&self) -> usize {
        self.windows.batch * self.down
    }

    /// The rows of all maps that some strips make.
    fn rows(&self, strips: Range<usize>) -> Range<usize> {
        let first = |strip: usize| {
            let (image, i) = (strip / self.down, strip % self.down);
            image * self.windows.count.0 + i * TILE_SIDE
        };
        first(strips.start)..first(strips.end)
    }

    /// Image, row and column of a tile.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (strip, j) = (tile / self.across, tile % self.across);
        (strip / self.down, strip % self.down, j)
    }

    /// The pixels that a tile is made of.
    fn source(&self, tile: usize) -> Patch {
        let w = self.windows;
        let (image, i, j) = self.place(tile);
        let along = |at: usize, start: isize, extent: usize| {
            let first = start + (at * TILE_SIDE) as isize;
            let inside = |pixel: isize| (pixel - first).clamp(0, SOURCE_SIDE as isize) as usize;
            (first, inside(0)..inside(extent as isize))
        };
        let ((top, rows), (left, columns)) = (along(i, w.start.0, w.image.0), along(j, w.start.1, w.image.1));
        let (height, width) = (w.image.0 as isize, w.image.1 as isize);
        let pixel = (image as isize * height + top) * width + left;
        let first = pixel * w.channels as isize + w.seen.0 as isize;
        Patch { first, row: w.image.1 * w.channels, pixel: w.channels, rows, columns }
    }

    /// The pixels of maps with `channels` channels that a tile makes, from channel `channel` on.
    fn result(&self, tile: usize, channels: usize, channel: usize) -> Patch {
        let (height, width) = self.windows.count;
        let (image, i, j) = self.place(tile);
        let (top, left) = (i * TILE_SIDE, j * TILE_SIDE);
        let first = ((image * height + top) * width + left) * channels + channel;
        Patch {
            first: first as isize,
            row: width * channels,
            pixel: channels,
            rows: 0..TILE_SIDE.min(height - top),
            columns: 0..TILE_SIDE.min(width - left),
        }
    }
}

/// Planes of (tile, value): one for every product of a tile.
struct Planes<T> {
    values: Aligned<T>,
    /// Values from tile to tile, and from plane to plane.
    tile: usize,
    plane: usize,
}

impl<T: Element> Planes<T> {
    /// A cache line more per row and per plane: at powers of two all would fight for the same lines of a cache.
    const GAP: usize = 16;

    fn new(tiles: usize, width: usize, gap: usize) -> Self {
        let tile = width + gap;
        let plane = tiles * tile + Self::GAP;
        Self { values: Aligned::zeros(PRODUCTS * plane), tile, plane }
    }

    /// Where a tile's transform goes.
    fn at(&mut self, tile: usize) -> (&mut [T], usize) {
        (&mut self.values.values_mut()[tile * self.tile..], self.plane)
    }
}

/// Windows times transformed panels, as [`super::multiply::multiply`] does it with plain ones; the maps' pixels follow each other.
pub(super) fn multiply<T: Element>(
    windows: &Windows,
    x: &[T],
    panels: &Panels<T>,
    finish: Finish<T>,
    output: Output<T>,
) -> Option<Moments> {
    debug_assert!(output.places.are_all_of(windows.count), "tiles write whole maps");
    let tiles = Tiles::new(windows);
    let strips = tiles.strips();
    if strips * tiles.across == 0 {
        return None;
    }
    let width: usize = panels.columns.panels.iter().map(|p| p.1).sum();
    // Enough tiles for a task to read the weights for; what it makes stays in the second cache.
    let least = LEAST_OF_TASK;
    let most = (RESULTS / (TILE_SIDE * TILE_SIDE * width.max(1))).max(least);
    let wanted = (strips * tiles.across / TASKS).clamp(least, most);
    let bands = strips.div_ceil(wanted.div_ceil(tiles.across));
    let groups = (TASKS / 2).div_ceil(bands).min(panels.columns.panels.len()).max(1);
    let biases = biases(panels, finish);
    let code = Winograd::new();
    let task = |task: usize| {
        let (at, group) = (task / groups, task % groups);
        let band = at * strips / bands..(at + 1) * strips / bands;
        let count = panels.columns.panels.len();
        let own = group * count / groups..(group + 1) * count / groups;
        let band_of = Band { tiles, x, code, panels, finish, biases: &biases, output };
        band_of.make(band.start * tiles.across..band.end * tiles.across, own);
        // SAFETY: one group writes all channels of its rows, and no other task has these.
        (output.moments && groups == 1).then(|| unsafe { output.moments_of(tiles.rows(band), windows.count.1) })
    };
    let parts: Vec<Option<Join>> = (0..bands * groups).into_par_iter().map(task).collect();
    let parts: Option<Vec<Join>> = parts.into_iter().collect();
    parts.map(|parts| norm::join(output.places.channels, parts))
}

/// What a task needs to make its tiles.
struct Band<'a, T> {
    tiles: Tiles<'a>,
    x: &'a [T],
    code: Winograd<T>,
    panels: &'a Panels<T>,
    finish: Finish<'a, T>,
    biases: &'a [Vec<T>],
    output: Output<'a, T>,
}

impl<T: Element> Band<'_, T> {
    /// Makes some tiles' outputs of some panels.
    fn make(&self, tiles: Range<usize>, panels: Range<usize>) {
        let channels = self.tiles.windows.seen.1;
        let kernels = &self.panels.columns.panels[panels.clone()];
        let widest = kernels.iter().map(|p| p.2.columns).max().unwrap_or(0);
        let most = (VALUES / (PRODUCTS * (channels + widest))).clamp(TILES.start, TILES.end);
        let block = tiles.len().div_ceil(tiles.len().div_ceil(most).max(1)).max(1);
        // The products of a kernel's last rows are written whole.
        let room = kernels.iter().map(|p| block.next_multiple_of(p.2.rows)).max().unwrap_or(0);
        let zeros = vec![T::ZERO; channels];
        let mut pixels = Planes::new(block, channels, Planes::<T>::GAP);
        let mut sums = Planes::new(room, widest, 0);
        for first in tiles.clone().step_by(block) {
            let tiles = first..tiles.end.min(first + block);
            for (at, tile) in tiles.clone().enumerate() {
                self.code.pixels((self.x, &self.tiles.source(tile)), &zeros, pixels.at(at));
            }
            for panel in panels.clone() {
                self.multiply(panel, tiles.len(), &pixels, &mut sums);
                self.finish(panel, tiles.clone(), &sums);
            }
        }
    }

    /// The products of all planes with a panel.
    fn multiply(&self, panel: usize, tiles: usize, pixels: &Planes<T>, sums: &mut Planes<T>) {
        let (kernel, y) = (self.panels.columns.panels[panel].2, self.panels.panel(panel));
        let channels = self.tiles.windows.seen.1;
        let runs = blocks(&[Run { start: 0, len: channels, step: 1 }], STEPS);
        let rows: Vec<usize> = (0..tiles).map(|tile| tile * pixels.tile).collect();
        let out_rows: Vec<usize> = (0..tiles).map(|tile| tile * kernel.columns).collect();
        sums.tile = kernel.columns;
        let sums_plane = sums.plane;
        for product in 0..PRODUCTS {
            let x = &pixels.values.values()[product * pixels.plane..];
            let sums = &mut sums.values.values_mut()[product * sums_plane..];
            let mut from = product * channels;
            for (at, runs) in runs.iter().enumerate() {
                let y = &y[from * kernel.columns..];
                for (rows, out_rows) in rows.chunks(kernel.rows).zip(out_rows.chunks(kernel.rows)) {
                    let tile = Tile {
                        x,
                        rows,
                        runs,
                        y,
                        y_step: kernel.columns,
                        ahead: &[],
                        out_rows,
                        columns: kernel.columns,
                        epilogue: Epilogue::ADD,
                    };
                    // SAFETY: rows and steps lie in their plane and panel; the plane of sums has room for all rows of a kernel.
                    unsafe {
                        match at {
                            0 => kernel.sums_at(&tile, &mut sums[out_rows[0]..]),
                            _ => kernel.run_at(&tile, sums.as_mut_ptr(), sums.len()),
                        }
                    }
                }
                from += steps(runs);
            }
        }
    }

    /// Takes a panel's sums to their pixels.
    fn finish(&self, panel: usize, tiles: Range<usize>, sums: &Planes<T>) {
        let (first, columns, _) = self.panels.columns.panels[panel];
        let Output { places, values: out, .. } = self.output;
        let epilogue = self.finish.epilogue(self.biases.get(panel).map(|bias| &bias[..]));
        for (at, tile) in tiles.enumerate() {
            let patch = self.tiles.result(tile, places.channels, places.channel + first);
            let from = (&sums.values.values()[at * sums.tile..], sums.plane);
            // SAFETY: the pixels of different tiles are different and so are the channels of different panels; all lie in `out`.
            unsafe { self.code.outputs(from, (out.pointer(), out.len(), &patch), columns, &epilogue) };
            let pixels = patch.rows.clone().flat_map(|i| patch.columns.clone().map(move |j| (i, j)));
            let place = |(i, j): (usize, usize)| patch.first as usize + i * patch.row + j * patch.pixel;
            // SAFETY: these values have been written, and by this task alone.
            unsafe { self.finish.activate(pixels.map(place), columns, out.pointer()) };
        }
    }
}

/// Strips of tiles that the gradient of the weights is summed over.
pub(super) fn strips(windows: &Windows) -> usize {
    Tiles::new(windows).strips()
}

/// For some panels of columns, the gradients of a window's entries over some strips: panel by panel, (entry, column).
pub(super) fn weight_sums<T: Element>(
    windows: &Windows,
    x: &[T],
    dout: Maps<T>,
    columns: &[(usize, usize, Kernel<T>)],
    strips: Range<usize>,
) -> Vec<T> {
    let (tiles, code, channels) = (Tiles::new(windows), Winograd::<T>::new(), windows.seen.1);
    let all = strips.start * tiles.across..strips.end * tiles.across;
    let widest = columns.iter().map(|p| p.2.columns).max().unwrap_or(0);
    let most = (GRADIENT_VALUES / (PRODUCTS * (channels + widest))).clamp(TILES.start, TILES.end);
    let block = all.len().div_ceil(all.len().div_ceil(most).max(1)).max(1);
    let mut pixels = Planes::new(block, channels, Planes::<T>::GAP);
    let mut slopes = Planes::new(block, widest, 0);
    let mut sums: Vec<Vec<T>> = columns.iter().map(|p| vec![T::ZERO; PRODUCTS * channels * p.2.columns]).collect();
    let zeros = vec![T::ZERO; channels.max(widest)];
    for first in all.clone().step_by(block) {
        let block = first..all.end.min(first + block);
        for (at, tile) in block.clone().enumerate() {
            code.pixels((x, &tiles.source(tile)), &zeros[..channels], pixels.at(at));
        }
        for (&(first, count, kernel), sums) in columns.iter().zip(&mut sums) {
            slopes.tile = kernel.columns;
            for (at, tile) in block.clone().enumerate() {
                let patch = tiles.result(tile, dout.channels, dout.first + first);
                code.slopes((dout.values, &patch), &zeros[..count], slopes.at(at));
            }
            add_products(kernel, block.len(), &pixels, &slopes, channels, sums);
        }
    }
    let mut weights = Vec::with_capacity(columns.iter().map(|p| WINDOW * WINDOW * channels * p.2.columns).sum());
    for sums in sums {
        let from = weights.len();
        weights.resize(from + sums.len() / PRODUCTS * WINDOW * WINDOW, T::ZERO);
        code.to_weights(&sums, &mut weights[from..]);
    }
    weights
}

/// Adds the products of all planes of pixels with those of slopes over some tiles: (plane, channel, column).
fn add_products<T: Element>(
    kernel: Kernel<T>,
    tiles: usize,
    pixels: &Planes<T>,
    slopes: &Planes<T>,
    channels: usize,
    sums: &mut [T],
) {
    let width = kernel.columns;
    let runs = [Run { start: 0, len: tiles, step: pixels.tile }];
    let rows: Vec<usize> = (0..channels).collect();
    let out_rows: Vec<usize> = rows.iter().map(|row| row * width).collect();
    for (product, sums) in sums.chunks_exact_mut(channels * width).enumerate() {
        let x = &pixels.values.values()[product * pixels.plane..];
        let y = &slopes.values.values()[product * slopes.plane..];
        for (rows, out_rows) in rows.chunks(kernel.rows).zip(out_rows.chunks(kernel.rows)) {
            let epilogue = Epilogue::ADD;
            let tile = Tile { x, rows, runs: &runs, y, y_step: width, ahead: &[], out_rows, columns: width, epilogue };
            // SAFETY: rows and steps lie in their planes, and the sums are this function's own.
            unsafe { kernel.run_at(&tile, sums.as_mut_ptr(), sums.len()) };
        }
    }
}
