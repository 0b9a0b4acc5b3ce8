//! Every built-in recipe against the losses that were recorded before the engine took parts.
//!
//! Bits differ from one kind of processor to another (`cargo xtask same` compares them on one machine), losses hardly: the first is
//! one forward pass, whose rounding is some hundred roundings of f32; each step that follows multiplies what was apart before, at
//! most by the few ten that Adam's division by a small root makes of it.
#![allow(clippy::unwrap_used)]

use npair_recipe::{Config, Training};
use npair_train::{Callback, Moment, StepReport};
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
struct Recipes {
    base: Vec<String>,
    recipes: BTreeMap<String, Vec<String>>,
}

#[derive(Default)]
struct Losses(Vec<f64>);

impl Callback for Losses {
    fn name(&self) -> &str {
        "losses"
    }
    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        self.0.push(report.loss);
        Ok(())
    }
}

/// What is allowed of each step, relative to the loss or to 1.
const TOLERANCES: [f64; 4] = [1e-5, 3e-4, 3e-3, 3e-2];

#[test]
fn every_recipe_has_its_recorded_losses() {
    let Recipes { base, recipes } = toml::from_str(include_str!("recipes.toml")).unwrap();
    let recorded: BTreeMap<String, Vec<f64>> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    assert_eq!(recipes.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    let mut wrong = Vec::new();
    for (name, own) in &recipes {
        let sets: Vec<String> = base.iter().chain(own).cloned().collect();
        let config = Config::parse(name, "", &sets).unwrap();
        let (folder, mut losses) = (tempfile::tempdir().unwrap(), Losses::default());
        Training::start(config, &folder.path().join("run")).unwrap().train(&mut losses).unwrap();
        let want = &recorded[name];
        assert_eq!(losses.0.len(), want.len(), "{name}");
        for (step, ((got, want), allowed)) in losses.0.iter().zip(want).zip(TOLERANCES).enumerate() {
            if (got - want).abs() > allowed * want.abs().max(1.) {
                wrong.push(format!("{name}, step {}: {got} instead of {want}", step + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
