use super::mined::CandidateSets;
use super::miner::{ChosenClasses, ClassMiner};
use super::prototypes::{Prototypes, dot};
use crate::{Error, Result};
use npair_types::{ChaCha8Rng, Measure};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How strongly a candidate class violates the triplet constraint against the classes chosen so far. The paper does not say;
/// both readings are here.
///
/// Between a candidate c and a chosen class s, with E examples of each, the violation is that of the triplet whose query and
/// positive are examples of s and whose negative is an example of c:
///
/// ```text
/// v(c, s) = max or mean over e in c, f in s of  x_e . x_f   -   own(s)
/// own(s)  = mean over pairs f != f' in s of  x_f . x_f'     (0 if E = 1)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Violation {
    /// The largest violation: of any two examples, against any chosen class.
    #[default]
    WorstPair,
    /// The mean violation over the examples and over the chosen classes.
    Mean,
}

/// Greedy negative class mining: from a random start, again and again the class that violates the triplet constraint most
/// against those already chosen; of tied ones a random one. Every candidate's score runs along, so that a choice costs one
/// comparison of all candidates with the class chosen last: O(C N E^2 D).
///
/// # Source
/// Sohn, NIPS 2016, section 3.2.1.
#[derive(Debug, Clone, Copy, Default)]
pub struct GreedyMiner {
    /// How violations are scored.
    pub violation: Violation,
}

npair_types::settings! {
    /// Greedy negative class mining. The paper gives none of the numbers; these are the workspace's.
    pub struct GreedyMiningSettings {
        /// C, the random classes of which the hard ones are chosen; all classes if there are fewer.
        candidates: usize = 500,
        /// E, the examples of each that are embedded: one, or two to see how similar a class is to itself.
        examples: usize = 1,
        /// R, the batches after which candidates are drawn and embedded anew.
        refresh: usize = 10,
        /// How violations are scored.
        violation: Violation = Violation::WorstPair,
        /// The measure that compares embeddings: dot or cosine.
        measure: Measure = Measure::Dot,
    }
}

impl GreedyMiningSettings {
    /// The sets of candidates.
    pub fn candidate_sets(&self) -> CandidateSets {
        let Self { candidates, examples, refresh, measure, .. } = *self;
        CandidateSets { candidates, examples, refresh, measure }
    }

    /// The miner that chooses from them.
    pub fn miner(&self) -> GreedyMiner {
        GreedyMiner { violation: self.violation }
    }
}

impl ClassMiner for GreedyMiner {
    fn name(&self) -> &str {
        "greedy class miner"
    }

    fn choose(&mut self, prototypes: &Prototypes, n: usize, rng: &mut ChaCha8Rng) -> Result<ChosenClasses> {
        let c = prototypes.len();
        if n == 0 || c < n {
            return Err(Error::TooFewClasses { need: n.max(1), least: prototypes.per_class(), have: c });
        }
        let mut last = rng.random_range(0..c);
        let mut chosen = ChosenClasses { indices: vec![last], violations: Vec::with_capacity(n - 1) };
        // The candidates that are left, and their running scores.
        let mut left: Vec<(usize, f32)> = (0..c).filter(|&i| i != last).map(|i| (i, self.start())).collect();
        while chosen.indices.len() < n {
            let own = own(prototypes, last);
            let mut best = f32::NEG_INFINITY;
            let mut ties = 0usize;
            for (place, score) in &mut left {
                *score = self.combine(*score, self.between(prototypes, *place, last) - own);
                if *score > best {
                    (best, ties) = (*score, 1);
                } else if *score == best {
                    ties += 1;
                }
            }
            let pick = if ties > 1 { rng.random_range(0..ties) } else { 0 };
            let Some(at) = left.iter().enumerate().filter(|(_, l)| l.1 == best).nth(pick).map(|(at, _)| at) else {
                // Products of finite prototypes that overflow have no order.
                return Err(Error::Prototypes {
                    got: vec![c],
                    want: "embeddings small enough for f32 products".to_owned(),
                });
            };
            // Keeps the others in order: ties are counted by it.
            last = left.remove(at).0;
            let so_far = chosen.indices.len() as f32;
            chosen.violations.push(if self.violation == Violation::Mean { best / so_far } else { best });
            chosen.indices.push(last);
        }
        Ok(chosen)
    }
}

impl GreedyMiner {
    fn start(self) -> f32 {
        match self.violation {
            Violation::WorstPair => f32::NEG_INFINITY,
            Violation::Mean => 0.,
        }
    }

    /// The running maximum, or the running sum (whose order is that of the mean).
    fn combine(self, score: f32, violation: f32) -> f32 {
        match self.violation {
            Violation::WorstPair => score.max(violation),
            Violation::Mean => score + violation,
        }
    }

    fn between(self, p: &Prototypes, candidate: usize, chosen: usize) -> f32 {
        let products = p.rows(candidate).flat_map(|x| p.rows(chosen).map(move |y| dot(x, y)));
        match self.violation {
            Violation::WorstPair => products.fold(f32::NEG_INFINITY, f32::max),
            Violation::Mean => products.sum::<f32>() / (p.per_class() * p.per_class()) as f32,
        }
    }
}

/// Similarity within a class.
fn own(p: &Prototypes, class: usize) -> f32 {
    let e = p.per_class();
    if e < 2 {
        return 0.;
    }
    let rows: Vec<&[f32]> = p.rows(class).collect();
    let pairs = (0..e).flat_map(|i| (i + 1..e).map(move |j| (i, j)));
    pairs.map(|(i, j)| dot(rows[i], rows[j])).sum::<f32>() / (e * (e - 1) / 2) as f32
}
