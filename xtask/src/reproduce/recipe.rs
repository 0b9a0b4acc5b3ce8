//! `cargo xtask reproduce --table omniglot`: the Omniglot recipe, trained on all background alphabets and on the small sets.

use super::experiment::{Experiment, Method};
use super::measured::Measured;
use super::runs::Runner;
use super::source::{QUICK_STEPS, absolute};
use super::statistics::Mean;
use super::{Args, build, command, place, table};
use crate::machine::Origin;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

/// Alphabets of the background set that no choice of the recipe has seen: those in neither small set, sorted by name, every
/// fourth from the fourth on.
const HELD_OUT: [&str; 5] =
    ["Armenian", "Braille", "Grantha", "Japanese_(hiragana)", "Ojibwe_(Canadian_Aboriginal_Syllabics)"];

/// The settings: what they are called, and the part of Omniglot that they learn from.
const SETTINGS: [(&str, &str); 3] = [("full", "background"), ("small1", "small1"), ("small2", "small2")];

/// What a recipe is judged on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Judged {
    /// The official evaluation set and its one-shot runs.
    Evaluation,
    /// Alphabets of the background set.
    HeldOut,
}

/// A trained setting and its scores.
#[derive(Debug, Serialize)]
struct Trained {
    setting: String,
    seed: u64,
    steps: u64,
    /// All steps together.
    seconds: f64,
    recall_at_1: f64,
    r_precision: f64,
    map_at_r: f64,
    one_shot_error: f64,
    /// Over the one-shot runs.
    one_shot_standard_error: f64,
    pictures: u64,
    classes: u64,
}

#[derive(Debug, Serialize)]
struct Results {
    origin: Origin,
    judged_on: Judged,
    seeds: Vec<u64>,
    quick: bool,
    seconds: f64,
    trained: Vec<Trained>,
    /// What was still to be trained.
    missing: Vec<String>,
}

pub fn run(args: &Args, root: &Path) -> Result<()> {
    let start = Instant::now();
    if args.full {
        bail!("--full: the Omniglot recipe has one size");
    }
    let [data] = &args.data[..] else { bail!("--data: give omniglot=PATH alone") };
    let Some(path) = data.strip_prefix("omniglot=") else {
        bail!("--data {data}: the recipe is for omniglot=PATH, a folder with the official zips or folders in it")
    };
    let path = absolute(path)?;
    let judged = match there(&path, "images_evaluation") {
        true => Judged::Evaluation,
        false => Judged::HeldOut,
    };
    if judged == Judged::HeldOut {
        println!("{path} has no images_evaluation: judged on {} of the background set", HELD_OUT.join(", "));
    }
    let steps = if args.quick { Some(QUICK_STEPS) } else { args.steps };
    let experiment = Experiment {
        config: root.join("xtask/experiments/omniglot-recipe.toml"),
        data: format!("omniglot={path}"),
        description: "Omniglot (Lake et al., 2015)".to_owned(),
        sets: steps.iter().map(|n| format!("training.steps={n}")).collect(),
        methods: settings(&path, judged),
    };
    let out = place(args, root, "tables/omniglot-recipe")?;
    let binary = build(root)?;
    let runner = Runner::new(binary, &experiment, &out)?;
    let seeds = args.seeds.unwrap_or(1);
    let mut results = Results {
        origin: Origin::of(root, &command()),
        judged_on: judged,
        seeds: (1..=seeds).collect(),
        quick: args.quick,
        seconds: 0.,
        trained: Vec::new(),
        missing: Vec::new(),
    };
    let all: Vec<(u64, &Method)> =
        (1..=seeds).flat_map(|seed| experiment.methods.iter().map(move |m| (seed, m))).collect();
    for (at, &(seed, setting)) in all.iter().enumerate() {
        println!("{} seed {seed}: training", setting.name);
        let one = measure(&runner, setting, seed, &path, judged)?;
        let (recall, error) = (100. * one.recall_at_1, 100. * one.one_shot_error);
        println!("{} seed {seed}: recall@1 {recall:.2} %, one-shot error {error:.2} %", setting.name);
        results.trained.push(one);
        // An hour each: what there is stands, whatever becomes of the rest.
        results.missing = all[at + 1..].iter().map(|(seed, m)| format!("{} (seed {seed})", m.name)).collect();
        results.seconds = start.elapsed().as_secs_f64();
        results.write(&out)?;
    }
    println!("\n{}\nWritten: {}", results.markdown()?, out.join("results.md").display());
    Ok(())
}

/// Whether a folder holds an official archive, packed or not.
fn there(path: &str, name: &str) -> bool {
    let path = Path::new(path);
    path.join(name).is_dir() || path.join(format!("{name}.zip")).is_file()
}

/// The settings whose archives are there.
fn settings(path: &str, judged: Judged) -> Vec<Method> {
    let archive = |part: &str| match part {
        "background" => "images_background".to_owned(),
        small => format!("images_background_{small}"),
    };
    let here = SETTINGS.iter().filter(|(_, part)| there(path, &archive(part)));
    here.map(|(name, part)| {
        let mut sets = vec![format!("data.parts=[\"{part}\"]")];
        if judged == Judged::HeldOut && *part == "background" {
            sets.push(held_out());
        }
        Method { name: (*name).to_owned(), sets, is_usual: true }
    })
    .collect()
}

/// The split that keeps the alphabets held out for test.
fn held_out() -> String {
    let names: Vec<String> = HELD_OUT.iter().map(|n| format!("\"{n}\"")).collect();
    format!("data.split={{ by = \"groups\", test = [{}] }}", names.join(", "))
}

fn measure(runner: &Runner, setting: &Method, seed: u64, path: &str, judged: Judged) -> Result<Trained> {
    let (name, run) = runner.train(setting, seed)?;
    let (split, one_shot) = (held_out(), format!("omniglot-one-shot={path}"));
    let (retrieval, one_shot) = match judged {
        Judged::HeldOut => {
            let test = ["--set", "data.parts=[\"background\"]", "--set", &split, "--split", "test"];
            let within = [&test[..], &["--protocol", "one-shot-within-groups"]].concat();
            (runner.judge(&name, "test", &test)?, runner.judge(&name, "one-shot", &within)?)
        }
        Judged::Evaluation => {
            let all =
                ["--set", "data.parts=[\"evaluation\"]", "--set", "data.split={ by = \"classes\" }", "--split", "all"];
            (runner.judge(&name, "evaluation", &all)?, runner.judge(&name, "one-shot", &["--protocol", &one_shot])?)
        }
    };
    let journal = Measured::read(&setting.name, seed, &run, &Value::Null, &retrieval)?;
    let score = |json: &Value, name: &str, key: &str| -> Result<f64> {
        let found = json["scores"].as_array().into_iter().flatten().find(|s| s["name"] == name);
        found.and_then(|s| s[key].as_f64()).with_context(|| format!("npair eval gave no {name}"))
    };
    Ok(Trained {
        setting: setting.name.clone(),
        seed,
        steps: journal.steps,
        seconds: journal.seconds,
        recall_at_1: score(&retrieval, "recall@1", "value")?,
        r_precision: score(&retrieval, "R-precision", "value")?,
        map_at_r: score(&retrieval, "MAP@R", "value")?,
        one_shot_error: score(&one_shot, "one-shot error", "value")?,
        one_shot_standard_error: score(&one_shot, "one-shot error", "standard_error")?,
        pictures: journal.unseen.examples,
        classes: journal.unseen.classes,
    })
}

impl Results {
    fn write(&self, out: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = out.join(name);
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
        };
        write("results.json", format!("{}\n", serde_json::to_string_pretty(self)?))?;
        write("results.md", self.markdown()?)
    }

    fn markdown(&self) -> Result<String> {
        let mut text = String::from("# Omniglot: the recipe\n\n");
        text += &self.origin.markdown();
        let seeds = self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        writeln!(text, "- seeds: {seeds}")?;
        writeln!(text, "- time: {:.0} s with the build; training alone stands in the table", self.seconds)?;
        match self.judged_on {
            Judged::Evaluation => text += "- judged on: images_evaluation, and the official one-shot runs\n",
            Judged::HeldOut => writeln!(
                text,
                "- judged on: {} of the background set, which nothing was chosen on; one-shot: runs drawn in the official manner \
                 (20 characters of one alphabet, one drawer's pictures against another's)",
                HELD_OUT.join(", ")
            )?,
        }
        if self.quick {
            text += "\n**A quick run: nothing of it is worth anything but that it ran.**\n";
        }
        if let Some(first) = self.trained.first() {
            writeln!(text, "\n{} pictures of {} classes, %:\n", first.pictures, first.classes)?;
        }
        let head = ["trained on", "seed", "recall@1", "R-precision", "MAP@R", "one-shot error", "steps", "minutes"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for t in &self.trained {
            let percent = |v: f64| format!("{:.2}", 100. * v);
            let error = Mean { value: 100. * t.one_shot_error, error: Some(100. * t.one_shot_standard_error) };
            rows.push(vec![
                t.setting.clone(),
                t.seed.to_string(),
                percent(t.recall_at_1),
                percent(t.r_precision),
                percent(t.map_at_r),
                table::number(error, 2),
                t.steps.to_string(),
                format!("{:.0}", t.seconds / 60.),
            ]);
        }
        text += &table::layout(&rows);
        if !self.missing.is_empty() {
            writeln!(text, "\nNot run: {}.", self.missing.join(", "))?;
        }
        text += "\nThe one-shot error's standard error is over the one-shot runs. People on the official task: 4.5 % (Lake et al., 2015).\n";
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_whose_archives_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display().to_string();
        std::fs::create_dir(dir.path().join("images_background")).unwrap();
        std::fs::write(dir.path().join("images_background_small2.zip"), "").unwrap();
        let held = settings(&path, Judged::HeldOut);
        assert_eq!(held.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["full", "small2"]);
        // Alphabets are taken out of the background set alone; the small sets have none of them.
        assert!(held[0].sets[1].contains("\"Grantha\"") && held[1].sets == ["data.parts=[\"small2\"]"]);
        assert_eq!(settings(&path, Judged::Evaluation)[0].sets, ["data.parts=[\"background\"]"]);
        assert!(held_out().parse::<toml::Table>().unwrap().contains_key("data"));
    }
}
