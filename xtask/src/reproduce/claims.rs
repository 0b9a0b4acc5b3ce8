//! The paper's claims, each with its parts, numbers and verdict.

use super::convergence::first_at;
use super::measured::{Measured, On};
use super::of_method;
use super::statistics::{Difference, Mean, SURE, Verdict};
use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, Clone, Serialize)]
pub struct Claim {
    /// Its number in the project's list.
    pub number: u8,
    pub says: &'static str,
    pub verdict: Verdict,
    pub parts: Vec<Part>,
}

impl Claim {
    /// As Markdown.
    pub fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "Claim {}: {}: **{}**\n", self.number, self.says, self.verdict)?;
        for part in &self.parts {
            writeln!(text, "- {}: {}. {}.", part.verdict, part.says, part.numbers)?;
        }
        text.write_str("\n")
    }
}

/// One inequality of a claim.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    pub says: String,
    pub numbers: String,
    pub verdict: Verdict,
}

/// "About as well": how far the classifier's recognition may stay behind. In the paper it is 0.8 points ahead on Car-333 and
/// 1.0 to 1.2 behind on Flower-610.
const ABOUT: f64 = 0.02;

/// The claims of which at least a part was measured.
pub fn of(measured: &[Measured]) -> Vec<Claim> {
    let mut claims = all(measured);
    claims.retain(|c| c.parts.iter().any(|p| p.numbers != NOT_MEASURED));
    claims
}

const NOT_MEASURED: &str = "not measured";

fn all(measured: &[Measured]) -> Vec<Claim> {
    let claim = |number, says, parts: Vec<Part>| {
        let verdict = if parts.is_empty() { Verdict::Undecided } else { Verdict::all(parts.iter().map(|p| p.verdict)) };
        Claim { number, says, verdict, parts }
    };
    vec![
        claim(
            1,
            "recognition and VRF: N-pair-mc >= N-pair-ovo > triplet with class mining > triplet (Table 1)",
            order(measured),
        ),
        claim(
            2,
            "a softmax classifier recognises about as well but falls behind on VRF with many negatives (Table 1)",
            softmax(measured),
        ),
        claim(
            3,
            "on unseen classes N-pair-mc has the best F1, NMI and recall@K, and class mining helps triplet and ovo (Table 2)",
            unseen(measured),
        ),
        claim(
            4,
            "on verification and open-set identification N-pair-mc is far ahead of ovo, and a larger N is better (Table 3)",
            faces(measured),
        ),
        claim(
            5,
            "at the same number of examples, more classes of two beat fewer classes of more (Table 4)",
            shapes(measured),
        ),
        claim(
            6,
            "N-pair-mc reaches the N-pair loss at which the triplet model ends in 1/16 of the steps (Figure 3)",
            steps(measured),
        ),
    ]
}

fn order(measured: &[Measured]) -> Vec<Part> {
    let ranks = [("n-pair-mc", ">=", "n-pair-ovo"), ("n-pair-ovo", ">", "triplet-nm"), ("triplet-nm", ">", "triplet")];
    let scores = ["recognition", "VRF(1)", "VRF(N-1)"];
    let inequalities = scores.iter().flat_map(|s| ranks.iter().map(move |r| (*s, *r)));
    inequalities.map(|(score, (a, sign, b))| compare(measured, On::Known, score, a, sign, b, 0.)).collect()
}

/// Every (a, b) of `pairs` as a > b on every score of unseen classes.
fn better(measured: &[Measured], scores: &[&str], pairs: &[(&str, &str)]) -> Vec<Part> {
    let all = scores.iter().flat_map(|s| pairs.iter().map(move |p| (*s, *p)));
    all.map(|(score, (a, b))| compare(measured, On::Unseen, score, a, ">", b, 0.)).collect()
}

fn unseen(measured: &[Measured]) -> Vec<Part> {
    let pairs = [
        ("n-pair-mc", "n-pair-ovo"),
        ("n-pair-mc", "lifted-structure"),
        ("n-pair-mc", "triplet-nm"),
        ("n-pair-mc", "triplet"),
        ("triplet-nm", "triplet"),
        ("n-pair-ovo-nm", "n-pair-ovo"),
    ];
    better(measured, &["F1", "NMI", "recall@1"], &pairs)
}

fn faces(measured: &[Measured]) -> Vec<Part> {
    let pairs = [("n-pair-mc", "n-pair-ovo"), ("n-pair-mc-large", "n-pair-mc")];
    better(measured, &["verification accuracy", "rank-1", "DIR@FAR=1%"], &pairs)
}

fn shapes(measured: &[Measured]) -> Vec<Part> {
    let pairs = [("nca-60x2", "nca-30x4"), ("nca-30x4", "nca-10x12")];
    better(measured, &["F1", "NMI", "recall@1"], &pairs)
}

fn softmax(measured: &[Measured]) -> Vec<Part> {
    let mut about = compare(measured, On::Known, "recognition", "softmax", ">=", "n-pair-mc", ABOUT);
    about.says = format!("recognition: softmax at most {:.0} points behind n-pair-mc", 100. * ABOUT);
    vec![about, compare(measured, On::Known, "VRF(N-1)", "n-pair-mc", ">", "softmax", 0.)]
}

/// Whether score(a) + allowance is above score(b).
#[allow(clippy::too_many_arguments, reason = "a sentence: a score, two methods and what lies between")]
fn compare(measured: &[Measured], on: On, score: &str, a: &str, sign: &str, b: &str, allowance: f64) -> Part {
    let says = format!("{score}: {a} {sign} {b}");
    let mean = |method: &str| {
        let values: Option<Vec<f64>> = of_method(measured, method).iter().map(|m| m.score(on, score)).collect();
        Mean::of(&values?)
    };
    let (Some(x), Some(y)) = (mean(a), mean(b)) else {
        return Part { says, numbers: NOT_MEASURED.to_owned(), verdict: Verdict::Undecided };
    };
    let verdict = Difference::of(Mean { value: x.value + allowance, ..x }, y).verdict;
    let d = Difference::of(x, y);
    let error = d.error.map_or(", one seed".to_owned(), |e| format!(" ± {:.2}", 100. * e));
    let numbers =
        format!("{:.2} % against {:.2} %, difference {:+.2}{error}", 100. * x.value, 100. * y.value, 100. * d.value);
    Part { says, numbers, verdict }
}

fn steps(measured: &[Measured]) -> Vec<Part> {
    let mut ratios = Vec::new();
    let mut lines = Vec::new();
    let mut verdict = None;
    let (triplets, pairs) = (of_method(measured, "triplet"), of_method(measured, "n-pair-mc"));
    for triplet in &triplets {
        let seed = triplet.seed;
        let mc = pairs.iter().find(|m| m.seed == seed);
        let (Some(mc), [first, .., last]) = (mc, &triplet.probes[..]) else { continue };
        let level = last.loss;
        match first_at(&mc.probes, level) {
            _ if level >= first.loss => {
                lines.push(format!("seed {seed}: the triplet model ends at {level:.3}, no lower than it began"));
                verdict = verdict.or(Some(Verdict::Undecided));
            }
            None => {
                lines.push(format!("seed {seed}: {level:.3} is never reached"));
                verdict = Some(Verdict::DoesNotHold);
            }
            Some(step) => {
                lines.push(format!("seed {seed}: {level:.3} after {step:.1} of {:.0} steps", last.step));
                ratios.push(step / last.step);
            }
        }
    }
    let numbers = |text: String| {
        let seeds = lines.join("; ");
        if text.is_empty() { seeds } else { format!("{text} ({seeds})") }
    };
    let bound = |says: &str, bound: f64| {
        let ratio = Mean::of(&ratios);
        let text = ratio.map_or(String::new(), |r| {
            let error = r.error.map_or(String::new(), |e| format!(" ± {e:.4}"));
            format!("ratio {:.4}{error}, 1/{:.1}", r.value, 1. / r.value)
        });
        let found = ratio.map_or(Verdict::Undecided, |r| Difference::of(Mean::exact(bound), r).verdict);
        Part { says: says.to_owned(), numbers: numbers(text), verdict: verdict.unwrap_or(found) }
    };
    if lines.is_empty() {
        return Vec::new();
    }
    vec![bound("in fewer steps than the triplet model", 1.), bound("in at most 1/16 of the steps", 1. / 16.)]
}

/// How verdicts are found.
pub fn rule() -> String {
    format!(
        "An inequality HOLDS or DOES NOT HOLD when the difference of the means over seeds is more than {SURE:.0} standard errors \
         of the difference away from 0, else it is UNDECIDED; a claim holds when all its parts do. With two seeds a standard \
         error is itself a rough estimate."
    )
}

#[cfg(test)]
mod tests {
    use super::super::convergence::Probe;
    use super::super::measured::Judged;
    use super::*;

    fn run(method: &str, seed: u64, scores: [f64; 3], losses: &[f64]) -> Measured {
        let names = ["recognition", "VRF(1)", "VRF(N-1)"].map(str::to_owned);
        let probes = losses.iter().enumerate().map(|(i, &loss)| Probe { step: 16. * i as f64, loss }).collect();
        Measured {
            method: method.to_owned(),
            seed,
            n: 40,
            steps: 0,
            examples: 80,
            seconds_per_step: 0.,
            seconds: 0.,
            known: Judged { examples: 0, classes: 0, scores: names.into_iter().zip(scores).collect() },
            unseen: Judged::default(),
            probes,
            probed: None,
        }
    }

    /// Two seeds of all methods, 0.01 apart: standard errors of 0.005, of a difference 0.0071.
    fn paper() -> Vec<Measured> {
        let levels =
            [("triplet", 0.5), ("triplet-nm", 0.6), ("n-pair-ovo", 0.7), ("n-pair-mc", 0.8), ("softmax", 0.79)];
        let losses = |m: &str| if m == "n-pair-mc" { vec![4., 1., 0.5, 0.2, 0.1] } else { vec![4., 3., 2.5, 2.2, 2.] };
        let seeds = [(1, 0.), (2, 0.01)];
        let all = levels.iter().flat_map(|l| seeds.iter().map(move |s| (*l, *s)));
        all.map(|((method, level), (seed, more))| {
            let last = if method == "softmax" { 0.4 } else { level };
            run(method, seed, [level + more, level + more, last + more], &losses(method))
        })
        .collect()
    }

    #[test]
    fn the_order_of_the_paper_holds() {
        let claims = of(&paper());
        assert_eq!(claims.iter().map(|c| c.number).collect::<Vec<_>>(), [1, 2, 6]);
        assert_eq!((claims[0].parts.len(), claims[0].verdict), (9, Verdict::Holds));
        assert_eq!(claims[0].parts[0].says, "recognition: n-pair-mc >= n-pair-ovo");
        assert_eq!(claims[0].parts[0].numbers, "80.50 % against 70.50 %, difference +10.00 ± 0.71");
        // -0.01 + 0.02 = 0.01 is within 2 x 0.0071.
        assert_eq!((claims[1].parts[0].verdict, claims[1].parts[1].verdict), (Verdict::Undecided, Verdict::Holds));
    }

    #[test]
    fn one_wrong_inequality_is_enough() {
        let mut runs = paper();
        for run in runs.iter_mut().filter(|r| r.method == "n-pair-ovo") {
            run.known.scores.insert("VRF(1)".to_owned(), 0.9 + 0.001 * run.seed as f64);
        }
        let claim = &of(&runs)[0];
        assert_eq!(claim.verdict, Verdict::DoesNotHold);
        let wrong: Vec<_> = claim.parts.iter().filter(|p| p.verdict == Verdict::DoesNotHold).map(|p| &p.says).collect();
        assert_eq!(wrong, ["VRF(1): n-pair-mc >= n-pair-ovo"]);
    }

    #[test]
    fn steps_are_counted_to_the_triplets_end() {
        // The triplet model ends at 2; between 4 (step 0) and 1 (step 16) that is step 10.667 of 64: 1/6.
        let claim = &of(&paper())[2];
        assert!(
            claim.parts[0].numbers.starts_with("ratio 0.1667 ± 0.0000, 1/6.0 (seed 1: 2.000 after 10.7 of 64 steps; ")
        );
        assert_eq!((claim.parts[0].verdict, claim.parts[1].verdict), (Verdict::Holds, Verdict::DoesNotHold));
    }

    #[test]
    fn a_level_that_says_nothing_decides_nothing() {
        let rising = [run("triplet", 1, [0.; 3], &[2., 3.]), run("n-pair-mc", 1, [0.; 3], &[2., 1.])];
        // Of the other claims nothing was measured: they are left out.
        let only = |runs: &[Measured]| of(runs).iter().map(|c| (c.number, c.verdict)).collect::<Vec<_>>();
        assert_eq!(only(&rising), [(6, Verdict::Undecided)]);
        let never = [run("triplet", 1, [0.; 3], &[2., 1.]), run("n-pair-mc", 1, [0.; 3], &[2., 1.5])];
        assert_eq!(only(&never), [(6, Verdict::DoesNotHold)]);
        assert_eq!(only(&[]), []);
    }
}
