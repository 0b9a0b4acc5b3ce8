//! Factors of the products of one head: rows that lie apart, packed once for the register tile.

use crate::kernel::Element;
use crate::kernel::conv::pairs;
use npair_simd::{Aligned, Columns, Epilogue, Run, Tile, pair_neighbours, pair_rows};

/// Rows of a tile, at most.
const MOST_ROWS: usize = 16;

/// Rows of `width` values, `step` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub values: &'a [T],
    pub count: usize,
    pub width: usize,
    pub step: usize,
}

impl<'a, T> Rows<'a, T> {
    pub fn row(self, at: usize) -> &'a [T] {
        &self.values[at * self.step..][..self.width]
    }

    /// Some of the rows.
    pub fn some(self, from: usize, count: usize) -> Self {
        Self { values: &self.values[from * self.step..], count, ..self }
    }
}

/// A right factor: panel by panel, (step, column), or (two steps as a pair of bf16, column).
pub(super) struct Right<T> {
    values: Aligned<T>,
    steps: usize,
}

impl<T: Element> Right<T> {
    pub fn new() -> Self {
        Self { values: Aligned::zeros(0), steps: 0 }
    }

    /// The rows are the steps of the sum.
    pub fn pack_steps(&mut self, rows: Rows<T>, columns: &Columns<T>, paired: bool) {
        let each = if paired { 2 } else { 1 };
        self.steps = rows.count.div_ceil(each);
        let nothing = vec![T::ZERO; if paired { rows.width } else { 0 }];
        let mut rest = self.values.room(self.steps * width(columns));
        for &(first, count, kernel) in &columns.panels {
            let (panel, after) = rest.split_at_mut(self.steps * kernel.columns);
            rest = after;
            for (at, to) in panel.chunks_exact_mut(kernel.columns).enumerate() {
                let low = &rows.row(each * at)[first..first + count];
                if paired {
                    let high = if 2 * at + 1 < rows.count { rows.row(2 * at + 1) } else { &nothing };
                    pair_rows(low, &high[first..first + count], &mut to[..count]);
                } else {
                    to[..count].copy_from_slice(low);
                }
                to[count..].fill(T::ZERO);
            }
        }
    }

    /// The rows are the columns: their values are the steps, an even number of them if they are paired.
    pub fn pack_columns(&mut self, rows: Rows<T>, columns: &Columns<T>, paired: bool) {
        self.steps = if paired { rows.width / 2 } else { rows.width };
        let mut rest = self.values.room(self.steps * width(columns));
        for &(first, count, kernel) in &columns.panels {
            let (panel, after) = rest.split_at_mut(self.steps * kernel.columns);
            rest = after;
            for n in 0..kernel.columns {
                let to = panel[n..].iter_mut().step_by(kernel.columns);
                match (n < count).then(|| rows.row(first + n)) {
                    None => to.for_each(|to| *to = T::ZERO),
                    Some(row) if paired => {
                        to.zip(row.chunks_exact(2)).for_each(|(to, two)| *to = T::pair(two[0], two[1]));
                    }
                    Some(row) => to.zip(row).for_each(|(to, &value)| *to = value),
                }
            }
        }
    }
}

fn width<T>(columns: &Columns<T>) -> usize {
    columns.panels.iter().map(|p| p.2.columns).sum()
}

/// A left factor: `values[row r + step s]` for `rows` rows and as many steps as the right factor has from `from` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left<'a, T> {
    pub values: &'a [T],
    pub rows: usize,
    pub row: usize,
    pub step: usize,
    pub from: usize,
    pub steps: usize,
}

impl<'a, T: Element> Left<'a, T> {
    /// Rows as they lie, whose values are the steps.
    pub fn rows(rows: Rows<'a, T>) -> Self {
        let Rows { values, count, width, step } = rows;
        Self { values, rows: count, row: step, step: 1, from: 0, steps: width }
    }

    /// Their transpose: step s of the sum is row s.
    pub fn turned(rows: Rows<'a, T>, from: usize) -> Self {
        let Rows { values, count, width, step } = rows;
        Self { values, rows: width, row: 1, step, from, steps: count }
    }
}

/// Where a product goes: rows `step` apart from `at` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<T> {
    pub at: *mut T,
    /// Values from there on that may be written.
    pub len: usize,
    pub step: usize,
}

impl<T> Place<T> {
    /// From row `from` on.
    ///
    /// # Safety
    /// That row lies in the place.
    pub unsafe fn row_on(self, from: usize) -> Self {
        // SAFETY: the caller's promise.
        Self { at: unsafe { self.at.add(from * self.step) }, len: self.len - from * self.step, ..self }
    }
}

/// The product of the factors, stored or, with `add`, added.
///
/// # Safety
/// The rows of the place are valid for writes, with `add` written before, and nobody else touches them.
pub(super) unsafe fn multiply<T: Element>(
    left: Left<T>,
    right: &Right<T>,
    columns: &Columns<T>,
    to: Place<T>,
    add: bool,
) {
    let Left { values: x, rows, row, step, from, steps } = left;
    let count: usize = columns.panels.iter().map(|p| p.1).sum();
    if rows == 0 || steps == 0 {
        return;
    }
    assert!(
        (rows - 1) * row + (steps - 1) * step < x.len() && from + steps <= right.steps,
        "a factor leaves its slice"
    );
    assert!((rows - 1) * to.step + count <= to.len, "a product leaves its place");
    let (runs, epilogue) = ([Run { start: 0, len: steps, step }], if add { Epilogue::ADD } else { Epilogue::STORE });
    let mut start = 0;
    for &(first, columns, kernel) in &columns.panels {
        let y = &right.values.values()[start + from * kernel.columns..start + right.steps * kernel.columns];
        start += right.steps * kernel.columns;
        for top in (0..rows).step_by(kernel.rows) {
            let these = kernel.rows.min(rows - top);
            let from_rows: [usize; MOST_ROWS] = std::array::from_fn(|j| (top + j) * row);
            let out_rows: [usize; MOST_ROWS] = std::array::from_fn(|j| (top + j) * to.step + first);
            let (rows, out_rows) = (&from_rows[..these], &out_rows[..these]);
            let y_step = kernel.columns;
            let tile = Tile { x, rows, runs: &runs, y, y_step, ahead: &[], out_rows, columns, epilogue };
            // SAFETY: both factors hold all rows and steps and the place all rows (asserted above); the caller vouches for it.
            unsafe { kernel.run_at(&tile, to.at, to.len) };
        }
    }
}

/// How the products of a head are made: panels as wide as the tokens and as wide as a head, and whether of pairs of bf16.
#[derive(Clone)]
pub(super) struct Plan<T> {
    pub by_token: Columns<T>,
    pub by_channel: Columns<T>,
    pub paired: bool,
}

impl<T: Element> Plan<T> {
    pub fn new(tokens: usize, width: usize) -> Self {
        let pairs = pairs::columns(tokens).zip(pairs::columns(width)).filter(|_| width.is_multiple_of(2));
        let paired = pairs.is_some();
        let (by_token, by_channel) = pairs.unwrap_or_else(|| (Columns::new(tokens), Columns::new(width)));
        Self { by_token, by_channel, paired }
    }
}

/// Rows as a left factor over their values: where they lie, or as pairs in `room`; an odd last value stands beside what follows it.
pub(super) fn along<'a, T: Element>(rows: Rows<'a, T>, paired: bool, room: &'a mut Aligned<T>) -> Left<'a, T> {
    if !paired {
        return Left::rows(rows);
    }
    let pairs = rows.width.div_ceil(2);
    let to = room.room(rows.count * pairs);
    for (at, to) in to.chunks_exact_mut(pairs).enumerate() {
        pair_neighbours(&rows.values[at * rows.step..][..2 * pairs], to);
    }
    Left::rows(Rows { values: &*to, count: rows.count, width: pairs, step: pairs })
}

/// Rows as a left factor over the rows, from step `from` of the right factor on: where they lie, or two as a row of pairs in `room`.
pub(super) fn down<'a, T: Element>(
    rows: Rows<'a, T>,
    from: usize,
    paired: bool,
    room: &'a mut Aligned<T>,
) -> Left<'a, T> {
    if !paired {
        return Left::turned(rows, from);
    }
    let nothing = vec![T::ZERO; rows.width];
    let count = rows.count.div_ceil(2);
    let to = room.room(count * rows.width);
    for (at, to) in to.chunks_exact_mut(rows.width).enumerate() {
        let high = if 2 * at + 1 < rows.count { rows.row(2 * at + 1) } else { &nothing };
        pair_rows(rows.row(2 * at), high, to);
    }
    Left::turned(Rows { values: &*to, count, width: rows.width, step: rows.width }, from / 2)
}
