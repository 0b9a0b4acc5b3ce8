use crate::Result;
use crate::config::EvaluationConfig;
use crate::protocol::identify;
use crate::ten_folds::ten_folds;
use npair_metrics::{Clustering, Embeddings, KMeans, Mean, Roc, Search, knn_accuracy, retrieval, vrf};
use npair_types::{Purpose, Streams};
use serde::Serialize;

/// A named score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Its name, as the field has it.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its standard error, over queries, trials or runs; none where it is one number for the whole set.
    pub standard_error: Option<f64>,
}

/// The scores of one set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// What was judged.
    pub set: String,
    /// Number of examples.
    pub examples: usize,
    /// Number of classes.
    pub classes: usize,
    /// The measure that compared embeddings.
    pub measure: String,
    /// The scores.
    pub scores: Vec<Score>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

impl Scores {
    fn new(name: &str, set: &Embeddings, config: &EvaluationConfig) -> Self {
        Self {
            set: name.to_owned(),
            examples: set.len(),
            classes: set.labels().classes().len(),
            measure: config.measure.to_string(),
            scores: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn add(&mut self, name: impl Into<String>, mean: Mean) {
        self.scores.push(Score { name: name.into(), value: mean.value, standard_error: Some(mean.standard_error) });
    }

    fn add_plain(&mut self, name: impl Into<String>, value: f64) {
        self.scores.push(Score { name: name.into(), value, standard_error: None });
    }

    /// The value of a score.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores.iter().find(|s| s.name == name).map(|s| s.value)
    }

    /// Adds the VRFs; `n` is the N of the batches, for N - 1 negatives.
    fn add_vrf(&mut self, set: &Embeddings, config: &EvaluationConfig, n: usize, streams: Streams) -> Result<()> {
        for &k in &config.vrf {
            let k = if k == 0 { n.saturating_sub(1) } else { k };
            if k == 0 || k >= self.classes {
                self.notes.push(format!("VRF({k}) left out: it needs {} classes, there are {}", k + 1, self.classes));
                continue;
            }
            let mut rng = streams.open(Purpose::Evaluation, [2, k as u64]);
            self.add(format!("VRF({k})"), vrf(set, config.measure, k, config.vrf_trials, &mut rng)?);
        }
        Ok(())
    }
}

/// Judges embeddings of unseen classes: retrieval within the set, VRF, verification over pairs, clustering.
///
/// # Errors
/// [`npair_metrics::Error::NoPositive`] if no class has two examples, and settings outside their range.
pub fn judge(name: &str, set: &Embeddings, config: &EvaluationConfig, n: usize, streams: Streams) -> Result<Scores> {
    let mut out = Scores::new(name, set, config);
    let (ks, beyond): (Vec<usize>, Vec<usize>) = config.recall_at.iter().partition(|&&k| k < set.len());
    if !beyond.is_empty() {
        out.notes.push(format!("recall@{beyond:?} left out: the gallery has {} examples", set.len() - 1));
    }
    let found = retrieval(&Search::within(set, config.measure), &ks)?;
    for (k, mean) in &found.recall_at {
        out.add(format!("recall@{k}"), *mean);
    }
    out.add("R-precision", found.r_precision);
    out.add("MAP@R", found.map_at_r);
    out.add("MRR", found.mrr);
    if found.queries_without_a_positive > 0 {
        out.notes.push(format!(
            "{} queries without another example of their class left out",
            found.queries_without_a_positive
        ));
    }
    out.add_vrf(set, config, n, streams)?;
    if out.classes < 2 {
        out.notes.push("verification and clustering left out: there is one class".to_owned());
        return Ok(out);
    }
    let roc = Roc::of_pairs(set, config.measure, config.pairs, &mut streams.open(Purpose::Evaluation, [3, 0]))?;
    out.add_plain("EER", roc.eer());
    out.add_plain("AUC", roc.auc());
    out.add_plain("TAR@FAR=1%", roc.tar_at_far(0.01));
    match ten_folds(set, config.measure, &mut streams.open(Purpose::Evaluation, [5, 0]))? {
        Some(folds) => out.add("verification accuracy", folds.accuracy),
        None => out.notes.push("verification accuracy left out: ten folds need 20 classes, some with pairs".to_owned()),
    }
    let identified = identify(set, config.measure, streams)?;
    out.scores.extend(identified.scores);
    out.notes.extend(identified.notes);
    if config.k_means_runs > 0 {
        let (mut nmi, mut f1) = (Vec::new(), Vec::new());
        for run in 0..config.k_means_runs {
            let mut rng = streams.open(Purpose::Evaluation, [4, run as u64]);
            let clusters = KMeans::new(out.classes).run(set, &mut rng)?;
            let clustering = Clustering::new(set.labels(), &clusters.assignment)?;
            nmi.push(clustering.nmi());
            f1.push(clustering.f1());
        }
        for (name, values) in [("NMI", &nmi), ("F1", &f1)] {
            out.scores.extend(over_runs(name, values));
        }
    }
    Ok(out)
}

/// Judges unseen examples of known classes: recognition by kNN in the training examples, and VRF among themselves.
///
/// # Errors
/// As [`judge`].
pub fn judge_known(
    name: &str,
    gallery: &Embeddings,
    queries: &Embeddings,
    config: &EvaluationConfig,
    n: usize,
    streams: Streams,
) -> Result<Scores> {
    let mut out = Scores::new(name, queries, config);
    out.add("recognition", knn_accuracy(&Search::between(queries, gallery, config.measure), config.knn)?);
    if queries.labels().classes().len() < queries.len() {
        out.add_vrf(queries, config, n, streams)?;
    } else {
        out.notes.push("VRF left out: every class has one example here; keep 2 or more back (data.known)".to_owned());
    }
    Ok(out)
}

fn over_runs(name: &str, values: &[f64]) -> Option<Score> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let standard_error = (values.len() > 1).then(|| (squares / (n - 1.) / n).sqrt());
    (!values.is_empty()).then(|| Score { name: name.to_owned(), value: mean, standard_error })
}
