//! What was written down while training.

use crate::{Error, Result};
use npair_report::Curves;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Scores whose course is shown.
const SCORES: [&str; 3] = ["recall@1", "R-precision", "EER"];

/// The curves of a run's folder; lines that say nothing of them are passed over.
pub(super) fn read(folder: &Path) -> Result<Curves> {
    let path = folder.join("metrics.jsonl");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::file(&path, error)),
    };
    let (mut curves, mut validation) = (Curves::default(), BTreeMap::<&str, Vec<(f64, f64)>>::new());
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(step) = line["step"].as_f64() else { continue };
        let value = |key: &str| line[key].as_f64().filter(|value| value.is_finite()).map(|value| (step, value));
        match line["kind"].as_str() {
            Some("step") => {
                curves.loss.extend(value("loss"));
                curves.rate.extend(value("learning_rate"));
                curves.gradient_norm.extend(value("grad_norm"));
            }
            Some("evaluation") => {
                for score in line["scores"]["scores"].as_array().into_iter().flatten() {
                    let name = SCORES.into_iter().find(|name| score["name"] == **name);
                    if let (Some(name), Some(value)) = (name, score["value"].as_f64()) {
                        validation.entry(name).or_default().push((step, value));
                    }
                }
            }
            _ => {}
        }
    }
    let mut of = |name: &str| Some((name.to_owned(), validation.remove(name)?));
    curves.validation = SCORES.into_iter().filter_map(&mut of).collect();
    Ok(curves)
}
