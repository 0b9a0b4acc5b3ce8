//! A loss is added by a file of its own and one row of the registry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tree;

use std::path::Path;
use std::process::Command;

/// The file of the new loss, in the room of its family.
const FILE: &str = r#"
use crate::{Accepts, Batch, Loss, LossContext, LossSettings, LossValue, Result};
use npair_similarity::Similarity;
use npair_types::Measure;

/// Rows of two classes are not to be alike.
#[derive(Debug, Clone, Copy)]
pub struct ApartLoss {
    scale: f64,
}

npair_types::settings! {
    /// Rows of two classes apart.
    pub struct ApartSettings {
        /// Times the mean.
        scale: f64 = 2.0,
    }
}

impl LossSettings for ApartSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(ApartLoss { scale: self.scale }))
    }
}

impl Loss for ApartLoss {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        let all = Similarity::new(batch.embeddings(), batch.embeddings(), Measure::Dot)?;
        let terms = all.log_sum_exp(&batch.negatives())?;
        Ok(LossValue::smooth((terms.mean_all()? * self.scale)?, batch.labels().len()))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels()
    }

    fn name(&self) -> &str {
        "apart"
    }
}
"#;

fn insert(file: &Path, before: &str, text: &str) {
    let old = std::fs::read_to_string(file).unwrap();
    assert!(old.contains(before), "{}", file.display());
    std::fs::write(file, old.replacen(before, &format!("{text}{before}"), 1)).unwrap();
}

#[test]
#[ignore = "compiles a copy of the tree: minutes; nightly.yml runs it"]
fn a_loss_is_a_file_in_its_family_and_a_row_of_the_registry() {
    let copy = tree::copy();
    let crates = copy.path().join("crates");
    let family = crates.join("losses/src/pair");
    std::fs::write(family.join("apart.rs"), FILE).unwrap();
    insert(&family.join("mod.rs"), "mod circle;", "mod apart;\npub use apart::{ApartLoss, ApartSettings};\n");
    let row = "    row!(loss, \"apart\", ApartSettings),\n";
    insert(&crates.join("recipe/src/registry.rs"), "    row!(loss, \"weighted-sum\"", row);
    // Dependencies are those of the tree, compiled once; the crates of the copy are other ones.
    let run = copy.path().join("run");
    let out = Command::new(env!("CARGO"))
        .current_dir(copy.path())
        .env("CARGO_TARGET_DIR", tree::root().join("target/adding-a-loss"))
        .args(["run", "--quiet", "-p", "npair", "--", "train", "--data", "glyphs", "--set", "data.glyphs.classes=20"])
        .args(["--set", "loss.name=apart", "--set", "loss.scale=3", "--set", "batch.classes=5"])
        .args(["--set", "training.steps=2", "--set", "training.eval_every=0", "--out"])
        .arg(&run)
        .output()
        .unwrap();
    let said = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(out.status.success(), "{said}");
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("name = \"apart\"") && config.contains("scale = 3"), "{config}");
    assert!(std::fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count() >= 2);
}
