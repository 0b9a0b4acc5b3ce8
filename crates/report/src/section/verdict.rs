//! What the headline says, by rule.

use crate::input::{BaselineKind, BaselineScores, RunPart, ScoreRow};
use crate::text::{percent, points};

/// How the trained network stands against the best of the raw pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Above, and the intervals do not meet.
    Better,
    /// The intervals meet, or one of the two has none and they are less than a point apart.
    Unclear,
    /// Below, and the intervals do not meet.
    Worse,
    /// Nothing to compare with.
    Alone,
}

impl Verdict {
    /// The verdict in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "Better than raw pixels",
            Self::Unclear => "Not clearly different from raw pixels",
            Self::Worse => "Worse than raw pixels",
            Self::Alone => "No pixel baseline to compare with",
        }
    }

    /// The sign that goes with it.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Better => "sign-right",
            Self::Worse => "sign-wrong",
            Self::Unclear | Self::Alone => "sign-unclear",
        }
    }
}

/// Whether a smaller value is the better one.
pub fn is_error(name: &str) -> bool {
    name.eq_ignore_ascii_case("EER")
}

/// The score of this name.
pub fn score<'a>(scores: &'a [ScoreRow], name: &str) -> Option<&'a ScoreRow> {
    scores.iter().find(|s| s.name.eq_ignore_ascii_case(name))
}

/// The best score of this name among baselines of a kind, and whose it is.
pub fn best<'a>(run: &'a RunPart, kind: BaselineKind, name: &str) -> Option<(&'a BaselineScores, &'a ScoreRow)> {
    let of_kind = run.baselines.iter().filter(|b| b.kind == kind);
    let scored = of_kind.filter_map(|b| Some((b, score(&b.scores, name)?)));
    let sign = if is_error(name) { -1. } else { 1. };
    scored.max_by(|a, b| (sign * a.1.value).total_cmp(&(sign * b.1.value)))
}

/// Judges a score, of which more is better, against another by whether their intervals meet.
fn judge(own: &ScoreRow, other: &ScoreRow) -> Verdict {
    let ends = |s: &ScoreRow| s.low.zip(s.high);
    // Without any interval a difference below a point is taken for none.
    let slack = if ends(own).is_none() && ends(other).is_none() { 0.01 } else { 0. };
    let (low, high) = ends(own).unwrap_or((own.value, own.value));
    let (other_low, other_high) = ends(other).unwrap_or((other.value, other.value));
    if low > other_high + slack {
        Verdict::Better
    } else if high < other_low - slack {
        Verdict::Worse
    } else {
        Verdict::Unclear
    }
}

/// Whether a run's recall@1 is good, in plain sentences; none without a recall@1.
pub fn sentence(run: &RunPart) -> Option<(Verdict, String)> {
    let own = score(&run.scores, "recall@1")?;
    let share = whole_percent(own.value);
    let (verdict, mut text) = match best(run, BaselineKind::Pixels, "recall@1") {
        None => {
            let alone = "no pixel baseline was measured, so whether that is much cannot be said from it alone";
            (Verdict::Alone, format!("The trained network finds the same class first for {share} of queries; {alone}."))
        }
        Some((baseline, other)) => {
            let verdict = judge(own, other);
            (verdict, against(verdict, own, other, &baseline.name))
        }
    };
    if let Some((_, before)) = best(run, BaselineKind::Untrained, "recall@1") {
        text.push_str(&match judge(own, before) {
            Verdict::Better => format!(" Before training it was {}.", percent(before.value)),
            Verdict::Worse => format!(" Before training it was {}: training made it worse.", percent(before.value)),
            _ => format!(" Before training it was {}: training changed little.", percent(before.value)),
        });
    }
    Some((verdict, text))
}

/// Against the best pixel baseline.
fn against(verdict: Verdict, own: &ScoreRow, other: &ScoreRow, name: &str) -> String {
    let difference = own.value - other.value;
    let side = if difference < 0. { "below" } else { "above" };
    let name = if name.is_empty() { String::new() } else { format!(" ({name}, {})", percent(other.value)) };
    let begin = format!("The trained network finds the same class first for {} of queries", whole_percent(own.value));
    let apart = format!("{} {side} the best pixel baseline{name}", points(difference));
    match verdict {
        Verdict::Better => format!("{begin}, {apart}."),
        Verdict::Worse => format!("{begin}, {apart}: comparing raw pixels would serve better."),
        _ => format!("{begin}, {apart}: so little may be chance."),
    }
}

/// Whole percent, or one digit near the ends, where "100 %" would hide what is missing.
fn whole_percent(share: f64) -> String {
    if (0.02..=0.98).contains(&share) { format!("{:.0}\u{a0}%", share * 100.) } else { percent(share) }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, best, sentence};
    use crate::input::{BaselineKind, BaselineScores, RunPart, ScoreRow};

    fn row(name: &str, value: f64, half: f64) -> ScoreRow {
        let ends = (half > 0.).then_some((value - half, value + half));
        ScoreRow { name: name.into(), value, low: ends.map(|e| e.0), high: ends.map(|e| e.1), note: String::new() }
    }

    fn run(own: ScoreRow, baselines: &[(BaselineKind, &str, ScoreRow)]) -> RunPart {
        let baseline = |(kind, name, row): &(BaselineKind, &str, ScoreRow)| BaselineScores {
            name: (*name).into(),
            kind: *kind,
            scores: vec![row.clone()],
        };
        RunPart { scores: vec![own], baselines: baselines.iter().map(baseline).collect(), ..RunPart::default() }
    }

    #[test]
    fn the_sentence_follows_the_numbers() {
        let pixels = |value| (BaselineKind::Pixels, "colours", row("recall@1", value, 0.02));
        let said = |own: ScoreRow, baselines: &[_]| sentence(&run(own, baselines)).expect("there is a recall@1");
        let (verdict, text) = said(row("recall@1", 0.66, 0.03), &[pixels(0.35), pixels(0.2)]);
        assert_eq!(verdict, Verdict::Better);
        let nbsp = |text: &str| text.replace('_', "\u{a0}");
        assert_eq!(
            text,
            nbsp(
                "The trained network finds the same class first for 66_% of queries, 31_points above the best pixel baseline (colours, 35.0_%)."
            )
        );
        assert_eq!(said(row("recall@1", 0.37, 0.03), &[pixels(0.35)]).0, Verdict::Unclear);
        assert_eq!(said(row("recall@1", 0.1, 0.03), &[pixels(0.35)]).0, Verdict::Worse);
        assert_eq!(said(row("recall@1", 0.1, 0.03), &[]).0, Verdict::Alone);
        let untrained = (BaselineKind::Untrained, "before", row("recall@1", 0.66, 0.));
        assert!(said(row("recall@1", 0.66, 0.03), &[untrained]).1.ends_with("training changed little."));
        let close = (BaselineKind::Pixels, "colours", row("recall@1", 0.655, 0.));
        assert_eq!(said(row("recall@1", 0.66, 0.), &[close]).0, Verdict::Unclear);
        assert_eq!(sentence(&RunPart::default()), None);
    }

    #[test]
    fn the_best_error_is_the_smallest() {
        let of = |value| (BaselineKind::Pixels, "colours", row("EER", value, 0.));
        let run = run(row("EER", 0.1, 0.), &[of(0.4), of(0.3), of(0.5)]);
        assert_eq!(best(&run, BaselineKind::Pixels, "EER").map(|b| b.1.value), Some(0.3));
    }
}
