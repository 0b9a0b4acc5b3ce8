use crate::Element;
use npair_simd::vectorised;

/// Values that are looked at together.
const LANES: usize = 16;

/// As many of these are looked at before anything is decided.
const CHUNKS: usize = 4;

/// Values of a tile, `step` from row to row, of which `count` are looked at, with the bars of its rows and of its columns.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a, T> {
    pub(super) values: &'a [T],
    pub(super) step: usize,
    pub(super) count: usize,
    pub(super) rows: &'a [T],
    pub(super) columns: &'a [T],
}

vectorised! {
    /// (row, column) of the values that are not below their row's bar, or not below their column's: NaNs too.
    pub(super) fn above<T: Element>(scan: Scan<T>, found: &mut Vec<(u32, u32)>) {
        found.clear();
        let Scan { values, step, count, rows, columns } = scan;
        // A NaN is below nothing.
        let high = |v: T, row: T, column: T| !((v < row) & (v < column));
        let (whole, rest) = columns[..count].as_chunks::<LANES>();
        for (row, (line, &bar)) in values.chunks_exact(step).zip(rows).enumerate() {
            let (chunks, last) = line[..count].as_chunks::<LANES>();
            for (group, (chunks, bars)) in chunks.chunks(CHUNKS).zip(whole.chunks(CHUNKS)).enumerate() {
                let mut any = [0u32; LANES];
                for (chunk, bars) in chunks.iter().zip(bars) {
                    for i in 0..LANES {
                        any[i] |= u32::from(high(chunk[i], bar, bars[i]));
                    }
                }
                if any.iter().fold(0, |a, b| a | b) == 0 {
                    continue;
                }
                for (at, (chunk, bars)) in chunks.iter().zip(bars).enumerate() {
                    let first = (group * CHUNKS + at) * LANES;
                    // One bit of every value, so that those that are looked for are not asked one by one.
                    let mut hits = (0..LANES).fold(0u32, |hits, i| hits | u32::from(high(chunk[i], bar, bars[i])) << i);
                    while hits != 0 {
                        found.push((row as u32, first as u32 + hits.trailing_zeros()));
                        hits &= hits - 1;
                    }
                }
            }
            let past = chunks.len() * LANES;
            let hits = (0..last.len()).filter(|&i| high(last[i], bar, rest[i]));
            found.extend(hits.map(|i| (row as u32, (past + i) as u32)));
        }
    }
}
