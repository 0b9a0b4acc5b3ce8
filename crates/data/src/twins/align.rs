//! Whether one small picture is another, moved, zoomed and brightened a little.

use super::look::{COLOURED, Grey, Look, SIDE};

/// Sides at which two are laid over each other, one after the other.
const SIDES: [usize; 3] = [8, 16, SIDE];
/// Rounds of least squares at each.
const ROUNDS: [usize; 3] = [4, 3, 3];
/// The mean difference, in levels of 256, that may be left after the rounds at each side for there to be hope.
const HOPE: [f64; 3] = [12., 8., 3.5];
/// The mean difference of patches, brightness aside, of two that lie on each other as they are, above which there is none.
const FAR: i32 = 18;
/// How far two may be shifted, and their edges zoomed, in halves of a side.
const REACH: f64 = 0.16;
/// By how much contrast and brightness (in levels) may differ.
const GAIN: [f64; 2] = [0.75, 1.34];
const OFFSET: f64 = 40.;
/// Side of the patches none of which may differ.
const PATCH: usize = 4;
/// The mean difference of a patch that may be left.
const WORST: f64 = 9.;
/// The same of colours, in the mean and at the worst of the coloured places.
const COLOURS: [f64; 2] = [3., 12.];
/// Side of the patches whose colours are compared.
const COLOUR_PATCH: usize = 2;
/// Parts of a picture's contrast that the mean and the worst patch may differ by: a faint picture has to agree better.
const OF_CONTRAST: [f64; 2] = [0.12, 0.4];

/// Whether one of two looks is the other, moved, zoomed and brightened a little.
pub(super) fn is_one(one: &Look, other: &Look) -> bool {
    if one.apart(other) > FAR {
        return false;
    }
    let looks = [one, other].map(|look| (look, pyramid(look.grey())));
    // What is bright is cut off at white in one of them, what is cut off at the edges is missing in one: it explains nothing of the
    // other. Where all hope is lost at once the other way round is no better.
    match explains(&looks[0], &looks[1]) {
        Explained::Wholly => true,
        Explained::Roughly => explains(&looks[1], &looks[0]) == Explained::Wholly,
        Explained::Not => false,
    }
}

/// How far one picture explains another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Explained {
    /// Not at the smallest side.
    Not,
    /// At the smallest side only.
    Roughly,
    Wholly,
}

type Levels = [Vec<f32>; 3];

/// The picture at all sides.
fn pyramid(grey: &Grey) -> Levels {
    let whole: Vec<f32> = grey.iter().map(|&v| f32::from(v)).collect();
    let half = halved(&whole, SIDE);
    [halved(&half, SIDE / 2), half, whole]
}

fn halved(plane: &[f32], side: usize) -> Vec<f32> {
    let half = side / 2;
    let mean = |at: usize| {
        let corner = at / half * 2 * side + at % half * 2;
        (plane[corner] + plane[corner + 1] + plane[corner + side] + plane[corner + side + 1]) / 4.
    };
    (0..half * half).map(mean).collect()
}

/// How one picture is laid over another: what lies at `x` of the second, from -1 to 1, is at `x + shift + zoom x` of the first, and is
/// `gain` times as bright plus `offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fit {
    shift: [f64; 2],
    zoom: [f64; 2],
    gain: f64,
    offset: f64,
}

impl Fit {
    const NONE: Self = Self { shift: [0.; 2], zoom: [0.; 2], gain: 1., offset: 0. };

    /// Where in the first picture the columns (axis 0) or rows (axis 1) of the second lie; none further out than a quarter of a place.
    fn lines(&self, axis: usize, side: usize) -> [Option<Line>; SIDE] {
        let last = (side - 1) as f64;
        let mut lines = [None; SIDE];
        for (place, line) in lines.iter_mut().enumerate().take(side) {
            let middle = (2 * place + 1) as f64 / side as f64 - 1.;
            let at = (middle + self.shift[axis] + self.zoom[axis] * middle + 1.) * side as f64 / 2. - 0.5;
            if (-0.25..=last + 0.25).contains(&at) {
                let before = at.clamp(0., last - 1.) as usize;
                *line = Some(Line { middle, before, part: at - before as f64 });
            }
        }
        lines
    }

    fn bright(&self, value: f64) -> f64 {
        self.gain * value + self.offset
    }

    /// One round of least squares (Gauss and Newton); none where the pictures say nothing.
    fn round(self, first: &[f32], second: &[f32], side: usize) -> Option<Self> {
        let mut sums = Sums::default();
        let slope = self.gain * side as f64 / 2.;
        self.each(first, second, side, |_, want, sampled, [x, y]| {
            let have = self.bright(sampled.value);
            // Beyond white and black a picture says no more.
            if (want < 250. || have <= 255.) && (want > 5. || have >= 0.) {
                let by = sampled.along.map(|along| along * slope);
                sums.add([by[0], by[1], by[0] * x, by[1] * y, sampled.value, 1.], want - have);
            }
        });
        let step = sums.solve()?;
        let near = |value: f64, by: f64| (value + by).clamp(-REACH, REACH);
        Some(Self {
            shift: [near(self.shift[0], step[0]), near(self.shift[1], step[1])],
            zoom: [near(self.zoom[0], step[2]), near(self.zoom[1], step[3])],
            gain: (self.gain + step[4]).clamp(GAIN[0], GAIN[1]),
            offset: (self.offset + step[5]).clamp(-OFFSET, OFFSET),
        })
    }

    /// What is left of the difference at every place, with its sign; none where the first picture does not reach.
    fn left(&self, first: &[f32], second: &[f32], side: usize) -> Vec<Option<f64>> {
        let mut left = vec![None; side * side];
        self.each(first, second, side, |at, want, sampled, _| {
            left[at] = Some(want - self.bright(sampled.value).clamp(0., 255.));
        });
        left
    }

    /// Every place of the second picture that the first one reaches: its number, its value, that of the first there, and its middle.
    fn each(&self, first: &[f32], second: &[f32], side: usize, mut f: impl FnMut(usize, f64, Sampled, [f64; 2])) {
        let columns = self.lines(0, side);
        for (row, y) in self.lines(1, side).iter().enumerate().take(side) {
            let Some(y) = y else { continue };
            for (column, x) in columns.iter().enumerate().take(side) {
                let Some(x) = x else { continue };
                let at = row * side + column;
                f(at, f64::from(second[at]), sampled(first, side, x, y), [x.middle, y.middle]);
            }
        }
    }
}

/// Where a column or row of the second picture lies in the first.
#[derive(Clone, Copy)]
struct Line {
    /// Its middle in the second, from -1 to 1.
    middle: f64,
    /// The line of the first before it.
    before: usize,
    /// How far it is from there to the next.
    part: f64,
}

struct Sampled {
    value: f64,
    /// How it changes from place to place, along x and y.
    along: [f64; 2],
}

/// The value between places.
fn sampled(plane: &[f32], side: usize, x: &Line, y: &Line) -> Sampled {
    let corner = y.before * side + x.before;
    let value = |by: usize| f64::from(plane[corner + by]);
    let (a, b, c, d) = (value(0), value(1), value(side), value(side + 1));
    let (top, bottom) = (a + (b - a) * x.part, c + (d - c) * x.part);
    let along = [(b - a) + ((d - c) - (b - a)) * y.part, bottom - top];
    Sampled { value: top + along[1] * y.part, along }
}

/// The normal equations of six unknowns.
#[derive(Default)]
struct Sums {
    squares: [[f64; 6]; 6],
    right: [f64; 6],
}

impl Sums {
    fn add(&mut self, row: [f64; 6], value: f64) {
        for i in 0..6 {
            self.right[i] += row[i] * value;
            for j in 0..=i {
                self.squares[i][j] += row[i] * row[j];
            }
        }
    }

    /// The solution, held back a little where the sums say little (Levenberg and Marquardt), by Cholesky; none if they say nothing.
    fn solve(mut self) -> Option<[f64; 6]> {
        let trace: f64 = (0..6).map(|i| self.squares[i][i]).sum();
        for i in 0..6 {
            let held = if i < 4 { 1e-6 * trace } else { 0. };
            self.squares[i][i] += 1e-3 * self.squares[i][i] + held + 1e-9;
        }
        let mut lower = [[0f64; 6]; 6];
        for i in 0..6 {
            for j in 0..=i {
                let rest = self.squares[i][j] - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
                lower[i][j] = if i == j { rest.max(0.).sqrt() } else { rest / lower[j][j] };
            }
            if lower[i][i].is_nan() || lower[i][i] <= 0. {
                return None;
            }
        }
        let mut x = self.right;
        for i in 0..6 {
            x[i] = (x[i] - (0..i).map(|k| lower[i][k] * x[k]).sum::<f64>()) / lower[i][i];
        }
        for i in (0..6).rev() {
            x[i] = (x[i] - (i + 1..6).map(|k| lower[k][i] * x[k]).sum::<f64>()) / lower[i][i];
        }
        Some(x)
    }
}

/// Whether the second picture is the first, moved, zoomed and brightened a little.
fn explains((one, first): &(&Look, Levels), (other, second): &(&Look, Levels)) -> Explained {
    let (mut fit, mut explained) = (Fit::NONE, Explained::Not);
    for (level, &side) in SIDES.iter().enumerate() {
        for _ in 0..ROUNDS[level] {
            let Some(better) = fit.round(&first[level], &second[level], side) else { return explained };
            fit = better;
        }
        if mean(&fit.left(&first[level], &second[level], side)).is_none_or(|left| left > HOPE[level]) {
            return explained;
        }
        explained = Explained::Roughly;
    }
    let left = fit.left(&first[2], &second[2], SIDE);
    let contrast = f64::from(other.contrast());
    let whole = mean(&left).is_some_and(|left| left <= OF_CONTRAST[0] * contrast)
        && worst_patch(&left) <= WORST.min(OF_CONTRAST[1] * contrast)
        && colours_agree(&fit, one, other);
    if whole { Explained::Wholly } else { explained }
}

/// The mean size of what is left.
fn mean(left: &[Option<f64>]) -> Option<f64> {
    let there = left.iter().flatten().count();
    (there > 0).then(|| left.iter().flatten().map(|v| v.abs()).sum::<f64>() / there as f64)
}

/// The largest mean size of a patch; of one that is cut the sum counts as if half of it were there.
fn worst_patch(left: &[Option<f64>]) -> f64 {
    patches(left, SIDE, PATCH).map(|patch| patch.abs).fold(0., f64::max)
}

/// What is left of a patch.
struct Patch {
    /// The mean.
    mean: f64,
    /// The mean size.
    abs: f64,
}

fn patches(left: &[Option<f64>], side: usize, patch: usize) -> impl Iterator<Item = Patch> {
    let row = side / patch;
    (0..row * row).map(move |at| {
        let corner = at / row * patch * side + at % row * patch;
        let places = || (0..patch * patch).filter_map(|i| left[corner + i / patch * side + i % patch]);
        let count = places().count().max(patch * patch / 2) as f64;
        Patch { mean: places().sum::<f64>() / count, abs: places().map(f64::abs).sum::<f64>() / count }
    })
}

/// Whether the colours of patches agree where the grey does. Their means are compared: what is between places is not known well enough
/// at colours' edges, but errors on both sides of an edge cancel out.
fn colours_agree(fit: &Fit, one: &Look, other: &Look) -> bool {
    let channel = |look: &Look, c: usize| -> Vec<f32> { look.colours().iter().map(|p| f32::from(p[c])).collect() };
    let mut off = [0.; (COLOURED / COLOUR_PATCH) * (COLOURED / COLOUR_PATCH)];
    for c in 0..3 {
        let left = fit.left(&channel(one, c), &channel(other, c), COLOURED);
        let means = patches(&left, COLOURED, COLOUR_PATCH).map(|patch| patch.mean.abs() / 3.);
        off.iter_mut().zip(means).for_each(|(off, mean)| *off += mean);
    }
    off.iter().sum::<f64>() <= COLOURS[0] * off.len() as f64 && off.iter().all(|&off| off <= COLOURS[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_find_what_was_done() {
        // A smooth picture, and the same shifted, zoomed and brightened by known amounts.
        let value = |x: f64, y: f64| 120. + 50. * (2.1 * x + 0.4).sin() * (1.3 * y).cos() + 20. * (3. * y - x).sin();
        let done = Fit { shift: [0.04, -0.03], zoom: [-0.08, 0.05], gain: 1.1, offset: -7. };
        let plane = |fit: &Fit| -> Vec<f32> {
            let at = |place: usize, axis: usize| {
                let x = (2 * place + 1) as f64 / SIDE as f64 - 1.;
                x + fit.shift[axis] + fit.zoom[axis] * x
            };
            (0..SIDE * SIDE).map(|i| fit.bright(value(at(i % SIDE, 0), at(i / SIDE, 1))) as f32).collect()
        };
        let (first, second) = (plane(&Fit::NONE), plane(&done));
        let mut fit = Fit::NONE;
        (0..12).for_each(|_| fit = fit.round(&first, &second, SIDE).unwrap());
        // Values between places are off by a second derivative of 500 / 2 times the square of 1 / 32, some 0.25 levels, of slopes of 50.
        let off = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs().max((a[1] - b[1]).abs());
        assert!(off(fit.shift, done.shift) < 0.005 && off(fit.zoom, done.zoom) < 0.01, "{fit:?}");
        assert!((fit.gain - done.gain).abs() < 0.01 && (fit.offset - done.offset).abs() < 1., "{fit:?}");
        assert!(mean(&fit.left(&first, &second, SIDE)).unwrap() < 0.25);
    }

    #[test]
    fn equations_without_an_answer_are_none_or_finite() {
        assert!(Sums::default().solve().is_none_or(|x| x.iter().all(|v| v.is_finite())));
        let mut sums = Sums::default();
        sums.add([f64::NAN; 6], 1.);
        assert!(sums.solve().is_none());
    }
}
