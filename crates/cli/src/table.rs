use crate::verifier::percent;
use npair_evaluate::{Baseline, Score, Scores};
use npair_metrics::Rates;
use npair_recipe::LearnedVerifier;
use serde::Serialize;

/// What a run's scores are of, and what they are held against.
pub struct Judged {
    /// `best` or `last`.
    pub checkpoint: String,
    /// The step after which it was made, where that is known.
    pub step: Option<u64>,
    /// Guessing, pixels, the network before training.
    pub baselines: Vec<Baseline>,
    /// What its thresholds do.
    pub verified: Option<Verified>,
}

/// Thresholds, and what they do on the pairs that are judged.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// The thresholds.
    pub learned: LearnedVerifier,
    /// What each does.
    pub rates: Vec<Rates>,
    /// Whether the pairs are those that they were learned from.
    pub on_itself: bool,
}

/// Scores as a table: name, value, and a 95 % interval: by the bootstrap over classes, or of two standard errors.
pub fn print(scores: &Scores) {
    heading(scores);
    rows(&scores.scores.iter().collect::<Vec<_>>());
    notes(scores);
}

/// The same of a run: three scores first, beside what they are held against, then all others.
pub fn print_judged(scores: &Scores, judged: &Judged) {
    heading(scores);
    let step = judged.step.map_or(String::new(), |step| format!(", after step {step}"));
    say!("checkpoint {}{step}", judged.checkpoint);
    let first = |score: &&Score| Baseline::SCORES.contains(&score.name.as_str());
    let (three, rest): (Vec<&Score>, Vec<&Score>) = scores.scores.iter().partition(first);
    if judged.baselines.is_empty() {
        rows(&scores.scores.iter().collect::<Vec<_>>());
    } else {
        say!("");
        beside(&three, &judged.baselines);
        say!("");
        rows(&rest);
    }
    judged.verified.iter().for_each(thresholds);
    notes(scores);
}

/// Same or not, by thresholds.
fn thresholds(verified: &Verified) {
    let LearnedVerifier { set, examples, classes, verifier, .. } = &verified.learned;
    say!("");
    say!(
        "  same or not, from the similarity that {examples} examples of {classes} classes ({set}) give for a false accept rate:"
    );
    say!("    {:>9}  {:>9} {:<19}  {:>9} {:>9} {:>9}", "wanted", "from", "95 %", "FAR here", "FRR here", "accuracy");
    for (threshold, rates) in verifier.thresholds.iter().zip(&verified.rates) {
        let interval = format!("[{:.4}, {:.4}]", threshold.interval.low, threshold.interval.high);
        say!(
            "    {:>9}  {:>9.4} {interval:<19}  {:>9} {:>9} {:>9.4}",
            percent(threshold.far),
            threshold.threshold,
            percent(rates.far),
            percent(rates.frr),
            rates.accuracy
        );
        threshold.warning.iter().for_each(|warning| say!("    note: {warning}"));
    }
    if verified.on_itself {
        say!("    note: these are the pairs that the thresholds were learned from");
    }
}

fn heading(scores: &Scores) {
    say!("{}: {} examples, {} classes, {}", scores.set, scores.examples, scores.classes, scores.measure);
}

fn notes(scores: &Scores) {
    scores.notes.iter().for_each(|note| say!("  note: {note}"));
}

/// The lower and upper end of a score's interval.
fn interval(score: &Score) -> Option<(f64, f64)> {
    let two_errors = |se: f64| ((score.value - 1.96 * se).max(0.), (score.value + 1.96 * se).min(1.));
    score.interval.map(|i| (i.low, i.high)).or(score.standard_error.map(two_errors))
}

fn rows(scores: &[&Score]) {
    let width = scores.iter().map(|s| s.name.len()).max().unwrap_or(0);
    for s in scores {
        match interval(s) {
            Some((low, high)) => say!("  {:<width$}  {:.4}   [{low:.4}, {high:.4}]", s.name, s.value),
            None => say!("  {:<width$}  {:.4}", s.name, s.value),
        }
    }
}

/// A column for every score, a row for the run and each of what it is held against.
fn beside(scores: &[&Score], baselines: &[Baseline]) {
    let width = baselines.iter().map(|b| b.name.len()).max().unwrap_or(0).max(8);
    let heads: Vec<String> = scores.iter().map(|s| format!("{:>24}", s.name)).collect();
    say!("  {:<width$}{}", "", heads.concat());
    let own = |score: &&Score| match interval(score) {
        Some((low, high)) => format!("{:.4} [{low:.3}, {high:.3}]", score.value),
        None => format!("{:.4}", score.value),
    };
    let cells: Vec<String> = scores.iter().map(|s| format!("{:>24}", own(s))).collect();
    say!("  {:<width$}{}", "this run", cells.concat());
    for baseline in baselines {
        let value = |s: &&Score| baseline.get(&s.name).map_or("-".to_owned(), |value| format!("{value:.4}"));
        let cells: Vec<String> = scores.iter().map(|s| format!("{:>24}", value(s))).collect();
        say!("  {:<width$}{}", baseline.name, cells.concat());
    }
}
