//! Every built-in recipe against recorded losses: those of small networks from before the engine took parts, those of networks of
//! photographs from when their convolutions became Winograd's.
//!
//! Bits differ from one kind of processor to another (`cargo xtask same` compares them on one machine), losses hardly: the first is
//! one forward pass, whose rounding is some hundred roundings of f32, of 25 times as much where convolutions are Winograd's; each
//! step that follows multiplies what was apart before, at most by the few ten that Adam's division by a small root makes of it.
//!
//! `NPAIR_WRITE=1` records those that are apart now.
#![allow(clippy::unwrap_used)]

use npair_recipe::{Config, Training};
use npair_train::{Callback, Moment, StepReport};
use std::collections::BTreeMap;
use std::path::Path;

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

/// The same for networks of photographs: 25 roundings for one, at a rate that moves a weight by 1e-5 a step.
const PHOTOGRAPHS: [f64; 2] = [2.5e-4, 2.5e-3];

/// Networks with batch norms over the six values that are left of a channel in the last stage: what is rounded before one is divided by
/// the small deviation of these, one norm after the other. Other lengths of sums alone were 4e-4 and 4e-3 apart.
const FEW_VALUES: [f64; 2] = [4e-3, 4e-2];

/// The steps whose losses are not the recorded ones.
fn apart(name: &str, own: &[String], got: &[f64], want: &[f64]) -> Vec<String> {
    let photographs = own.iter().any(|set| set.starts_with("model.backbone"));
    let tolerances = match photographs {
        true if name.starts_with("resnet") => &FEW_VALUES[..],
        true => &PHOTOGRAPHS[..],
        false => &TOLERANCES[..],
    };
    assert!(got.len() == want.len() && got.len() <= tolerances.len(), "{name}");
    let steps = got.iter().zip(want).zip(tolerances).enumerate();
    let wrong = steps.filter(|(_, ((got, want), allowed))| (**got - **want).abs() > **allowed * want.abs().max(1.));
    wrong.map(|(step, ((got, want), _))| format!("{name}, step {}: {got} instead of {want}", step + 1)).collect()
}

#[test]
fn every_recipe_has_its_recorded_losses() {
    let Recipes { base, recipes } = toml::from_str(include_str!("recipes.toml")).unwrap();
    let recorded: BTreeMap<String, Vec<f64>> = serde_json::from_str(include_str!("recorded.json")).unwrap();
    assert_eq!(recipes.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    let (mut wrong, mut now) = (Vec::new(), Vec::new());
    for (name, own) in &recipes {
        let sets: Vec<String> = base.iter().chain(own).cloned().collect();
        let config = Config::parse(name, "", &sets).unwrap();
        let (folder, mut losses) = (tempfile::tempdir().unwrap(), Losses::default());
        Training::start(config, &folder.path().join("run")).unwrap().train(&mut losses).unwrap();
        let found = apart(name, own, &losses.0, &recorded[name]);
        now.push(format!("  {name:?}: {:?}", if found.is_empty() { &recorded[name] } else { &losses.0 }));
        wrong.extend(found);
    }
    if std::env::var_os("NPAIR_WRITE").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded.json");
        return std::fs::write(path, format!("{{\n{}\n}}\n", now.join(",\n"))).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
