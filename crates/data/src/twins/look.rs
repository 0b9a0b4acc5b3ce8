use super::Orientation;
use crate::Picture;
use crate::transform::scaled;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Side of the small grey picture that two are compared by.
pub(super) const SIDE: usize = 32;
/// Side of the smaller picture that has colours.
pub(super) const COLOURED: usize = 16;
/// Side of the smallest picture, whose mean is 0.
const PATCHES: usize = 8;
/// A picture with less contrast than this, in levels of 256, is blank: blanks are all alike.
const BLANK: f32 = 4.;

/// A small grey picture.
pub(super) type Grey = [u8; SIDE * SIDE];

/// What a picture looks like, in few bytes.
#[derive(Clone)]
pub(super) struct Look {
    /// Of all pixels.
    pixels: u64,
    grey: Grey,
    colours: [[u8; 3]; COLOURED * COLOURED],
    patches: [i16; PATCHES * PATCHES],
}

impl Look {
    /// None of a picture that cannot be scaled.
    pub(super) fn of(picture: &Picture) -> Option<Self> {
        let mut hasher = DefaultHasher::new();
        (picture.width(), picture.height(), picture.channels(), picture.pixels()).hash(&mut hasher);
        let small = blurred(&scaled(picture, SIDE as u32, SIDE as u32).ok()?.to_rgb());
        let mut grey = [0; SIDE * SIDE];
        for (grey, colour) in grey.iter_mut().zip(&small) {
            *grey = (colour.iter().sum::<u16>() / 3) as u8;
        }
        Some(Self { pixels: hasher.finish(), grey, colours: coloured(&small), patches: patches(&grey) })
    }

    /// A fingerprint of all pixels.
    pub(super) fn pixels(&self) -> u64 {
        self.pixels
    }

    pub(super) fn grey(&self) -> &Grey {
        &self.grey
    }

    pub(super) fn colours(&self) -> &[[u8; 3]; COLOURED * COLOURED] {
        &self.colours
    }

    /// The mean difference of patches of 4 x 4 places, each less the mean of its picture, in levels of 256.
    pub(super) fn apart(&self, other: &Self) -> i32 {
        let patches = self.patches.iter().zip(&other.patches);
        patches.map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).sum::<i32>() / self.patches.len() as i32
    }

    /// Mean distance of the grey places from their mean, in levels of 256.
    pub(super) fn contrast(&self) -> f32 {
        let mean = |values: &mut dyn Iterator<Item = f32>| values.sum::<f32>() / self.grey.len() as f32;
        let middle = mean(&mut self.grey.iter().map(|&v| f32::from(v)));
        mean(&mut self.grey.iter().map(|&v| (f32::from(v) - middle).abs()))
    }

    pub(super) fn is_blank(&self) -> bool {
        self.contrast() < BLANK
    }

    /// What the picture looks like in another orientation.
    pub(super) fn oriented(&self, orientation: Orientation) -> Self {
        if orientation == Orientation::UPRIGHT {
            return self.clone();
        }
        let mut turned = self.clone();
        turn(&self.grey, &mut turned.grey, SIDE, orientation);
        turn(&self.colours, &mut turned.colours, COLOURED, orientation);
        turn(&self.patches, &mut turned.patches, PATCHES, orientation);
        turned
    }
}

fn turn<T: Copy>(from: &[T], to: &mut [T], side: usize, orientation: Orientation) {
    for (at, to) in to.iter_mut().enumerate() {
        let [row, column] = orientation.source(side, [at / side, at % side]);
        *to = from[row * side + column];
    }
}

/// A picture of `SIDE` x `SIDE` pixels, blurred by the weights 1, 2, 1 along both axes: what lies between places can then be told
/// from the places (the cut copy of a picture has its places between those of the whole).
fn blurred(small: &Picture) -> Vec<[u16; 3]> {
    let places: Vec<[u16; 3]> =
        small.pixels().chunks_exact(3).map(|p| [u16::from(p[0]), u16::from(p[1]), u16::from(p[2])]).collect();
    let last = SIDE - 1;
    let mixed = |a: [u16; 3], b: [u16; 3], c: [u16; 3]| [0, 1, 2].map(|i| a[i] + 2 * b[i] + c[i]);
    let along: Vec<[u16; 3]> = (0..places.len())
        .map(|at| {
            let (row, column) = (at / SIDE * SIDE, at % SIDE);
            let near = |column: usize| places[row + column];
            mixed(near(column.saturating_sub(1)), near(column), near((column + 1).min(last)))
        })
        .collect();
    (0..places.len())
        .map(|at| {
            let (row, column) = (at / SIDE, at % SIDE);
            let near = |row: usize| along[row * SIDE + column];
            mixed(near(row.saturating_sub(1)), near(row), near((row + 1).min(last))).map(|sum| (sum + 8) / 16)
        })
        .collect()
}

/// The mean colours of `COLOURED` x `COLOURED` patches.
fn coloured(small: &[[u16; 3]]) -> [[u8; 3]; COLOURED * COLOURED] {
    let patch = SIDE / COLOURED;
    let mut colours = [[0; 3]; COLOURED * COLOURED];
    for (at, colour) in colours.iter_mut().enumerate() {
        let (row, column) = (at / COLOURED * patch, at % COLOURED * patch);
        let places = || (0..patch * patch).map(|i| small[(row + i / patch) * SIDE + column + i % patch]);
        *colour = [0, 1, 2].map(|i| (places().map(|place| place[i]).sum::<u16>() / (patch * patch) as u16) as u8);
    }
    colours
}

/// The means of patches, less the mean of them all.
fn patches(grey: &Grey) -> [i16; PATCHES * PATCHES] {
    let patch = SIDE / PATCHES;
    let mut patches = [0i16; PATCHES * PATCHES];
    for (at, &value) in grey.iter().enumerate() {
        patches[at / SIDE / patch * PATCHES + at % SIDE / patch] += i16::from(value);
    }
    let mean = patches.iter().map(|&v| i32::from(v)).sum::<i32>() / patches.len() as i32;
    patches.map(|sum| ((i32::from(sum) - mean) / (patch * patch) as i32) as i16)
}
