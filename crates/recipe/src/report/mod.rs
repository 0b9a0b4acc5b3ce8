//! What a page about runs is made of: everything that was judged, in plain numbers and small pictures.

mod curves;
mod examples;
mod pairs;
mod thumbs;

use crate::{Config, LearnedVerifier, Result, label_sets::label_sets};
use examples::Found;
use npair_evaluate::{Baseline, Inputs, Score, Scores};
use npair_metrics::{
    Embeddings, PairedDifference, QueryScores, Search, holm, label_overlaps, paired_difference, query_scores,
};
use npair_report::{BaselineKind, BaselineScores, Page, Paired, RecallAt, RunPart, ScoreRow};
use npair_types::{ExampleId, LabelSets, Labels, Purpose, Streams};
use std::path::PathBuf;
use std::sync::Arc;
use thumbs::Thumbs;

/// Resamples of a difference.
const RESAMPLES: usize = 2000;

/// A run that was judged on one side of its data.
#[derive(Debug, Clone)]
pub struct JudgedRun {
    /// What it is called.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings.
    pub config: Config,
    /// The examples.
    pub side: Arc<dyn Inputs>,
    /// Their embeddings.
    pub set: Embeddings,
    /// `best` or `last`, and the step after which it was made.
    pub checkpoint: (String, Option<u64>),
    /// All scores.
    pub scores: Scores,
    /// What they are held against.
    pub baselines: Vec<Baseline>,
    /// Its thresholds.
    pub verifier: Option<LearnedVerifier>,
}

/// A page about runs; `made` says when it is made.
///
/// # Errors
/// Those of judging and of decoding pictures.
pub fn page(runs: &[JudgedRun], made: String) -> Result<Page> {
    let mut thumbs = Thumbs::default();
    let parts = runs.iter().map(|run| part(run, &mut thumbs)).collect::<Result<_>>()?;
    let mut notes = Vec::new();
    let comparison = match runs {
        [first, rest @ ..] if !rest.is_empty() => match rest.iter().find(|other| !same_examples(first, other)) {
            None => differences(runs)?.into_iter().map(|difference| difference.paired()).collect(),
            Some(other) => {
                notes.push(format!(
                    "{} and {} were judged on other examples: their scores are shown beside each other, but not compared",
                    first.name, other.name
                ));
                Vec::new()
            }
        },
        _ => Vec::new(),
    };
    let title = runs.iter().map(|run| run.name.clone()).collect::<Vec<_>>().join(", ");
    Ok(Page { title, made, pictures: thumbs.into_pictures(), runs: parts, comparison, notes })
}

fn part(run: &JudgedRun, thumbs: &mut Thumbs) -> Result<RunPart> {
    let found = Found::of(run)?;
    let pairs = pairs::of(run)?;
    Ok(RunPart {
        name: run.name.clone(),
        facts: facts(run),
        measure: format!("{} similarity", run.config.evaluation.measure),
        curves: curves::read(&run.folder)?,
        scores: run.scores.scores.iter().map(row).collect(),
        baselines: run.baselines.iter().map(baseline).collect(),
        recall_at: run.scores.scores.iter().filter_map(recall_at).collect(),
        roc: pairs.as_ref().map(pairs::roc).transpose()?.unwrap_or_default(),
        thresholds: match (&run.verifier, &pairs) {
            (Some(learned), Some(pairs)) => pairs::thresholds(learned, pairs),
            _ => Vec::new(),
        },
        histogram: pairs.as_ref().map(pairs::histogram),
        examples: found.examples(run, thumbs)?,
        worst_queries: found.worst_queries(run, thumbs)?,
        worst_classes: found.worst_classes(run, thumbs)?,
        confused_pairs: found.confused(run, thumbs)?,
        maps: examples::maps(run, thumbs)?,
        notes: run.scores.notes.clone(),
    })
}

/// What was trained on what.
fn facts(run: &JudgedRun) -> Vec<(String, String)> {
    let config = &run.config;
    let network = config.model.backbone.as_ref().map_or("conv-net", |backbone| backbone.architecture());
    let step = run.checkpoint.1.map_or(String::new(), |step| format!(", after step {step}"));
    let per_class = format!("{} classes of {}", config.batch.classes, config.batch.per_class);
    let mut facts = vec![
        ("judged on", format!("{}: {} examples, {} classes", run.scores.set, run.scores.examples, run.scores.classes)),
        ("trained on", String::from(config.data.source.clone())),
        ("network", format!("{network}, embeddings of width {}", run.set.width())),
    ];
    if let Some(weights) = &config.model.pretrained {
        facts.push(("weights it began with", weights.clone()));
    }
    facts.extend([
        ("loss", config.loss.name().to_owned()),
        ("batch", per_class),
        (
            "optimizer",
            format!("{:?}, learning rate {}", config.optimizer.name, config.optimizer.learning_rate).to_lowercase(),
        ),
        ("steps", config.training.steps.to_string()),
        ("checkpoint", format!("{}{step}", run.checkpoint.0)),
        ("seed", config.seed.to_string()),
    ]);
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn row(score: &Score) -> ScoreRow {
    let errors = |se: f64| ((score.value - 1.96 * se).max(0.), (score.value + 1.96 * se).min(1.));
    let ends = score.interval.map(|i| (i.low, i.high)).or(score.standard_error.map(errors));
    let (low, high) = (ends.map(|e| e.0), ends.map(|e| e.1));
    ScoreRow { name: score.name.clone(), value: score.value, low, high, note: String::new() }
}

fn recall_at(score: &Score) -> Option<RecallAt> {
    let k = score.name.strip_prefix("recall@")?.parse().ok()?;
    let ScoreRow { value, low, high, .. } = row(score);
    Some(RecallAt { k, value, low, high })
}

fn baseline(of: &Baseline) -> BaselineScores {
    let kind = match of.name.as_str() {
        "chance" => BaselineKind::Chance,
        name if name.starts_with("pixels") => BaselineKind::Pixels,
        "untrained network" | "pretrained features" => BaselineKind::Untrained,
        _ => BaselineKind::Other,
    };
    BaselineScores { name: of.name.clone(), kind, scores: of.scores.iter().map(row).collect() }
}

/// A score of two runs on the same queries.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunDifference {
    /// Names of the runs: the first's score minus the second's.
    pub runs: [String; 2],
    /// The score.
    pub score: String,
    /// The difference; its p-value is corrected for the number of comparisons.
    #[serde(flatten)]
    pub found: PairedDifference,
}

impl RunDifference {
    /// What it means, in a sentence.
    pub fn verdict(&self) -> String {
        let [first, second] = &self.runs;
        let (better, worse) = if self.found.difference >= 0. { (first, second) } else { (second, first) };
        if self.found.p < 0.05 {
            return format!("{better} is better than {worse}");
        }
        match self.found.times_as_many() {
            times if times.is_finite() && times < 1e4 => format!(
                "cannot be told from chance: a difference of this size would show with some {} classes",
                (times.max(1.) * self.found.classes as f64).ceil()
            ),
            _ => "cannot be told from chance".to_owned(),
        }
    }

    fn paired(&self) -> Paired {
        let [a, b] = self.runs.clone();
        let (difference, score, verdict) = (self.found.difference, self.score.clone(), self.verdict());
        let (low, high, p) = (Some(self.found.interval.low), Some(self.found.interval.high), Some(self.found.p));
        Paired { a, b, score, difference, low, high, p, verdict }
    }
}

/// Whether two runs were judged on the same examples in the same order, by the same scores.
pub fn same_examples(a: &JudgedRun, b: &JudgedRun) -> bool {
    let by_labels = |run: &JudgedRun| run.config.data.label_separator.is_some();
    let named_alike = |row: usize| a.side.describe(ExampleId(row)) == b.side.describe(ExampleId(row));
    a.set.labels() == b.set.labels() && by_labels(a) == by_labels(b) && (0..a.set.len()).all(named_alike)
}

/// The differences of recall@1, R-precision and MAP@R (of overlap@1, overlap@10 and shared@1 where classes are sets of labels) between every two runs that were judged on the same examples, by the paired
/// bootstrap over classes, p-values corrected for their number (Holm).
///
/// # Errors
/// Those of judging.
pub fn differences(runs: &[JudgedRun]) -> Result<Vec<RunDifference>> {
    let scored = runs.iter().map(Queries::of).collect::<Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for (b, second) in runs.iter().enumerate() {
        for (a, first) in runs[..b].iter().enumerate() {
            for ((score, one), (_, other)) in scored[a].scores.iter().zip(&scored[b].scores) {
                let mut rng = Streams::new(first.config.seed).open(Purpose::Evaluation, [11, 0]);
                let found = paired_difference(one, other, &scored[b].labels, RESAMPLES, &mut rng)
                    .map_err(npair_evaluate::Error::from)?;
                let names = [first.name.clone(), second.name.clone()];
                all.push(RunDifference { runs: names, score: (*score).to_owned(), found });
            }
        }
    }
    let corrected = holm(&all.iter().map(|difference| difference.found.p).collect::<Vec<_>>());
    all.iter_mut().zip(corrected).for_each(|(difference, p)| difference.found.p = p);
    Ok(all)
}

/// What every query of a run scores, by the names of the scores; and the classes of the queries.
struct Queries {
    scores: Vec<(&'static str, Vec<f64>)>,
    labels: Labels,
}

impl Queries {
    fn of(run: &JudgedRun) -> Result<Self> {
        let set = &run.set;
        let search = Search::within(set, run.config.evaluation.measure);
        match label_sets(&run.config, run.side.as_ref()) {
            Some(sets) => Self::by_labels(&search, &sets, set),
            None => Self::by_class(&search, set),
        }
    }

    fn by_class(search: &Search, set: &Embeddings) -> Result<Self> {
        let queries = query_scores(search, &[1]).map_err(npair_evaluate::Error::from)?;
        let values = |of: fn(&QueryScores) -> f64| queries.iter().map(of).collect();
        let scores = vec![
            ("recall@1", values(|query| f64::from(u8::from(query.first == 1)))),
            ("R-precision", values(|query| query.r_precision)),
            ("MAP@R", values(|query| query.ap_at_r)),
        ];
        let labels = Labels::from_ids(queries.iter().map(|query| set.labels().get(query.query)).collect())?;
        Ok(Self { scores, labels })
    }

    fn by_labels(search: &Search, sets: &LabelSets, set: &Embeddings) -> Result<Self> {
        let k = 10.min(set.len().saturating_sub(1)).max(1);
        let found = label_overlaps(search, sets, k).map_err(npair_evaluate::Error::from)?;
        let values = |of: fn(&[f64]) -> f64| found.iter().map(|near| of(near)).collect();
        let scores = vec![
            ("overlap@1", values(|near| near[0])),
            ("overlap@10", values(|near| near.iter().sum::<f64>() / near.len() as f64)),
            ("shared@1", values(|near| f64::from(u8::from(near[0] > 0.)))),
        ];
        Ok(Self { scores, labels: set.labels().clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_metrics::Interval;

    fn verdict(difference: f64, p: f64) -> String {
        let found = PairedDifference {
            difference,
            interval: Interval { low: -1., high: 1. },
            standard_error: 0.1,
            p,
            classes: 8,
        };
        RunDifference { runs: ["a".to_owned(), "b".to_owned()], score: "recall@1".to_owned(), found }.verdict()
    }

    #[test]
    fn a_verdict_is_of_the_sign_and_of_chance() {
        assert_eq!(verdict(0.2, 0.04), "a is better than b");
        assert_eq!(verdict(-0.2, 0.04), "b is better than a");
        // (2.8 * 0.1 / 0.14)^2 = 4 times 8 classes.
        assert_eq!(
            verdict(0.14, 0.05),
            "cannot be told from chance: a difference of this size would show with some 32 classes"
        );
        assert_eq!(verdict(0., 1.), "cannot be told from chance");
    }
}
