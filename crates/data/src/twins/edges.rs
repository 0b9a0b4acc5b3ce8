//! Who is worth comparing: pictures with some of their edges in common.

use super::look::{Grey, SIDE};
use std::collections::HashMap;

/// A picture has so many groups of so many edges.
const BANDS: usize = 8;
const IN_BAND: usize = 16;
/// Steps a side, along rows and along columns.
const STEPS: usize = 8;
/// Brightness, in sums over 8 of 32 x 32 places, that a step has to rise by: two levels of 256 a place.
const RISE: i16 = 16;
/// Edges of a band that are taken both ways: those that the least change would turn.
const UNSURE: usize = 3;
/// Edges of 128 in which two may differ to be compared.
const FAR: u32 = 20;
/// Pictures with the same band that are looked at, of more those that come last before the picture that asks.
const CROWD: usize = 4096;
/// Pictures that one is compared with in an orientation, of more those with the most edges in common.
const COMPARED: usize = 32;

/// Whether the picture rises from one place to the next, at 64 places along rows and 64 along columns.
pub(super) struct Edges {
    bits: u128,
    /// By how much above the least rise, in the order of the bits.
    steps: [i16; BANDS * IN_BAND],
}

impl Edges {
    pub(super) fn of(grey: &Grey) -> Self {
        let wide = 2 * STEPS;
        let fold = SIDE / wide;
        let mut places = [0i16; 4 * STEPS * STEPS];
        for (at, &value) in grey.iter().enumerate() {
            places[at / SIDE / fold * wide + at % SIDE / fold] += i16::from(value);
        }
        let mut steps = [0; BANDS * IN_BAND];
        for along in 0..2 {
            // Two places side by side, and the two behind them in the direction of the step.
            let place = |step: usize, line: usize| match along {
                0 => places[line * wide + step],
                _ => places[step * wide + line],
            };
            for (line, step) in (0..STEPS).flat_map(|line| (0..STEPS).map(move |step| (line, step))) {
                let sum = |step: usize| place(step, 2 * line) + place(step, 2 * line + 1);
                let rise = sum((2 * step + 2).min(wide - 1)) - sum(2 * step);
                // Every band has one edge of each line and of each step.
                let band = (3 * line + 5 * step + 4 * along) % BANDS;
                steps[band * IN_BAND + along * STEPS + line] = rise - RISE;
            }
        }
        let bits = steps.iter().enumerate().filter(|(_, step)| **step > 0).fold(0, |bits, (at, _)| bits | 1 << at);
        Self { bits, steps }
    }

    fn band(&self, band: usize) -> u16 {
        (self.bits >> (band * IN_BAND)) as u16
    }

    /// A band as it is, and with its unsure edges both ways.
    fn probes(&self, band: usize) -> [u16; 1 << UNSURE] {
        let steps = &self.steps[band * IN_BAND..(band + 1) * IN_BAND];
        let mut order: [usize; IN_BAND] = std::array::from_fn(|at| at);
        order.sort_unstable_by_key(|&at| (steps[at].unsigned_abs(), at));
        std::array::from_fn(|number| {
            let turned = (0..UNSURE).filter(|bit| number >> bit & 1 == 1).map(|bit| 1 << order[bit]);
            self.band(band) ^ turned.fold(0, |all, edge: u16| all | edge)
        })
    }
}

/// Pictures by each of their bands.
pub(super) struct EdgeTable {
    bits: Vec<u128>,
    bands: Vec<HashMap<u16, Vec<u32>>>,
}

impl EdgeTable {
    pub(super) fn new(edges: &[Edges]) -> Self {
        let mut bands = vec![HashMap::<u16, Vec<u32>>::new(); BANDS];
        for (at, edges) in edges.iter().enumerate() {
            for (band, places) in bands.iter_mut().enumerate() {
                places.entry(edges.band(band)).or_default().push(at as u32);
            }
        }
        Self { bits: edges.iter().map(|edges| edges.bits).collect(), bands }
    }

    /// The places before `end` whose edges are like these, the most alike first.
    pub(super) fn near(&self, edges: &Edges, end: usize) -> Vec<usize> {
        let mut near = Vec::new();
        for (band, places) in self.bands.iter().enumerate() {
            for probe in edges.probes(band) {
                let Some(places) = places.get(&probe) else { continue };
                let before = &places[..places.partition_point(|&at| (at as usize) < end)];
                for &at in &before[before.len().saturating_sub(CROWD)..] {
                    let distance = (self.bits[at as usize] ^ edges.bits).count_ones();
                    if distance <= FAR {
                        near.push((distance, at));
                    }
                }
            }
        }
        near.sort_unstable();
        near.dedup();
        near.truncate(COMPARED);
        near.into_iter().map(|(_, at)| at as usize).collect()
    }
}
