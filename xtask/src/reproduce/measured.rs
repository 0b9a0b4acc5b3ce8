use super::convergence::Probe;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What was measured of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    pub method: String,
    pub seed: u64,
    /// N of the batches: scores named VRF(N-1) take N - 1 negatives.
    pub n: u64,
    pub steps: u64,
    /// Examples per step.
    pub examples: u64,
    /// Median time of a step, seconds.
    pub seconds_per_step: f64,
    /// Time of all steps together, seconds.
    pub seconds: f64,
    /// Unseen examples of known classes: pictures, classes, scores.
    pub known: Judged,
    /// Unseen classes.
    pub unseen: Judged,
    /// The N-pair loss on fixed pairs.
    pub probes: Vec<Probe>,
    /// The split whose pairs they are: known, val or train; none if nothing was probed.
    pub probed: Option<String>,
}

/// The scores of a set.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Judged {
    pub examples: u64,
    pub classes: u64,
    pub scores: BTreeMap<String, f64>,
}

/// Which scores of a run: on known or on unseen classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    Known,
    Unseen,
}

impl Measured {
    pub fn read(method: &str, seed: u64, run: &Path, known: &Value, unseen: &Value) -> Result<Self> {
        let text = |name: &str| {
            let path = run.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let config: toml::Table = text("config.toml")?.parse()?;
        let n = config.get("batch").and_then(|b| b.get("classes")?.as_integer()).unwrap_or(0);
        let journal = text("metrics.jsonl")?;
        let lines: Vec<Value> = journal.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        Ok(Self::new(method, seed, u64::try_from(n)?, &lines, known, unseen))
    }

    fn new(method: &str, seed: u64, n: u64, journal: &[Value], known: &Value, unseen: &Value) -> Self {
        let kind = |kind: &'static str| journal.iter().filter(move |l| l["kind"] == kind);
        let mut times: Vec<f64> = kind("step").filter_map(|l| l["seconds"].as_f64()).collect();
        times.sort_by(f64::total_cmp);
        let probe = |l: &Value| Some(Probe { step: l["step"].as_f64()?, loss: l["n_pair_loss"].as_f64()? });
        Self {
            method: method.to_owned(),
            seed,
            n,
            steps: kind("step").filter_map(|l| l["step"].as_u64()).max().unwrap_or(0),
            examples: kind("step").filter_map(|l| l["examples"].as_u64()).max().unwrap_or(0),
            seconds_per_step: times.get(times.len() / 2).copied().unwrap_or(f64::NAN),
            seconds: times.iter().sum(),
            known: Judged::new(known, n),
            unseen: Judged::new(unseen, n),
            probes: kind("probe").filter_map(probe).collect(),
            probed: kind("probe").find_map(|l| l["pairs"].as_str().map(str::to_owned)),
        }
    }

    pub fn score(&self, on: On, name: &str) -> Option<f64> {
        let judged = match on {
            On::Known => &self.known,
            On::Unseen => &self.unseen,
        };
        judged.scores.get(name).copied()
    }

    /// The N-pair loss at the end.
    pub fn final_loss(&self) -> Option<f64> {
        self.probes.last().map(|p| p.loss)
    }

    /// A line about it.
    pub fn summary(&self) -> String {
        let percent = |on, name, says: &str| {
            self.score(on, name).map_or(String::new(), |v| format!("{says} {:.2} %, ", 100. * v))
        };
        let recognition = percent(On::Known, "recognition", "recognition");
        let recall = percent(On::Unseen, "recall@1", "recall@1 on unseen classes");
        format!("{recognition}{recall}{:.0} ms a step", 1e3 * self.seconds_per_step)
    }
}

impl Judged {
    /// Of what `npair eval --json` prints. The VRF with N - 1 negatives is named so, whatever N is.
    fn new(json: &Value, n: u64) -> Self {
        let mut scores = BTreeMap::new();
        for score in json["scores"].as_array().into_iter().flatten() {
            if let (Some(name), Some(value)) = (score["name"].as_str(), score["value"].as_f64()) {
                let is_last = name == format!("VRF({})", n.saturating_sub(1));
                scores.insert(if is_last { "VRF(N-1)".to_owned() } else { name.to_owned() }, value);
            }
        }
        let count = |key: &str| json[key].as_u64().unwrap_or(0);
        Self { examples: count("examples"), classes: count("classes"), scores }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn journal_and_scores_are_read() {
        let step = |step: u64, seconds: f64| json!({"kind": "step", "step": step, "seconds": seconds, "examples": 80});
        let probe = |step: u64, loss: f64| json!({"kind": "probe", "step": step, "n_pair_loss": loss});
        let journal =
            [probe(0, 4.), step(1, 0.5), step(2, 0.1), step(3, 0.2), probe(3, 1.5), json!({"kind": "mining"})];
        let known = json!({"examples": 10, "classes": 5, "scores": [
            {"name": "VRF(1)", "value": 0.9}, {"name": "VRF(39)", "value": 0.5}, {"name": "recognition", "value": 0.7}]});
        let got = Measured::new("n-pair-mc", 3, 40, &journal, &known, &json!({}));
        assert_eq!((got.steps, got.examples, got.seconds_per_step), (3, 80, 0.2));
        assert!((got.seconds - 0.8).abs() < 1e-12);
        assert_eq!((got.probes.len(), got.final_loss()), (2, Some(1.5)));
        assert_eq!(got.score(On::Known, "VRF(N-1)"), Some(0.5));
        assert_eq!(got.score(On::Known, "VRF(1)"), Some(0.9));
        assert_eq!(got.score(On::Unseen, "recall@1"), None);
        assert!(got.summary().starts_with("recognition 70.00 %, 200 ms a step"));
    }
}
