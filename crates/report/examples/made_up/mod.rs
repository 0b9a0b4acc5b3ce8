//! A made-up run, the same at every call: twelve classes of birds that are coloured patterns, in a space of 16 dimensions.

mod png;

use npair_report::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CLASSES: [&str; 12] = [
    "Blue tit",
    "Great tit",
    "Robin",
    "Wren",
    "Goldcrest",
    "Nuthatch",
    "Chaffinch",
    "Greenfinch",
    "Hawfinch",
    "Black-throated green warbler",
    "<b>Treecreeper</b> & friends",
    "Zaunkönig",
];
const EACH: usize = 20;
const WIDTH: usize = 16;

/// The page of so many runs.
pub fn page(runs: usize) -> Result<Page> {
    let pictures = (0..CLASSES.len() * EACH).map(|i| Thumb {
        alt: format!("{}, picture {}", CLASSES[i / EACH], i % EACH),
        kind: ThumbKind::Png,
        data: png::pattern(i / EACH, i % EACH),
    });
    let names = ["n-pair", "triplet"];
    let comparison = ["recall@1", "R-precision", "EER"].map(|score| Paired {
        a: "n-pair".into(),
        b: "triplet".into(),
        score: score.into(),
        difference: if score == "EER" { -0.021 } else { 0.048 },
        low: Some(if score == "EER" { -0.034 } else { 0.021 }),
        high: Some(if score == "EER" { 0.003 } else { 0.079 }),
        p: Some(if score == "EER" { 0.094 } else { 0.0004 }),
        verdict: if score == "EER" { "no difference seen" } else { "n-pair is better" }.into(),
    });
    Ok(Page {
        title: "npair report: made-up birds".into(),
        made: "Made 2024-05-01 from made-up numbers: a sample of every section.".into(),
        pictures: pictures.collect(),
        runs: (0..runs).map(|at| run(names[at % 2], at as u64)).collect::<Result<_>>()?,
        comparison: if runs > 1 { comparison.to_vec() } else { Vec::new() },
        notes: vec!["All numbers are made up; only the map is computed, from made-up embeddings.".into()],
    })
}

fn run(name: &str, seed: u64) -> Result<RunPart> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let worse = 0.048 * seed as f64;
    let rows = embeddings(&mut rng, 0.95 + seed as f32 * 0.2);
    Ok(RunPart {
        name: name.into(),
        facts: facts(name),
        measure: "cosine similarity".into(),
        curves: curves(&mut rng, 0.67 - worse),
        scores: scores(0.66 - worse),
        baselines: baselines(),
        recall_at: [1, 2, 4, 8, 16, 32].map(|k| recall(k, worse)).to_vec(),
        roc: (0..=1000).map(|i| (f64::from(i) / 1000., (f64::from(i) / 1000.).powf(0.16 + worse))).collect(),
        thresholds: [(0.001, 0.83), (0.01, 0.71), (0.1, 0.48)].map(|(far, t)| threshold(far, t, 0.16 + worse)).to_vec(),
        histogram: Some(histogram()),
        examples: (0..4).map(|i| query(&rows, i * 47 + 3)).collect(),
        worst_queries: (0..4).map(|i| query(&rows, i * 31 + 7)).collect(),
        worst_classes: worst_classes(),
        confused_pairs: confused(),
        maps: maps(&rows, &mut rng)?,
        notes: vec!["2 queries without another example of their class left out".into()],
    })
}

/// Rows around their class's corner.
fn embeddings(rng: &mut ChaCha8Rng, spread: f32) -> Vec<f32> {
    let mut rows = Vec::new();
    for class in 0..CLASSES.len() {
        for _ in 0..EACH {
            for axis in 0..WIDTH {
                let noise = (0..4).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
                rows.push(noise * spread + if axis == class { 2. } else { 0. });
            }
        }
    }
    rows
}

fn facts(loss: &str) -> Vec<(String, String)> {
    let facts = [
        ("Data", "birds/all-pictures-2024 (240 pictures of 12 classes, 6 of them unseen in training)"),
        ("Network", "resnet18, embeddings of 512"),
        ("Loss", loss),
        ("Steps", "4000, batches of 64"),
        ("Checkpoint", "runs/2024-05-01-birds/checkpoints/step-003600.safetensors"),
        ("Seed", "7"),
    ];
    facts.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn curves(rng: &mut ChaCha8Rng, recall: f64) -> Curves {
    let steps = || (0..4000).map(f64::from);
    let validation =
        |end: f64| (0..=10).map(|i| (f64::from(i) * 400., end * (1. - 0.7 * (-0.4 * f64::from(i)).exp()))).collect();
    Curves {
        loss: steps().map(|s| (s, 3.9 * (-s / 900.).exp() + 0.35 + 0.3 * rng.random::<f64>())).collect(),
        rate: steps().step_by(50).map(|s| (s, 0.001 * 0.5 * (1. + (s / 4000. * std::f64::consts::PI).cos()))).collect(),
        gradient_norm: steps()
            .step_by(10)
            .map(|s| (s, (0.01 + 30. * (-s / 300.).exp()) * (0.5 + rng.random::<f64>())))
            .collect(),
        validation: vec![("recall@1".into(), validation(recall)), ("MRR".into(), validation(recall + 0.07))],
    }
}

fn row(name: &str, value: f64, half: f64) -> ScoreRow {
    let ends = (half > 0.).then_some((value - half, value + half));
    ScoreRow { name: name.into(), value, low: ends.map(|e| e.0), high: ends.map(|e| e.1), note: String::new() }
}

fn scores(recall: f64) -> Vec<ScoreRow> {
    let mut all = vec![
        row("recall@1", recall, 0.031),
        row("recall@2", recall + 0.09, 0.028),
        row("R-precision", recall - 0.21, 0.024),
    ];
    all.extend([row("MAP@R", recall - 0.28, 0.025), row("MRR", recall + 0.08, 0.025), row("EER", 0.8 - recall, 0.)]);
    all.extend([row("AUC", 0.928, 0.), row("TAR@FAR=1%", 0.478, 0.), row("VRF(1)", 0.93, 0.01), row("NMI", 0.71, 0.)]);
    all[9].note = "mean of 3 runs of k-means".into();
    all
}

fn baselines() -> Vec<BaselineScores> {
    let of = |name: &str, kind, recall, precision, eer, half| BaselineScores {
        name: name.into(),
        kind,
        scores: vec![row("recall@1", recall, half), row("R-precision", precision, half), row("EER", eer, 0.)],
    };
    vec![
        of("colour histogram", BaselineKind::Pixels, 0.35, 0.2, 0.37, 0.03),
        of("pixels at 32 × 32", BaselineKind::Pixels, 0.31, 0.17, 0.4, 0.03),
        of("before training", BaselineKind::Untrained, 0.27, 0.15, 0.42, 0.03),
        of("guessing", BaselineKind::Chance, 0.08, 0.08, 0.5, 0.),
    ]
}

fn recall(k: usize, worse: f64) -> RecallAt {
    let value = 1. - (0.34 + worse) / (k as f64).powf(0.6);
    RecallAt { k, value, low: Some(value - 0.03), high: Some((value + 0.03).min(1.)) }
}

fn threshold(far: f64, threshold: f64, power: f64) -> ThresholdRow {
    ThresholdRow {
        far,
        threshold,
        low: Some(threshold - 0.02),
        high: Some(threshold + 0.02),
        far_here: Some(far),
        tar: far.powf(power),
    }
}

fn histogram() -> SimilarityHistogram {
    let edges: Vec<f64> = (0..=40).map(|i| f64::from(i) / 20. - 1.).collect();
    let bell = |middle: f64, width: f64, size: f64| {
        let count = |w: &[f64]| (size * (-((w[0] + w[1]) / 2. - middle).powi(2) / width).exp()) as u64;
        edges.windows(2).map(count).collect()
    };
    SimilarityHistogram { same: bell(0.72, 0.06, 900.), different: bell(0.1, 0.08, 9000.), edges }
}

/// A query's nearest rows.
fn query(rows: &[f32], at: usize) -> QueryExample {
    let row = |i: usize| &rows[i * WIDTH..(i + 1) * WIDTH];
    let dot = |a: usize, b: usize| row(a).iter().zip(row(b)).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let similarity = |i: usize| dot(at, i) / (dot(at, at) * dot(i, i)).sqrt();
    let mut others: Vec<usize> = (0..rows.len() / WIDTH).filter(|&i| i != at).collect();
    others.sort_by(|&a, &b| similarity(b).total_cmp(&similarity(a)));
    let shown = |&i: &usize| ShownNeighbour {
        picture: i,
        class: CLASSES[i / EACH].into(),
        similarity: similarity(i),
        right: i / EACH == at / EACH,
    };
    QueryExample {
        picture: at,
        class: CLASSES[at / EACH].into(),
        neighbours: others.iter().take(5).map(shown).collect(),
        note: "birds/some-folder/picture.jpg".into(),
    }
}

fn worst_classes() -> Vec<ClassRow> {
    let row = |(at, class): (usize, &&str)| ClassRow {
        class: (*class).into(),
        recall: 0.1 + 0.05 * at as f64,
        count: EACH,
        pictures: (0..3).map(|i| (11 - at) * EACH + i).collect(),
    };
    CLASSES.iter().rev().take(6).enumerate().map(row).collect()
}

fn confused() -> Vec<ConfusedPair> {
    let pair = |at: usize| ConfusedPair {
        a: CLASSES[at].into(),
        b: CLASSES[at + 1].into(),
        count: 9 - at / 2,
        a_pictures: vec![at * EACH, at * EACH + 1],
        b_pictures: vec![(at + 1) * EACH, (at + 1) * EACH + 1],
    };
    [0, 6, 8, 9].map(pair).to_vec()
}

fn maps(rows: &[f32], rng: &mut ChaCha8Rng) -> Result<Vec<EmbeddingMap>> {
    let settings = Tsne { perplexity: 12., ..Tsne::fitting(rows.len() / WIDTH) };
    let point = |(i, at): (usize, [f32; 2])| MapPoint {
        x: at[0].into(),
        y: at[1].into(),
        class: CLASSES[i / EACH].into(),
        picture: Some(i),
        path: format!("birds/{:02}/{:03}.png", i / EACH, i % EACH),
    };
    let map = |method: &str, points: Vec<[f32; 2]>| EmbeddingMap {
        method: method.into(),
        note: if method == "PCA" {
            "The two directions of largest spread."
        } else {
            "Near is similar; far says little."
        }
        .into(),
        points: points.into_iter().enumerate().map(point).collect(),
    };
    Ok(vec![map("t-SNE, perplexity 12", tsne(rows, WIDTH, &settings, rng)?), map("PCA", pca(rows, WIDTH)?)])
}
