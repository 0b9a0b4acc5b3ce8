use super::experiment::{Experiment, Method};
use super::measured::Measured;
use crate::shell;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Trains and judges runs with the program; what is finished, and was asked for in the same words, is not done again.
pub struct Runner<'a> {
    binary: PathBuf,
    experiment: &'a Experiment,
    out: &'a Path,
    /// What the results of a run depend on besides its own settings.
    fixed: Value,
    /// Whether examples of the training classes are kept back, to be recognised.
    keeps_known: bool,
    /// What unseen classes are judged by, where it is not the test split: `--protocol` of `npair eval`.
    protocol: Option<String>,
}

impl<'a> Runner<'a> {
    pub fn new(binary: PathBuf, experiment: &'a Experiment, out: &'a Path) -> Result<Self> {
        let bytes = std::fs::read(&binary).with_context(|| format!("{} cannot be read", binary.display()))?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        let config = &experiment.config;
        let settings =
            std::fs::read_to_string(config).with_context(|| format!("{} cannot be read", config.display()))?;
        // Only the settings count, not what is said about them.
        let settings: toml::Table = settings.parse().with_context(|| format!("{}", config.display()))?;
        let known = settings.get("data").and_then(|d| d.get("known"));
        let keeps_known = known.is_some_and(|k| k.as_integer() != Some(0) && k.as_float() != Some(0.));
        let fixed = json!({ "program": format!("{:016x}", hasher.finish()), "settings": settings });
        Ok(Self { binary, experiment, out, fixed, keeps_known, protocol: None })
    }

    /// Judges unseen classes by a protocol instead of the test split.
    pub fn judged_by(self, protocol: Option<String>) -> Self {
        Self { protocol, ..self }
    }

    /// The measurements of a run; trains and judges it if that is not done yet.
    pub fn measure(&self, method: &Method, seed: u64) -> Result<Measured> {
        let (name, run) = self.train(method, seed)?;
        let grid = (method.name == "n-pair-mc" && seed == 1).then(|| self.out.join("neighbours.png"));
        let known = if self.keeps_known { self.judge(&name, "known", &["--split", "known"])? } else { Value::Null };
        let unseen = match (&self.protocol, &grid) {
            (Some(protocol), _) => self.judge(&name, "test", &["--protocol", protocol])?,
            (None, None) => self.judge(&name, "test", &["--split", "test"])?,
            (None, Some(grid)) => {
                if !grid.exists() {
                    remove(&self.scores(&name, "test"))?;
                }
                self.judge(&name, "test", &["--split", "test", "--grid", &grid.display().to_string(), "--force"])?
            }
        };
        Measured::read(&method.name, seed, &run, &known, &unseen)
    }

    /// Trains a run if that is not done yet; its name and folder.
    pub fn train(&self, method: &Method, seed: u64) -> Result<(String, PathBuf)> {
        let name = format!("{}-{seed}", method.name);
        let run = self.out.join("runs").join(&name);
        self.train_into(method, seed, &name, &run)?;
        Ok((name, run))
    }

    fn train_into(&self, method: &Method, seed: u64, name: &str, run: &Path) -> Result<()> {
        let mut words: Vec<String> = vec!["train".into(), "--json".into(), "--no-plan".into()];
        words.extend(["--config".into(), self.experiment.config.display().to_string()]);
        words.extend(["--data".into(), self.experiment.data.clone()]);
        for set in self.experiment.sets.iter().chain(&method.sets) {
            words.extend(["--set".into(), set.clone()]);
        }
        words.extend(["--seed".into(), seed.to_string()]);
        let asked = json!({ "fixed": self.fixed, "words": words }).to_string();
        let note = self.beside(name, "asked.json");
        let is_same =
            std::fs::read_to_string(&note).is_ok_and(|text| text == asked) && run.join("config.toml").is_file();
        let mut command = Command::new(&self.binary);
        if is_same {
            if is_finished(run) {
                println!("  {name} is trained already");
                return Ok(());
            }
            println!("  {name} goes on where it was stopped");
            command.args(["train", "--json", "--resume"]).arg(run);
        } else {
            for old in [run.to_owned(), note.clone(), self.beside(name, "scores")] {
                remove(&old)?;
            }
            command.args(&words).arg("--out").arg(run);
            write(&note, &asked)?;
        }
        let line = shell::line(&command);
        let status = command.stdout(Stdio::null()).status().with_context(|| format!("`{line}` cannot be started"))?;
        if !status.success() {
            bail!("`{line}` failed ({status}): see the message above");
        }
        Ok(())
    }

    /// What `npair eval RUN --json` says with these words; kept beside the run under the name `what`.
    pub fn judge(&self, name: &str, what: &str, words: &[&str]) -> Result<Value> {
        let kept = self.scores(name, what);
        let words: Vec<&str> =
            ["--checkpoint", "last", "--json", "--no-baselines"].iter().chain(words).copied().collect();
        let asked = json!(words);
        if let Ok(text) = std::fs::read_to_string(&kept)
            && let Ok(mut all) = serde_json::from_str::<Value>(&text)
            && all["asked"] == asked
        {
            return Ok(all["scores"].take());
        }
        let mut command = Command::new(&self.binary);
        command.arg("eval").arg(self.out.join("runs").join(name)).args(&words);
        let text = shell::text(&mut command)?;
        let scores: Value = serde_json::from_str(&text).with_context(|| format!("the scores of {name} are no JSON"))?;
        let folder = self.beside(name, "scores");
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        write(&kept, &json!({ "asked": asked, "scores": scores }).to_string())?;
        Ok(scores)
    }

    fn scores(&self, name: &str, what: &str) -> PathBuf {
        self.beside(name, "scores").join(format!("{what}.json"))
    }

    fn beside(&self, name: &str, what: &str) -> PathBuf {
        self.out.join("runs").join(format!("{name}.{what}"))
    }
}

/// Whether the last checkpoint is that of the last step.
fn is_finished(run: &Path) -> bool {
    let state = std::fs::read_to_string(run.join("checkpoints/last/training.json")).unwrap_or_default();
    let step = serde_json::from_str::<Value>(&state).ok().and_then(|v| v["step"].as_u64());
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap_or_default();
    let config = config.parse::<toml::Table>().ok();
    let steps = config.as_ref().and_then(|c| c.get("training")?.get("steps")?.as_integer());
    steps.is_some() && steps.and_then(|s| u64::try_from(s).ok()) == step
}

fn remove(path: &Path) -> Result<()> {
    let gone = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match gone {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes beside and renames: a killed process leaves no half of a file.
fn write(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    let done = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
    done.with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_finished_at_its_last_step() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        assert!(!is_finished(run));
        std::fs::create_dir_all(run.join("checkpoints/last")).unwrap();
        std::fs::write(run.join("config.toml"), "[training]\nsteps = 30\n").unwrap();
        let state = |step| std::fs::write(run.join("checkpoints/last/training.json"), format!("{{\"step\":{step}}}"));
        state(20).unwrap();
        assert!(!is_finished(run));
        state(30).unwrap();
        assert!(is_finished(run));
    }
}
