use crate::protocol::identify;
use crate::ten_folds::ten_folds;
use crate::{EvaluationConfig, Metric, Result};
use npair_metrics::{
    Clustering, Embeddings, Interval, KMeans, Mean, QueryScores, Retrieval, Roc, Round, Search, bootstrap,
    knn_accuracy, nearest_centroid_accuracy, query_scores, vrf,
};
use npair_types::{Labels, Purpose, Streams};
use serde::Serialize;

/// Resamples of an interval.
pub(crate) const RESAMPLES: usize = 1000;

/// A named score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Its name, as the field has it.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its standard error, over queries, trials or runs; none where it is one number for the whole set.
    pub standard_error: Option<f64>,
    /// A 95 % interval by the bootstrap over classes, of scores of retrieval: pictures of one class are not independent of each
    /// other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

impl Score {
    /// A mean with its standard error.
    pub(crate) fn mean(name: impl Into<String>, mean: Mean) -> Self {
        Self { standard_error: Some(mean.standard_error), ..Self::plain(name, mean.value) }
    }

    /// One number for the whole set.
    pub(crate) fn plain(name: impl Into<String>, value: f64) -> Self {
        Self { name: name.into(), value, standard_error: None, interval: None }
    }
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
    pub(crate) fn new(name: &str, set: &Embeddings, config: &EvaluationConfig) -> Self {
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
        self.scores.push(Score::mean(name, mean));
    }

    fn add_plain(&mut self, name: impl Into<String>, value: f64) {
        self.scores.push(Score::plain(name, value));
    }

    /// No score yet, of a set whose embeddings are compared by cosine.
    pub fn of_set(name: &str, set: &Embeddings) -> Self {
        Self::new(name, set, &EvaluationConfig::default())
    }

    /// With one more score, one number for the whole set.
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.add_plain(name, value);
        self
    }

    /// The value of a score.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores.iter().find(|s| s.name == name).map(|s| s.value)
    }

    /// Adds the scores of retrieval, with intervals.
    fn add_retrieval(
        &mut self,
        set: &Embeddings,
        queries: &[QueryScores],
        found: &Retrieval,
        streams: Streams,
    ) -> Result<()> {
        let labels = Labels::from_ids(queries.iter().map(|q| set.labels().get(q.query)).collect())?;
        let mut add = |name: String, mean: Mean, value: &dyn Fn(&QueryScores) -> f64| -> Result<()> {
            let values: Vec<f64> = queries.iter().map(value).collect();
            let mut rng = streams.open(Purpose::Evaluation, [7, 0]);
            let interval = Some(bootstrap(&values, &labels, RESAMPLES, &mut rng)?);
            self.scores.push(Score { interval, ..Score::mean(name, mean) });
            Ok(())
        };
        for (at, (k, mean)) in found.recall_at.iter().enumerate() {
            add(format!("recall@{k}"), *mean, &|q| f64::from(u8::from(q.hits_at[at] > 0)))?;
        }
        add("R-precision".to_owned(), found.r_precision, &|q| q.r_precision)?;
        add("MAP@R".to_owned(), found.map_at_r, &|q| q.ap_at_r)?;
        add("MRR".to_owned(), found.mrr, &|q| 1. / q.first as f64)
    }

    /// Adds the scores of k-means clusterings: means over runs from different starts.
    fn add_clustering(
        &mut self,
        set: &Embeddings,
        runs: usize,
        streams: Streams,
        tell: &mut dyn FnMut(String),
    ) -> Result<()> {
        let names = ["NMI", "F1", "AMI", "ARI"];
        let mut values = names.map(|_| Vec::new());
        for run in 0..runs {
            let mut rng = streams.open(Purpose::Evaluation, [4, run as u64]);
            let mut watch = |round: Round| {
                tell(format!("k-means {} of {runs}, round {}, {} moved", run + 1, round.round, round.moved));
            };
            let clusters = KMeans::new(self.classes).run_watched(set, &mut rng, &mut watch)?;
            let found = Clustering::new(set.labels(), &clusters.assignment)?;
            let scores = [found.nmi(), found.f1(), found.ami(), found.ari()];
            values.iter_mut().zip(scores).for_each(|(all, score)| all.push(score));
        }
        for (name, values) in names.iter().zip(&values) {
            self.scores.extend(over_runs(name, values));
        }
        Ok(())
    }

    /// Adds the VRFs; `n` is the N of the batches, for N - 1 negatives.
    fn add_vrf(&mut self, set: &Embeddings, config: &EvaluationConfig, n: usize, streams: Streams) -> Result<()> {
        // 0 stands for N - 1, which may be among the others.
        let mut ways: Vec<usize> = Vec::new();
        for &k in &config.vrf {
            let k = if k == 0 { n.saturating_sub(1) } else { k };
            if !ways.contains(&k) {
                ways.push(k);
            }
        }
        for k in ways {
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

/// Judges embeddings of unseen classes: retrieval within the set, VRF, verification over pairs and in ten folds, identification,
/// clustering. `tell` hears what is under way.
///
/// # Errors
/// [`npair_metrics::Error::NoPositive`] if no class has two examples, and settings outside their range.
pub fn judge(
    name: &str,
    set: &Embeddings,
    config: &EvaluationConfig,
    n: usize,
    streams: Streams,
    tell: &mut dyn FnMut(String),
) -> Result<Scores> {
    let mut out = judge_briefly(name, set, config, n, streams, tell)?;
    if out.classes < 2 {
        return Ok(out);
    }
    match ten_folds(set, config.measure, &mut streams.open(Purpose::Evaluation, [5, 0]))? {
        Some(folds) => out.add("verification accuracy", folds.accuracy),
        None => out.notes.push("verification accuracy left out: ten folds need 20 classes, some with pairs".to_owned()),
    }
    tell("identification".to_owned());
    let identified = identify(set, config.measure, streams)?;
    out.scores.extend(identified.scores);
    out.notes.extend(identified.notes);
    if config.k_means_runs > 0 {
        out.add_clustering(set, config.k_means_runs, streams, tell)?;
    }
    Ok(out)
}

/// What a validation while training judges by: retrieval, VRF, verification over pairs. Clustering and identification take longer
/// and are left to [`judge`].
#[derive(Debug, Clone)]
pub struct RetrievalScores {
    /// The settings.
    pub settings: EvaluationConfig,
    /// N of the batches: VRF(0) of the settings stands for N - 1 negatives.
    pub pairs_per_batch: usize,
    /// Where trials and pairs are drawn from.
    pub streams: Streams,
}

impl RetrievalScores {
    /// With the usual settings.
    pub fn new(pairs_per_batch: usize, streams: Streams) -> Self {
        Self { settings: EvaluationConfig::default(), pairs_per_batch, streams }
    }
}

impl Metric for RetrievalScores {
    fn name(&self) -> &str {
        "retrieval"
    }

    fn scores(&self, set: &Embeddings) -> Result<Scores> {
        judge_briefly("val", set, &self.settings, self.pairs_per_batch, self.streams, &mut |_| ())
    }

    fn selects_by(&self) -> Vec<String> {
        ["recall@1", "MRR"].map(str::to_owned).to_vec()
    }
}

/// What [`RetrievalScores`] are made of.
fn judge_briefly(
    name: &str,
    set: &Embeddings,
    config: &EvaluationConfig,
    n: usize,
    streams: Streams,
    tell: &mut dyn FnMut(String),
) -> Result<Scores> {
    let mut out = Scores::new(name, set, config);
    let (ks, beyond): (Vec<usize>, Vec<usize>) = config.recall_at.iter().partition(|&&k| k < set.len());
    if !beyond.is_empty() {
        out.notes.push(format!("recall@{beyond:?} left out: the gallery has {} examples", set.len() - 1));
    }
    tell("ranks".to_owned());
    let queries = query_scores(&Search::within(set, config.measure), &ks)?;
    let found = Retrieval::of(&queries, &ks, set.len())?;
    out.add_retrieval(set, &queries, &found, streams)?;
    if found.queries_without_a_positive > 0 {
        out.notes.push(format!(
            "{} queries without another example of their class left out",
            found.queries_without_a_positive
        ));
    }
    tell("VRF".to_owned());
    out.add_vrf(set, config, n, streams)?;
    if out.classes < 2 {
        out.notes.push("verification and clustering left out: there is one class".to_owned());
        return Ok(out);
    }
    tell("verification".to_owned());
    let roc = Roc::of_pairs(set, config.measure, config.pairs, &mut streams.open(Purpose::Evaluation, [3, 0]))?;
    out.add_plain("EER", roc.eer());
    out.add_plain("AUC", roc.auc());
    out.add_plain("TAR@FAR=1%", roc.tar_at_far(0.01));
    Ok(out)
}

/// Judges unseen examples of known classes: recognition by kNN and by the nearest centroid of the training examples, and VRF among
/// themselves.
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
    out.add("nearest centroid", nearest_centroid_accuracy(&Search::between(queries, gallery, config.measure))?);
    if queries.labels().classes().len() < queries.len() {
        out.add_vrf(queries, config, n, streams)?;
    } else {
        out.notes.push("VRF left out: every class has one example here; keep 2 or more back (data.seen)".to_owned());
    }
    Ok(out)
}

fn over_runs(name: &str, values: &[f64]) -> Option<Score> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    let standard_error = (values.len() > 1).then(|| (squares / (n - 1.) / n).sqrt());
    (!values.is_empty()).then(|| Score { standard_error, ..Score::plain(name, mean) })
}
