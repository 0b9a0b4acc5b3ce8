use super::windows::Windows;
use super::{Geometry, depthwise};
use crate::kernel::product::{Aligned, Columns, Epilogue, Run, Tile};
use crate::kernel::{Element, parts};
use rayon::prelude::*;
use std::ops::Range;

/// Parts of the batch that the gradient is summed over first, at most.
const PARTS: usize = 16;

/// Values of all parts' sums together, at most (unless one part alone has more).
const VALUES: usize = 1 << 21;

/// Tasks that there are at least, where the work allows.
const TASKS: usize = 16;

/// Gradient of the weights: per part of the map's rows first, then over the parts in order, so that the bits do not
/// depend on the number of threads.
pub(crate) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dout: &[T]) -> Vec<T> {
    if g.is_depthwise() {
        return depthwise::weight_gradient(g, x, dout);
    }
    let (inputs, outputs, taps) = (g.group_inputs(), g.group_outputs(), g.kernel.0 * g.kernel.1);
    let mut dw = vec![T::ZERO; g.outputs * g.patch()];
    for group in 0..g.groups {
        let columns = Columns::new(outputs);
        let sums = sums(&g.windows(group), x, dout, g.outputs, group * outputs, &columns);
        let dw = &mut dw[group * outputs * g.patch()..][..outputs * g.patch()];
        // (window entry, column) of a panel to (output, input, tap).
        dw.par_chunks_mut(g.patch()).enumerate().for_each(|(o, row)| {
            let mut start = 0;
            for &(first, count, kernel) in &columns.panels {
                if (first..first + count).contains(&o) {
                    for tap in 0..taps {
                        for input in 0..inputs {
                            let entry = tap * inputs + input;
                            row[input * taps + tap] = sums[start + entry * kernel.columns + o - first];
                        }
                    }
                }
                start += kernel.columns * g.patch();
            }
        });
    }
    dw
}

/// For every panel of columns, window entries times the gradient: panel by panel, (entry, column).
fn sums<T: Element>(
    windows: &Windows,
    x: &[T],
    dout: &[T],
    channels: usize,
    channel: usize,
    columns: &Columns<T>,
) -> Vec<T> {
    let size: usize = columns.panels.iter().map(|p| p.2.columns * windows.size()).sum();
    let count = (VALUES / size.max(1)).clamp(1, PARTS);
    let parts = parts(windows.rows(), count);
    let groups = TASKS.div_ceil(parts.len().max(1)).min(columns.panels.len()).max(1);
    let tasks: Vec<(Range<usize>, Range<usize>)> = parts
        .iter()
        .flat_map(|rows| {
            let cut = |at: usize| at * columns.panels.len() / groups;
            (0..groups).map(move |at| (rows.clone(), cut(at)..cut(at + 1)))
        })
        .collect();
    let sums: Vec<Vec<T>> = tasks
        .into_par_iter()
        .map(|(rows, panels)| part(windows, x, dout, channels, channel, columns, rows, panels))
        .collect();
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
    dout: &[T],
    channels: usize,
    channel: usize,
    columns: &Columns<T>,
    rows: Range<usize>,
    panels: Range<usize>,
) -> Vec<T> {
    let entries = windows.size();
    let size: usize = columns.panels[panels.clone()].iter().map(|p| p.2.columns * entries).sum();
    let mut sums = vec![T::ZERO; size];
    let (mut padded, mut packed) = (Vec::new(), Aligned::zeros(0));
    // Where the sums themselves do not fit into the second cache, go over them less often.
    let pixels = if size > 1 << 17 { 1024 } else { 256 };
    let band = windows.band(pixels);
    let mut at = rows.start;
    while at < rows.end {
        let end = rows.end.min(at + band);
        let view = windows.view(x, at..end, &mut padded);
        let offsets: Vec<usize> =
            view.values.iter().flat_map(|r| (0..r.len).map(move |k| r.start + k * r.step)).collect();
        let runs = pixel_runs(&view.corners, windows.count.1, windows.step.1 * windows.channels);
        let first_pixel = at * windows.count.1;
        let mut start = 0;
        for &(first, count, kernel) in &columns.panels[panels.clone()] {
            let width = kernel.columns;
            let packed = packed.room(view.corners.len() * width);
            for (pixel, row) in packed.chunks_exact_mut(width).enumerate() {
                let from = (first_pixel + pixel) * channels + channel + first;
                row[..count].copy_from_slice(&dout[from..from + count]);
                row[count..].fill(T::ZERO);
            }
            let sums = &mut sums[start..start + width * entries];
            for (block, rows) in offsets.chunks(kernel.rows).enumerate() {
                let mut out_rows = [0; 16];
                for (j, row) in out_rows.iter_mut().enumerate() {
                    *row = (block * kernel.rows + j) * width;
                }
                let out_rows = &out_rows[..rows.len()];
                let (x, y, runs) = (view.source, &packed[..], &runs[..]);
                let epilogue = Epilogue::ADD;
                kernel.run(&Tile { x, rows, runs, y, y_step: width, out_rows, columns: width, epilogue }, sums);
            }
            start += width * entries;
        }
        at = end;
    }
    sums
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
