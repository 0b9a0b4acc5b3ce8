//! Scores against the reference values of other programs. `cargo xtask golden --check DIR` runs this on any folder of the
//! same form.
#![allow(clippy::unwrap_used)]

use candle_core::DType;
use npair_metrics::{Clustering, Embeddings, Roc, Search, retrieval};
use npair_testkit::golden::Golden;
use npair_types::{Labels, Measure, Purpose, Streams};
use serde_json::Value;

/// Both sides count in f64: only a near tie that other roundings turn round could differ, and by one count.
const TOLERANCE: f64 = 1e-6;

/// Our value of a reference's name; `None` if this crate has no such score.
fn ours(name: &str, search: &Search, roc: &Roc) -> Option<f64> {
    let scores = |ks: &[usize]| retrieval(search, ks).unwrap();
    if let Some(k) = name.strip_prefix("recall@") {
        return Some(scores(&[k.parse().unwrap()]).recall_at[0].1.value);
    }
    if let Some(far) = name.strip_prefix("tar@far=") {
        return Some(roc.tar_at_far(far.parse().unwrap()));
    }
    Some(match name {
        "precision@1" | "precision_at_1" => scores(&[]).precision_at_1.value,
        "r_precision" => scores(&[]).r_precision.value,
        "map@r" | "mean_average_precision_at_r" => scores(&[]).map_at_r.value,
        "mrr" => scores(&[]).mrr.value,
        "queries_without_a_positive" => scores(&[]).queries_without_a_positive as f64,
        "roc_auc" => roc.auc(),
        "eer_midpoint" => roc.eer(),
        _ => return None,
    })
}

fn of_clustering(name: &str, c: &Clustering) -> Option<f64> {
    Some(match name {
        "nmi_arithmetic" => c.nmi(),
        "nmi_geometric" => c.nmi_geometric(),
        "ami" => c.ami(),
        "f1_pairs" => c.f1(),
        _ => return None,
    })
}

#[test]
fn metrics_agree_with_the_golden_values() {
    let golden = Golden::open("metrics").unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in &golden.rows {
        let case = Golden::case(row);
        let labels = Labels::from_i64(&golden.integers(case, "labels").unwrap()).unwrap();
        let x = golden.tensor(case, "embeddings", DType::F32).unwrap();
        let set = Embeddings::from_tensor(&x, labels.clone()).unwrap();
        let assignment: Vec<usize> = golden.integers(case, "assignment").unwrap().iter().map(|&a| a as usize).collect();
        let clustering = Clustering::new(&labels, &assignment).unwrap();
        for (group, values) in row.as_object().unwrap() {
            let Value::Object(values) = values else { continue };
            let measure = if group == "euclidean" { Measure::SquaredEuclidean } else { Measure::Cosine };
            let search = Search::within(&set, measure);
            let mut rng = Streams::new(0).open(Purpose::Evaluation, [0, 0]);
            let roc = Roc::of_pairs(&set, measure, usize::MAX, &mut rng).unwrap();
            for (name, want) in values {
                let got = match group.as_str() {
                    "clustering_of_given_assignment" => of_clustering(name, &clustering),
                    _ => ours(name, &search, &roc),
                };
                let title = format!("{case} {group} {name}");
                let Some(got) = got else {
                    println!("{title:<60} not covered: this score is not built yet");
                    continue;
                };
                let error = (got - want.as_f64().unwrap()).abs();
                println!("{title:<60} {got:12.9} error {error:.1e}");
                compared += 1;
                if error.is_nan() || error > TOLERANCE {
                    wrong.push(title);
                }
            }
        }
    }
    println!("{compared} values compared");
    assert!(wrong.is_empty(), "outside the tolerance: {wrong:?}");
    let least = if std::env::var_os("NPAIR_GOLDEN").is_some() { 1 } else { 100 };
    assert!(compared >= least, "only {compared} values were compared");
}
