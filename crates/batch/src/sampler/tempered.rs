//! Classes of a long tail: large ones more often than small ones, as much as is wanted.

use crate::{Error, Result};
use npair_types::{ChaCha8Rng, ClassIndex};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// The stream of class draws, beside that of example draws in stream 0 of the same seed.
const STREAM: u64 = 1;

/// Classes drawn with a probability that grows with their number of examples:
///
/// ```text
/// P(class c is the next of the batch) = n_c^t / sum of n_d^t over the classes d that are not in the batch yet
/// ```
/// Every batch begins anew: nothing is kept but the generator, and no number of batches visits every class for sure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TemperedClasses {
    rng: ChaCha8Rng,
    /// n^t of the usable classes.
    #[serde(skip)]
    weights: Vec<f64>,
}

impl TemperedClasses {
    /// Of the usable classes of an index; the generator is another stream of the seed of `rng`.
    pub(crate) fn new(index: &ClassIndex, usable: &[usize], temper: f64, rng: &ChaCha8Rng) -> Result<Self> {
        if !(0. ..=1.).contains(&temper) {
            let range = "from 0 (all classes alike) to 1 (by their number of examples)";
            return Err(Error::Range { what: "the temper of class draws", got: temper, range });
        }
        let weights = usable.iter().map(|&place| (index.examples(place).len() as f64).powf(temper)).collect();
        let mut rng = rng.clone();
        rng.set_stream(STREAM);
        Ok(Self { rng, weights })
    }

    /// `n` different places, in the order in which they are drawn.
    ///
    /// Every class waits for a time of the exponential distribution whose rate is its weight; the first `n` are taken. The one that
    /// is first of any set of classes is so with a probability of its share of their weights, which is the formula above, in one pass.
    pub(crate) fn draw(&mut self, n: usize) -> Vec<usize> {
        let rng = &mut self.rng;
        let time = |(place, weight): (usize, &f64)| (-(1. - rng.random::<f64>()).ln() / weight, place);
        let mut times: Vec<(f64, usize)> = self.weights.iter().enumerate().map(time).collect();
        let earlier = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if n < times.len() {
            times.select_nth_unstable_by(n, earlier);
            times.truncate(n);
        }
        times.sort_unstable_by(earlier);
        times.into_iter().map(|(_, place)| place).collect()
    }

    /// Goes on from a later state.
    pub(crate) fn restore(&mut self, later: Self) {
        self.rng = later.rng;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Labels, Purpose, Streams};

    const SIZES: [usize; 4] = [2, 3, 16, 100];
    const DRAWS: usize = 100_000;

    fn tempered(temper: f64) -> TemperedClasses {
        let labels = SIZES.iter().enumerate().flat_map(|(class, &size)| vec![class as u32; size]);
        let index = ClassIndex::from_labels(&Labels::new(labels).unwrap());
        let rng = Streams::new(11).open(Purpose::Sampling, [0, 0]);
        TemperedClasses::new(&index, &[0, 1, 2, 3], temper, &rng).unwrap()
    }

    /// Five standard deviations of a count of so many draws of probability `p`: one count in 1.7 million is farther off by chance.
    fn bound(p: f64) -> f64 {
        5. * (DRAWS as f64 * p * (1. - p)).sqrt()
    }

    #[test]
    fn classes_come_up_by_the_power_of_their_size() {
        for temper in [0., 0.25, 0.5, 1.] {
            let weights = SIZES.map(|size| (size as f64).powf(temper));
            let total: f64 = weights.iter().sum();
            let mut classes = tempered(temper);
            let (mut first, mut pairs) = ([0usize; 4], [[0usize; 4]; 4]);
            for _ in 0..DRAWS {
                let drawn = classes.draw(2);
                first[drawn[0]] += 1;
                pairs[drawn[0]][drawn[1]] += 1;
            }
            for a in 0..4 {
                let p = weights[a] / total;
                let off = (first[a] as f64 - DRAWS as f64 * p).abs();
                assert!(off <= bound(p), "t = {temper}: class {a} off by {off} of {}", bound(p));
                assert_eq!(pairs[a][a], 0);
                // The second one, of those that are left.
                for b in (0..4).filter(|&b| b != a) {
                    let p = p * weights[b] / (total - weights[a]);
                    let off = (pairs[a][b] as f64 - DRAWS as f64 * p).abs();
                    assert!(off <= bound(p), "t = {temper}: {a} then {b} off by {off} of {}", bound(p));
                }
            }
        }
    }

    /// The bounds above tell one temper from another.
    #[test]
    fn the_bounds_tell_tempers_apart() {
        let share =
            |temper: f64| 100f64.powf(temper) / SIZES.map(|size| (size as f64).powf(temper)).iter().sum::<f64>();
        for (a, b) in [(0., 0.05), (0.5, 0.55), (0.95, 1.)] {
            assert!(DRAWS as f64 * (share(b) - share(a)) > bound(share(a)) + bound(share(b)));
        }
    }

    #[test]
    fn all_classes_can_be_drawn_and_a_restored_one_goes_on() {
        let mut classes = tempered(1.);
        for n in 1..=4 {
            let mut drawn = classes.draw(n);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), n);
        }
        let text = serde_json::to_string(&classes).unwrap();
        let mut again = tempered(1.);
        again.restore(serde_json::from_str(&text).unwrap());
        assert_eq!(
            (0..20).map(|_| classes.draw(3)).collect::<Vec<_>>(),
            (0..20).map(|_| again.draw(3)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_temper_out_of_range_is_said() {
        let index = ClassIndex::from_labels(&Labels::new([0, 0, 1, 1]).unwrap());
        for temper in [-0.1, 1.1, f64::NAN] {
            let rng = Streams::new(1).open(Purpose::Sampling, [0, 0]);
            let said = TemperedClasses::new(&index, &[0, 1], temper, &rng).err().unwrap().to_string();
            assert!(said.contains("from 0 (all classes alike) to 1"), "{said}");
        }
    }
}
