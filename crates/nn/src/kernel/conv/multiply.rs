use super::Affine;
use super::windows::{Places, Windows};
use crate::kernel::activation::{Activation, apply_in_place};
use crate::kernel::norm::{self, Join, Moments};
use crate::kernel::{Element, Shared};
use npair_simd::{Epilogue, Panels, Tile, blocks, steps};
use rayon::prelude::*;
use std::ops::Range;

/// What follows the sums.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish<'a, T> {
    Nothing,
    Affine { bias: Option<&'a [T]>, plus: Option<&'a [T]>, activation: Activation },
}

impl<'a, T: Element> Finish<'a, T> {
    /// What follows the sums of the outputs from `first` on.
    pub(super) fn of(affine: Affine<'a, T>, first: usize) -> Self {
        match affine {
            Affine { bias: None, plus: None, activation: Activation::None, .. } => Self::Nothing,
            Affine { bias, plus, activation, .. } => Self::Affine { bias: bias.map(|b| &b[first..]), plus, activation },
        }
    }

    /// What a product's last step adds, with the biases of its panel.
    pub(super) fn epilogue(&self, bias: Option<&'a [T]>) -> Epilogue<'a, T> {
        match *self {
            Self::Nothing => Epilogue::STORE,
            Self::Affine { plus, activation, .. } => {
                Epilogue { add: false, bias, plus, relu: activation == Activation::Relu }
            }
        }
    }

    /// Other activations than the tile's own, of `columns` values from every place on: what the tile made is in the cache.
    ///
    /// # Safety
    /// These values are valid, and nobody else touches them.
    pub(super) unsafe fn activate(&self, places: impl IntoIterator<Item = usize>, columns: usize, out: *mut T) {
        let Self::Affine { activation, .. } = *self else { return };
        if matches!(activation, Activation::None | Activation::Relu) {
            return;
        }
        for place in places {
            // SAFETY: the caller's promise.
            apply_in_place(activation, unsafe { std::slice::from_raw_parts_mut(out.add(place), columns) });
        }
    }
}

/// Tasks that there are at least, where the work allows: enough for many cores.
pub(super) const TASKS: usize = 16;

/// Weights above this many values are read from far away, so a task makes many pixels with them.
const LARGE: usize = 1 << 18;

/// Steps of a sum that are taken for all pixels of a task before the next ones. So many rows of a panel come from the second cache,
/// which keeps up with the products; what fits into the first one (128) stores and reads the sums three times as often, and was slower by a
/// tenth where sums have 384 steps (`benches/runs/2026-11-28-intel-xeon-peers`).
const STEPS: usize = 384;

/// Values that a task makes, at most.
pub(super) const RESULTS: usize = 1 << 18;

/// Where the pixels of a map go.
#[derive(Clone, Copy)]
pub(super) struct Output<'a, T> {
    pub places: &'a Places,
    pub values: Shared<'a, T>,
    /// Whether moments are wanted, which is for maps whose channels are all made here and whose pixels follow each other.
    pub moments: bool,
}

impl<T: Element> Output<'_, T> {
    /// The moments of some rows of maps whose lines have `columns` pixels, read while they are in the cache.
    ///
    /// # Safety
    /// These rows have all been written, with all channels, and by this task alone.
    pub(super) unsafe fn moments_of(&self, rows: Range<usize>, columns: usize) -> Join {
        let line = columns * self.places.channels;
        // SAFETY: the caller's promise.
        let made =
            unsafe { std::slice::from_raw_parts(self.values.pointer().add(rows.start * line), rows.len() * line) };
        norm::part(self.places.channels, made)
    }
}

/// The biases of every panel, filled up to its columns.
pub(super) fn biases<T: Element>(panels: &Panels<T>, finish: Finish<T>) -> Vec<Vec<T>> {
    let Finish::Affine { bias, .. } = finish else { return Vec::new() };
    let fill = |&(first, count, kernel): &(usize, usize, npair_simd::Kernel<T>)| {
        let mut values = vec![T::ZERO; kernel.columns];
        if let Some(bias) = bias {
            values[..count].copy_from_slice(&bias[first..first + count]);
        }
        values
    };
    panels.columns.panels.iter().map(fill).collect()
}

/// Windows times panels: every pixel of the map at its place in the output, and perhaps the moments of every channel.
pub(super) fn multiply<T: Element>(
    windows: &Windows,
    x: &[T],
    panels: &Panels<T>,
    finish: Finish<T>,
    output: Output<T>,
) -> Option<Moments> {
    let Output { places, values: out, moments } = output;
    let rows = windows.rows();
    let pixels = rows * windows.count.1;
    if pixels == 0 {
        return None;
    }
    let width: usize = panels.columns.panels.iter().map(|p| p.1).sum();
    let least = if panels.steps * width > LARGE { 384 } else { 96 };
    // What a task makes stays in the second cache.
    let most = (RESULTS / width.max(1)).clamp(least, 4096);
    let bands = rows.div_ceil(windows.band((pixels / TASKS).clamp(least, most)));
    let band = rows.div_ceil(bands);
    // Few pixels: tasks share them and have some of the columns each.
    let groups = (TASKS / 2).div_ceil(bands).min(panels.columns.panels.len()).max(1);
    let biases = biases(panels, finish);
    let task = |padded: &mut Vec<T>, task: usize| {
        let (at, group) = (task / groups, task % groups);
        let band = at * band..rows.min((at + 1) * band);
        let view = windows.view(x, band.clone(), padded);
        let to = places.of(windows.count, band.clone());
        let count = panels.columns.panels.len();
        let mut moved = vec![0; to.len()];
        let sums = blocks(&view.values, STEPS);
        let own = group * count / groups..(group + 1) * count / groups;
        for p in own.clone() {
            let (first, columns, kernel) = panels.columns.panels[p];
            for (moved, place) in moved.iter_mut().zip(&to) {
                *moved = place + first;
            }
            let mut from = 0;
            for (at, runs) in sums.iter().enumerate() {
                let last = at + 1 == sums.len();
                let after = if last { finish.epilogue(biases.get(p).map(|bias| &bias[..])) } else { Epilogue::STORE };
                let epilogue = Epilogue { add: at > 0, ..after };
                let y = &panels.panel(p)[from * kernel.columns..];
                let mut next = view.corners.chunks(kernel.rows).skip(1);
                for (rows, out_rows) in view.corners.chunks(kernel.rows).zip(moved.chunks(kernel.rows)) {
                    // The first panel brings the windows into the cache.
                    let ahead = next.next().filter(|_| p == own.start).unwrap_or(&[]);
                    let (x, y_step) = (view.source, kernel.columns);
                    let tile = Tile { x, rows, runs, y, y_step, ahead, out_rows, columns, epilogue };
                    // SAFETY: the places of different bands are different pixels and those of different panels
                    // different channels, and all lie in `out`.
                    unsafe { kernel.run_at(&tile, out.pointer(), out.len()) };
                }
                from += steps(runs);
            }
            // SAFETY: these values have been written, and by this task alone.
            unsafe { finish.activate(moved.iter().copied(), columns, out.pointer()) };
        }
        // SAFETY: one group writes all channels of its rows, and no other task has these.
        (moments && groups == 1).then(|| unsafe { output.moments_of(band, windows.count.1) })
    };
    let parts: Vec<Option<Join>> = (0..bands * groups).into_par_iter().map_init(Vec::new, task).collect();
    let parts: Option<Vec<Join>> = parts.into_iter().collect();
    parts.map(|parts| norm::join(places.channels, parts))
}
