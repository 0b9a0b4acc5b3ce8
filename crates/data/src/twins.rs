//! Pictures that are there twice: the same pixels, or the same picture in another size or encoding.

use crate::check::survey;
use crate::{Dataset, OfficialSide, Picture, Report};
use npair_types::ExampleId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Side of the small grey picture that two are compared by.
const SMALL: usize = 16;
/// Two are one picture if their small ones differ by at most so many levels of 256 in the mean.
const LEVELS: u32 = 3;
/// And if their rising and falling edges, 64 of them, differ in at most so many.
const EDGES: u32 = 4;
/// A small picture with less contrast than this (mean distance from its mean) is blank: blanks are all alike.
const BLANK: u32 = 4;
/// Pictures with the same 16 edges that are all compared with each other; of more, each with so many that follow.
const CROWD: usize = 256;

/// Two examples that are one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Twins {
    /// The first.
    pub one: ExampleId,
    /// The second, which comes later in the data set.
    pub other: ExampleId,
    /// Whether all pixels are the same, and not only what is seen.
    pub same_pixels: bool,
}

/// Where twins stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// On two sides of the data set's own split: what is judged on was learned from.
    TwoSides,
    /// In two classes: one of the labels is wrong, or a split by classes puts them on two sides.
    TwoClasses,
    /// In one class: two pictures that count as one.
    OneClass,
}

impl Twins {
    /// Where they stand in their data set.
    pub fn stand(self, dataset: &dyn Dataset) -> Stand {
        let learned = |example| dataset.official(example).map(|side| side == OfficialSide::Train);
        let class = |example: ExampleId| dataset.labels().get(example.0);
        match (learned(self.one), learned(self.other)) {
            (Some(one), Some(other)) if one != other => Stand::TwoSides,
            _ if class(self.one) != class(self.other) => Stand::TwoClasses,
            _ => Stand::OneClass,
        }
    }
}

/// What a picture looks like, in few bytes.
struct Look {
    /// Of all pixels.
    pixels: u64,
    /// Whether the small picture rises from one place to the next, along its rows.
    edges: u64,
    small: [u8; SMALL * SMALL],
}

impl Look {
    fn of(picture: &Picture) -> Self {
        let mut hasher = DefaultHasher::new();
        (picture.width(), picture.height(), picture.channels(), picture.pixels()).hash(&mut hasher);
        let small = shrunk(picture);
        // 8 rows of 8 steps, each over two places.
        let step = |bit: usize| {
            let (row, column) = (bit / 8 * 2, bit % 8 * 2);
            let at =
                |column: usize| u32::from(small[row * SMALL + column]) + u32::from(small[(row + 1) * SMALL + column]);
            at((column + 2).min(SMALL - 1)) > at(column) + 2
        };
        let edges = (0..64).filter(|&bit| step(bit)).fold(0, |edges, bit| edges | 1 << bit);
        Self { pixels: hasher.finish(), edges, small }
    }

    fn is_blank(&self) -> bool {
        let n = self.small.len() as u32;
        let mean = self.small.iter().map(|&v| u32::from(v)).sum::<u32>() / n;
        self.small.iter().map(|&v| u32::from(v).abs_diff(mean)).sum::<u32>() < BLANK * n
    }

    fn is_like(&self, other: &Self) -> bool {
        let levels = self.small.iter().zip(&other.small).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        (self.edges ^ other.edges).count_ones() <= EDGES && levels <= LEVELS * self.small.len() as u32
    }
}

/// The picture in grey at 16 x 16: the mean of the pixels below each place.
fn shrunk(picture: &Picture) -> [u8; SMALL * SMALL] {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let channels = usize::from(picture.channels());
    let span = |at: usize, len: usize| (at * len / SMALL)..((at + 1) * len / SMALL).max(at * len / SMALL + 1);
    let mut small = [0u8; SMALL * SMALL];
    for (place, out) in small.iter_mut().enumerate() {
        let (rows, columns) = (span(place / SMALL, height), span(place % SMALL, width));
        let count = (rows.len() * columns.len() * channels) as u64;
        let row_sum = |y: usize| -> u64 {
            let row = &picture.pixels()[(y * width + columns.start) * channels..(y * width + columns.end) * channels];
            row.iter().map(|&v| u64::from(v)).sum()
        };
        *out = (rows.map(row_sum).sum::<u64>() / count) as u8;
    }
    small
}

/// Checks a data set as [`check`](crate::check()) does, and finds its twins in the same pass.
pub fn check_twins(dataset: &dyn Dataset) -> (Report, Vec<Twins>) {
    let (report, looks) = survey(dataset, Look::of);
    let looks: Vec<(ExampleId, Look)> =
        looks.into_iter().enumerate().filter_map(|(i, look)| Some((ExampleId(i), look?))).collect();
    (report, twins(&looks))
}

fn twins(looks: &[(ExampleId, Look)]) -> Vec<Twins> {
    let mut found = BTreeSet::new();
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut bands: HashMap<(u32, u16), Vec<usize>> = HashMap::new();
    for (at, (example, look)) in looks.iter().enumerate() {
        let one = *first.entry(look.pixels).or_insert(at);
        if one != at {
            found.insert(Twins { one: looks[one].0, other: *example, same_pixels: true });
        } else if !look.is_blank() {
            // Two that differ in at most three edges share one of four bands; in four, nearly always.
            (0..4).for_each(|band| bands.entry((band, (look.edges >> (16 * band)) as u16)).or_default().push(at));
        }
    }
    for crowd in bands.values_mut() {
        crowd.sort_unstable_by_key(|&at| (looks[at].1.edges, at));
        for (i, &one) in crowd.iter().enumerate() {
            for &other in crowd[i + 1..].iter().take(CROWD) {
                if looks[one].1.is_like(&looks[other].1) {
                    let (one, other) = (one.min(other), one.max(other));
                    found.insert(Twins { one: looks[one].0, other: looks[other].0, same_pixels: false });
                }
            }
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn noise(seed: u64, side: u32) -> Picture {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let coarse: Vec<u8> = (0..64).map(|_| rng.random()).collect();
        let pixels = (0..side * side).map(|i| coarse[(i / side * 8 / side * 8 + i % side * 8 / side) as usize]);
        Picture::new(side, side, 1, pixels.collect::<Vec<u8>>()).unwrap()
    }

    #[test]
    fn the_same_picture_is_found_in_another_size_and_with_small_changes_and_others_are_not() {
        let mut pictures: Vec<Picture> = (0..200).map(|seed| noise(seed, 48)).collect();
        // 200: the same pixels as 3; 201: 5 in another size; 202: 7 with every pixel a little off.
        pictures.push(noise(3, 48));
        pictures.push(noise(5, 96));
        let off: Vec<u8> =
            pictures[7].pixels().iter().enumerate().map(|(i, &v)| v.saturating_add((i % 3) as u8)).collect();
        pictures.push(Picture::new(48, 48, 1, off).unwrap());
        // Blank ones are not one picture.
        pictures.extend((0..3).map(|v| Picture::new(48, 48, 1, vec![250 + v; 48 * 48]).unwrap()));
        let looks: Vec<_> = pictures.iter().enumerate().map(|(i, p)| (ExampleId(i), Look::of(p))).collect();
        let pair = |one, other, same_pixels| Twins { one: ExampleId(one), other: ExampleId(other), same_pixels };
        assert_eq!(twins(&looks), [pair(3, 200, true), pair(5, 201, false), pair(7, 202, false)]);
    }
}
