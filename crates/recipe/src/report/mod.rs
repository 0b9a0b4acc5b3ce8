//! What a page about runs is made of: everything that was judged, in plain numbers and small pictures.

mod curves;
mod examples;
mod pairs;
mod thumbs;

use crate::{Config, LearnedVerifier, Result};
use examples::Found;
use npair_evaluate::{Baseline, Inputs, Score, Scores, Vectors};
use npair_metrics::{PairedDifference, QueryScores, Search, holm, paired_difference, query_scores};
use npair_report::{BaselineKind, BaselineScores, Page, Paired, RecallAt, RunPart, ScoreRow};
use npair_types::{Labels, Purpose, Streams};
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
    pub rows: Vectors,
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
        ("network", format!("{network}, embeddings of width {}", run.rows.width)),
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

/// Whether two runs were judged on the same examples in the same order.
pub fn same_examples(a: &JudgedRun, b: &JudgedRun) -> bool {
    a.rows.names == b.rows.names && a.rows.labels == b.rows.labels
}

/// The differences of recall@1, R-precision and MAP@R between every two runs that were judged on the same examples, by the paired
/// bootstrap over classes, p-values corrected for their number (Holm).
///
/// # Errors
/// Those of judging.
pub fn differences(runs: &[JudgedRun]) -> Result<Vec<RunDifference>> {
    let scored = runs.iter().map(scored).collect::<Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for (b, second) in runs.iter().enumerate() {
        for (a, first) in runs[..b].iter().enumerate() {
            let labels = labels_of(second, &scored[b])?;
            for (score, value) in SCORES {
                let values = |queries: &[QueryScores]| queries.iter().map(value).collect::<Vec<f64>>();
                let mut rng = Streams::new(first.config.seed).open(Purpose::Evaluation, [11, 0]);
                let found = paired_difference(&values(&scored[a]), &values(&scored[b]), &labels, RESAMPLES, &mut rng)
                    .map_err(npair_evaluate::Error::from)?;
                let names = [first.name.clone(), second.name.clone()];
                all.push(RunDifference { runs: names, score: score.to_owned(), found });
            }
        }
    }
    let corrected = holm(&all.iter().map(|difference| difference.found.p).collect::<Vec<_>>());
    all.iter_mut().zip(corrected).for_each(|(difference, p)| difference.found.p = p);
    Ok(all)
}

/// A score of a query.
type OfQuery = fn(&QueryScores) -> f64;

const SCORES: [(&str, OfQuery); 3] = [
    ("recall@1", |query| f64::from(u8::from(query.first == 1))),
    ("R-precision", |query| query.r_precision),
    ("MAP@R", |query| query.ap_at_r),
];

fn scored(run: &JudgedRun) -> Result<Vec<QueryScores>> {
    let set = run.rows.labeled()?;
    Ok(query_scores(&Search::within(&set, run.config.evaluation.measure), &[1]).map_err(npair_evaluate::Error::from)?)
}

fn labels_of(run: &JudgedRun, queries: &[QueryScores]) -> Result<Labels> {
    let set = run.rows.labeled()?;
    Ok(Labels::from_ids(queries.iter().map(|query| set.labels().get(query.query)).collect())?)
}
