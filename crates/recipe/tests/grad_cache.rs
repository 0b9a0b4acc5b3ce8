//! A run in pieces is the run at once.
#![allow(clippy::unwrap_used)]

use npair_recipe::{Config, Training};
use npair_train::{Callback, Moment, StepReport};

/// Losses, gradient norms and parts of every step.
#[derive(Default)]
struct Steps(Vec<StepReport>);

impl Callback for Steps {
    fn name(&self) -> &str {
        "steps"
    }
    fn step(&mut self, _: &mut Moment<'_>, report: &StepReport) -> npair_train::Result<()> {
        self.0.push(report.clone());
        Ok(())
    }
}

#[test]
fn a_run_in_pieces_is_the_run_at_once() {
    // Augmentation, dropout, accumulation, a memory and a sum of losses; plain descent, whose steps follow the gradient. At ten times the
    // rate the last bits of the weights decide at the third step which units of a flat ground are open, and gradients are apart.
    let text = r#"
        seed = 5
        data = { glyphs = { classes = 30, instances = 4, size = 32 }, split = { by = "classes", val = 4, test = 4 } }
        images = { channels = "rgb", size = 32, invert = true, augment = { rotate = 10.0, shift = 0.1 } }
        memory = { size = 20 }
        batch = { classes = 4 }
        optimizer = { name = "sgd", learning_rate = 0.001, accumulate = 2 }
        [model]
        embedding = 8
        dropout = 0.3
        output = "unit-length"
        backbone = { architecture = "resnet18", size = 32, frozen_norms = true }
        [training]
        steps = 3
        eval_every = 0
        [loss]
        name = "weighted-sum"
        [[loss.parts]]
        name = "n-pair-mc"
        weight = 1.0
        [[loss.parts]]
        name = "proxy-anchor"
        weight = 0.1
        alpha = 4.0
    "#;
    let dir = tempfile::tempdir().unwrap();
    let [whole, pieces] = [0, 3].map(|piece| {
        let config = Config::parse("test", text, &[format!("training.grad_cache={piece}")]).unwrap();
        let mut steps = Steps::default();
        Training::start(config, &dir.path().join(piece.to_string())).unwrap().train(&mut steps).unwrap();
        steps.0
    });
    let within = |a: f64, b: f64, share: f64, what: &str| assert!((a - b).abs() < share * a.abs(), "{what}: {a} {b}");
    let close = |a: f64, b: f64, what: &str| within(a, b, 1e-6, what);
    for (a, b) in whole.iter().zip(&pieces) {
        close(a.loss, b.loss, "loss");
        // Pieces are other sums: Winograd's products multiply the rounding of each, 6e-8, by 27 (decision 0030), in all of three steps.
        within(a.grad_norm, b.grad_norm, 2. * 3. * 27. * 6e-8, "gradient");
        assert_eq!((a.terms, a.active, a.examples), (b.terms, b.active, b.examples));
        let names: Vec<&str> = a.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["n-pair-mc", "proxy-anchor"]);
        close(a.loss, a.parts[0].loss + 0.1 * a.parts[1].loss, "sum of parts");
        assert_eq!(a.terms, a.parts.iter().map(|part| part.terms).sum::<usize>());
    }
    assert_eq!(whole.len(), 3);
    // The journal has the parts as well.
    let journal = std::fs::read_to_string(dir.path().join("3/metrics.jsonl")).unwrap();
    let lines = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let steps: Vec<_> = lines.filter(|line| line["kind"] == "step").collect();
    assert_eq!(steps.len(), 3);
    assert!(steps.iter().all(|step| step["parts"][1]["name"] == "proxy-anchor"));
}
