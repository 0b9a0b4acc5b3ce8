use super::windows::{View, Windows};
use super::{Geometry, Way, depthwise, pairs, winograd};
use crate::kernel::{Element, parts};
use npair_simd::{Aligned, Columns, Epilogue, Kernel, Run, Tile, blocks, pair_rows, steps};
use rayon::prelude::*;
use std::ops::Range;

/// Parts of the batch that the gradient is summed over first, at most.
const PARTS: usize = 16;

/// Values of all parts' sums together, at most (unless one part alone has more).
const VALUES: usize = 1 << 21;

/// Tasks that there are at least, where the work allows.
const TASKS: usize = 16;

/// Pixels whose gradients are laid out at one time, at most.
const PIXELS: usize = 512;

/// Values of the gradients and of the windows' source that a task works on at one time, about: half of a second cache.
const VALUES_OF_BAND: usize = 1 << 18;

/// Pixels that all entries are multiplied with before the next ones: so many rows of a panel stay in the second cache beside the
/// windows' entries.
const STEPS: usize = 192;

/// Window entries that are worked on at one time.
const ENTRIES: usize = 48;

/// The rows of gathered entries.
const SIDE_BY_SIDE: [usize; ENTRIES] = {
    let mut rows = [0; ENTRIES];
    let mut at = 0;
    while at < ENTRIES {
        rows[at] = at;
        at += 1;
    }
    rows
};

/// Bytes between neighbouring windows from which on their entries are gathered.
const SPREAD: usize = 1024;

/// Rows of a tile, at most.
const MOST_ROWS: usize = 16;

/// The gradient of the maps, of whose `channels` a group has those from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Maps<'a, T> {
    pub values: &'a [T],
    pub channels: usize,
    pub first: usize,
    /// How pixels and their gradients are multiplied; [`Way::Pairs`] are two pixels.
    way: Way,
}

#[cfg(test)]
impl<'a, T> Maps<'a, T> {
    /// All channels, by [`Way::Winograd`].
    pub(super) fn transformed(values: &'a [T], channels: usize) -> Self {
        Self { values, channels, first: 0, way: Way::Winograd }
    }
}

/// Gradient of the weights: per part of the map's rows first, then over the parts in order, so that the bits do not
/// depend on the number of threads.
pub(crate) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dout: &[T]) -> Vec<T> {
    if g.is_depthwise() {
        return depthwise::weight_gradient(g, x, dout);
    }
    let (inputs, outputs, taps) = (g.group_inputs(), g.group_outputs(), g.kernel.0 * g.kernel.1);
    let mut dw = vec![T::ZERO; g.outputs * g.patch()];
    for group in 0..g.groups {
        let windows = g.windows(group);
        let (way, columns) = match pairs::columns(outputs) {
            _ if winograd::suits::<T>(&windows, outputs) => (Way::Winograd, Columns::new(outputs)),
            Some(columns) => (Way::Pairs, columns),
            None => (Way::Plain, Columns::new(outputs)),
        };
        let maps = Maps { values: dout, channels: g.outputs, first: group * outputs, way };
        let sums = sums(&windows, x, maps, &columns);
        let dw = &mut dw[group * outputs * g.patch()..][..outputs * g.patch()];
        // (window entry, column) of a panel to (output, input, tap), some channels at a time: what is read of the panel
        // stays in the first cache.
        const CHANNELS: usize = 16;
        let mut panels = Vec::with_capacity(columns.panels.len());
        let (mut rest, mut start) = (&mut dw[..], 0);
        for &(_, count, kernel) in &columns.panels {
            let (rows, after) = rest.split_at_mut(count * g.patch());
            rest = after;
            panels.push((kernel.columns, &sums[start..start + kernel.columns * g.patch()], rows));
            start += kernel.columns * g.patch();
        }
        panels.into_par_iter().for_each(|(width, sums, rows)| {
            for block in (0..inputs).step_by(CHANNELS) {
                let channels = block..inputs.min(block + CHANNELS);
                for (n, row) in rows.chunks_exact_mut(g.patch()).enumerate() {
                    for (channel, row) in channels.clone().zip(row[block * taps..].chunks_exact_mut(taps)) {
                        for (tap, value) in row.iter_mut().enumerate() {
                            *value = sums[(tap * inputs + channel) * width + n];
                        }
                    }
                }
            }
        });
    }
    dw
}

/// For every panel of columns, window entries times the gradient: panel by panel, (entry, column).
fn sums<T: Element>(windows: &Windows, x: &[T], dout: Maps<T>, columns: &Columns<T>) -> Vec<T> {
    let size: usize = columns.panels.iter().map(|p| p.2.columns * windows.size()).sum();
    // Transformed sums are four times as many.
    let (lines, held) = match dout.way {
        Way::Winograd => (winograd::strips(windows), 4 * size),
        _ => (windows.rows(), size),
    };
    let parts = parts(lines, (VALUES / held.max(1)).clamp(1, PARTS));
    let groups = TASKS.div_ceil(parts.len().max(1)).min(columns.panels.len()).max(1);
    let tasks: Vec<(Range<usize>, Range<usize>)> = parts
        .iter()
        .flat_map(|rows| {
            let cut = |at: usize| at * columns.panels.len() / groups;
            (0..groups).map(move |at| (rows.clone(), cut(at)..cut(at + 1)))
        })
        .collect();
    let sum = |(lines, panels): (Range<usize>, Range<usize>)| match dout.way {
        Way::Winograd => winograd::weight_sums(windows, x, dout, &columns.panels[panels], lines),
        _ => part(windows, x, dout, columns, lines, panels),
    };
    let sums: Vec<Vec<T>> = tasks.into_par_iter().map(sum).collect();
    let mut total = sums.chunks(groups);
    let Some(first) = total.next() else { return vec![T::ZERO; size] };
    let mut sum = first.concat();
    for part in total {
        let mut at = 0;
        for group in part {
            for (s, &v) in sum[at..].iter_mut().zip(group) {
                *s += v;
            }
            at += group.len();
        }
    }
    sum
}

/// The same over some rows of the map and for some panels.
fn part<T: Element>(
    windows: &Windows,
    x: &[T],
    dout: Maps<T>,
    columns: &Columns<T>,
    rows: Range<usize>,
    panels: Range<usize>,
) -> Vec<T> {
    let entries = windows.size();
    let size: usize = columns.panels[panels.clone()].iter().map(|p| p.2.columns * entries).sum();
    let mut sums = vec![T::ZERO; size];
    let (mut padded, mut packed, mut gathered) = (Vec::new(), Aligned::zeros(0), Aligned::zeros(0));
    let (panels, width) = (&columns.panels[panels], size / entries);
    let band = windows.band((VALUES_OF_BAND / (width + windows.channels)).clamp(STEPS, PIXELS));
    let mut at = rows.start;
    while at < rows.end {
        let end = rows.end.min(at + band);
        let view = windows.view(x, at..end, &mut padded);
        let offsets: Vec<usize> =
            view.values.iter().flat_map(|r| (0..r.len).map(move |k| r.start + k * r.step)).collect();
        if dout.way == Way::Pairs {
            let of = Band { view: &view, first: at * windows.count.1, offsets: &offsets, columns: panels, width };
            of.add_in_pairs(dout, (&mut packed, &mut gathered), &mut sums);
            at = end;
            continue;
        }
        let runs = pixel_runs(&view.corners, windows.count.1, windows.step.1 * windows.channels);
        let count = view.corners.len();
        let packed = pack(dout, at * windows.count.1, count, panels, packed.room(count * width));
        let pixels = blocks(&runs, STEPS);
        // Pixels far apart would fight for the same lines of the first cache.
        let spread = windows.step.1 * windows.channels * size_of::<T>() >= SPREAD;
        let mut from = 0;
        for runs in &pixels {
            let steps = steps(runs);
            for (block, offsets) in offsets.chunks(ENTRIES).enumerate() {
                let together = [Run { start: 0, len: steps, step: ENTRIES }];
                let (source, rows, runs) = match spread {
                    false => (view.source, offsets, &runs[..]),
                    true => {
                        let gathered = gathered.room(steps * ENTRIES);
                        gather(&view, from, offsets, gathered);
                        (&*gathered, &SIDE_BY_SIDE[..offsets.len()], &together[..])
                    }
                };
                let (mut to, mut y) = (0, 0);
                for &(_, _, kernel) in panels {
                    let width = kernel.columns;
                    let sums = &mut sums[to + block * ENTRIES * width..][..offsets.len() * width];
                    add_products(kernel, (source, rows, runs), &packed[y + from * width..], sums, !spread && y == 0);
                    to += width * entries;
                    y += width * count;
                }
            }
            from += steps;
        }
        at = end;
    }
    sums
}

/// What a part works on at one time.
struct Band<'a, T> {
    view: &'a View<'a, T>,
    /// The first pixel.
    first: usize,
    /// The entries of a window.
    offsets: &'a [usize],
    columns: &'a [(usize, usize, Kernel<T>)],
    /// Of all columns.
    width: usize,
}

impl<T: Element> Band<'_, T> {
    /// Adds the products of two pixels at a time to the sums, panel by panel.
    fn add_in_pairs(&self, dout: Maps<T>, (packed, gathered): (&mut Aligned<T>, &mut Aligned<T>), sums: &mut [T]) {
        let (count, entries) = (self.view.corners.len(), self.offsets.len());
        let pairs = count.div_ceil(2);
        let packed = pack(dout, self.first, count, self.columns, packed.room(pairs * self.width));
        for from in (0..pairs).step_by(STEPS) {
            let steps = STEPS.min(pairs - from);
            let together = [Run { start: 0, len: steps, step: ENTRIES }];
            for (block, offsets) in self.offsets.chunks(ENTRIES).enumerate() {
                let gathered = gathered.room(steps * ENTRIES);
                pairs::gather(self.view, from, offsets, ENTRIES, gathered);
                let (mut to, mut y) = (0, 0);
                for &(_, _, kernel) in self.columns {
                    let width = kernel.columns;
                    let sums = &mut sums[to + block * ENTRIES * width..][..offsets.len() * width];
                    let rows = &SIDE_BY_SIDE[..offsets.len()];
                    add_products(kernel, (gathered, rows, &together[..]), &packed[y + from * width..], sums, false);
                    to += width * entries;
                    y += width * pairs;
                }
            }
        }
    }
}

/// Some entries of the windows from corner `from` on, (window, entry).
fn gather<T: Element>(view: &View<T>, from: usize, offsets: &[usize], to: &mut [T]) {
    let first = offsets[0];
    let consecutive = offsets[offsets.len() - 1] - first + 1 == offsets.len();
    for (corner, to) in view.corners[from..].iter().zip(to.chunks_exact_mut(ENTRIES)) {
        if consecutive {
            to[..offsets.len()].copy_from_slice(&view.source[corner + first..][..offsets.len()]);
        } else {
            for (to, offset) in to.iter_mut().zip(offsets) {
                *to = view.source[corner + offset];
            }
        }
    }
}

/// Adds the products of all rows of `x` with a panel of gradients to `sums`, (row, column); `ahead` if the rows are far away.
fn add_products<T: Element>(
    kernel: Kernel<T>,
    (x, rows, runs): (&[T], &[usize], &[Run]),
    y: &[T],
    sums: &mut [T],
    ahead: bool,
) {
    let width = kernel.columns;
    let mut next = rows.chunks(kernel.rows).skip(1);
    for (rows, sums) in rows.chunks(kernel.rows).zip(sums.chunks_mut(kernel.rows * width)) {
        let out_rows: [usize; MOST_ROWS] = std::array::from_fn(|j| j * width);
        let (out_rows, ahead) = (&out_rows[..rows.len()], next.next().filter(|_| ahead).unwrap_or(&[]));
        let epilogue = Epilogue::ADD;
        kernel.run(&Tile { x, rows, runs, y, y_step: width, ahead, out_rows, columns: width, epilogue }, sums);
    }
}

/// The gradients of `count` pixels from `first` on, panel by panel, (pixel, column); or of two pixels at a time, as pairs.
fn pack<'a, T: Element>(
    dout: Maps<T>,
    first: usize,
    count: usize,
    panels: &[(usize, usize, Kernel<T>)],
    packed: &'a mut [T],
) -> &'a [T] {
    let Maps { values, channels, first: channel, way } = dout;
    let paired = way == Way::Pairs;
    let each = if paired { 2 } else { 1 };
    // What stands beside a last pixel without a neighbour.
    let nothing = vec![T::ZERO; if paired { channels } else { 0 }];
    for (at, pixels) in values[first * channels..(first + count) * channels].chunks(each * channels).enumerate() {
        let (low, high) = pixels.split_at(channels);
        let high = if high.is_empty() { &nothing[..] } else { high };
        let mut start = 0;
        for &(first, columns, kernel) in panels {
            let to = &mut packed[start + at * kernel.columns..][..kernel.columns];
            let own = channel + first..channel + first + columns;
            match paired {
                true => pair_rows(&low[own.clone()], &high[own], &mut to[..columns]),
                false => to[..columns].copy_from_slice(&low[own]),
            }
            to[columns..].fill(T::ZERO);
            start += count.div_ceil(each) * kernel.columns;
        }
    }
    packed
}

/// The windows' corners as runs, `step` apart; rows that follow each other become one.
fn pixel_runs(corners: &[usize], across: usize, step: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in corners.chunks(across.max(1)) {
        match runs.last_mut() {
            Some(last) if last.start + last.len * step == row[0] => last.len += row.len(),
            _ => runs.push(Run { start: row[0], len: row.len(), step }),
        }
    }
    runs
}
