//! The benches of npair-benches, which criterion runs.

use super::Args;
use crate::machine::{self, Origin};
use crate::{shell, tree};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

/// One measurement; times in seconds.
#[derive(Debug, Serialize)]
struct Measurement {
    name: String,
    median: f64,
    /// 95 % interval of the median.
    interval: [f64; 2],
    samples: Vec<f64>,
}

pub fn run(args: &Args) -> Result<()> {
    let root = tree::root()?;
    let known = benches(&root)?;
    if let Some(name) = args.name.as_ref().filter(|n| !known.contains(n)) {
        bail!("there is no bench `{name}`; there are {}", known.join(", "));
    }
    let mut command = shell::cargo(&root, &["bench", "-p", "npair-benches"]);
    match &args.name {
        Some(name) => command.args(["--bench", name]),
        None => command.arg("--benches"),
    };
    let line = format!("cargo xtask bench{}", args.name.as_ref().map_or(String::new(), |n| format!(" {n}")));
    let origin = Origin::of(&root, &line);
    let (start, load) = (SystemTime::now(), machine::load());
    shell::step(&mut command, "mend what is named above")?;
    let target = tree::Metadata::read(&root)?.target_directory;
    let measured = collect(&target.join("criterion"), start)?;
    if measured.is_empty() {
        bail!("the benches left nothing in {}", target.join("criterion").display());
    }
    let out = args.out.clone().unwrap_or_else(|| super::usual(&root, &origin, ""));
    super::keep(&out, readme(&origin, load), &summary(&measured), &measured)
}

fn readme(origin: &Origin, load: Option<f64>) -> String {
    format!(
        "# What was measured\n\n{}{}\nTimes of summary.md are medians with their 95 % interval (criterion); \
         raw.json has every sample, in seconds per iteration. Absolute times drift from machine to machine, and on a busy one.\n",
        origin.markdown(),
        super::load_line(load)
    )
}

/// The names of the benches.
fn benches(root: &Path) -> Result<Vec<String>> {
    let packages = tree::Metadata::read(root)?.packages;
    let targets = packages.into_iter().filter(|p| p.name == "npair-benches").flat_map(|p| p.targets);
    Ok(targets.filter(|t| t.kind.iter().any(|k| k == "bench")).map(|t| t.name).collect())
}

/// What criterion has written since `start`: folders `new` with benchmark.json, estimates.json and sample.json.
fn collect(folder: &Path, start: SystemTime) -> Result<Vec<Measurement>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let is_new = |p: &Path| p.metadata().and_then(|m| m.modified()).is_ok_and(|t| t >= start);
        if path.ends_with("new") && path.join("estimates.json").is_file() {
            if is_new(&path.join("estimates.json")) {
                found.push(measurement(&path)?);
            }
        } else {
            found.extend(collect(&path, start)?);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn measurement(folder: &Path) -> Result<Measurement> {
    let read = |name: &str| -> Result<Value> {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not understood", path.display()))
    };
    let (about, estimates, sample) = (read("benchmark.json")?, read("estimates.json")?, read("sample.json")?);
    let seconds = |v: &Value| v.as_f64().unwrap_or(f64::NAN) / 1e9;
    let median = &estimates["median"];
    let interval = &median["confidence_interval"];
    let numbers = |key: &str| sample[key].as_array().cloned().unwrap_or_default();
    let samples =
        numbers("times").iter().zip(&numbers("iters")).map(|(t, n)| seconds(t) / n.as_f64().unwrap_or(1.)).collect();
    Ok(Measurement {
        name: about["full_id"].as_str().unwrap_or("?").to_owned(),
        median: seconds(&median["point_estimate"]),
        interval: [seconds(&interval["lower_bound"]), seconds(&interval["upper_bound"])],
        samples,
    })
}

fn summary(measured: &[Measurement]) -> String {
    let mut text = String::from("| bench | median, ms | 95 % interval, ms | samples |\n|---|---:|---:|---:|\n");
    for m in measured {
        let [low, high] = m.interval.map(|s| 1e3 * s);
        let _ = writeln!(text, "| {} | {:.2} | {low:.2} to {high:.2} | {} |", m.name, 1e3 * m.median, m.samples.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_criterion_leaves_is_collected() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("group/case/new");
        std::fs::create_dir_all(&new).unwrap();
        std::fs::write(new.join("benchmark.json"), r#"{"full_id":"group/case"}"#).unwrap();
        let estimates =
            r#"{"median":{"point_estimate":2e6,"confidence_interval":{"lower_bound":1e6,"upper_bound":3e6}}}"#;
        std::fs::write(new.join("estimates.json"), estimates).unwrap();
        std::fs::write(new.join("sample.json"), r#"{"iters":[1.0,2.0],"times":[2e6,5e6]}"#).unwrap();
        let found = collect(dir.path(), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((found.len(), found[0].name.as_str(), found[0].median), (1, "group/case", 2e-3));
        assert_eq!(found[0].samples, [2e-3, 2.5e-3]);
        assert!(summary(&found).contains("| group/case | 2.00 | 1.00 to 3.00 | 2 |"));
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(collect(dir.path(), later).unwrap().is_empty());
    }
}
