use super::claims::{self, Claim};
use super::measured::{Measured, On};
use super::{of_method, plot, table};
use crate::machine::Origin;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// All of a reproduction: what it was made of and what came out.
#[derive(Debug, Serialize)]
pub struct Results {
    pub origin: Origin,
    /// What the data is, and what for it stands in.
    pub data: String,
    /// `--data`.
    pub source: String,
    pub seeds: Vec<u64>,
    pub quick: bool,
    pub build_seconds: f64,
    /// With the build.
    pub seconds: f64,
    pub claims: Vec<Claim>,
    pub measured: Vec<Measured>,
}

impl Results {
    pub fn write(&self, out: &Path) -> Result<()> {
        plot::convergence(&self.measured, &out.join("convergence.svg"))?;
        plot::recall(&self.measured, &out.join("recall.svg"))?;
        let file = |name: &str, text: String| {
            let path = out.join(name);
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
        };
        file("results.json", format!("{}\n", serde_json::to_string_pretty(self)?))?;
        file("results.md", self.markdown(out)?)
    }

    /// Tables and verdicts, for a terminal.
    pub fn text(&self) -> String {
        let mut text = self.tables();
        text += "\n";
        for claim in &self.claims {
            let _ = writeln!(text, "Claim {}: {}: {}", claim.number, claim.says, claim.verdict);
            for part in &claim.parts {
                let _ = writeln!(text, "  {:<14} {}: {}", part.verdict.to_string(), part.says, part.numbers);
            }
        }
        let _ = writeln!(text, "All of this is for {}.", self.data);
        if self.quick {
            text += "A quick run: nothing of it is worth anything but that it ran.\n";
        }
        text
    }

    fn tables(&self) -> String {
        let Some(first) = self.measured.first() else { return String::new() };
        let probed = match first.probed.as_deref() {
            Some("known") | None => "pairs of unseen instances",
            Some("val") => "pairs of validation classes",
            Some(_) => "training pairs",
        };
        let mut text = if first.known.examples > 0 {
            let (pictures, classes) = (first.known.examples, first.known.classes);
            format!("Unseen instances of known classes ({pictures} pictures of {classes} classes), %:\n\n")
                + &table::known(&self.measured)
                + "\n"
        } else {
            String::new()
        };
        let _ = writeln!(text, "Training: N-pair loss at the end, on {probed}, nats:\n");
        text += &table::training(&self.measured);
        let _ = writeln!(
            text,
            "\nUnseen classes ({} pictures of {} classes), %:\n",
            first.unseen.examples, first.unseen.classes
        );
        text += &table::unseen(&self.measured);
        text += "\nrecall@1 on unseen classes, seed by seed, %: ";
        let of = |name: &&str| {
            let runs = of_method(&self.measured, name).into_iter();
            let values = runs.filter_map(|m| m.score(On::Unseen, "recall@1")).map(|v| format!("{:.2}", 100. * v));
            format!("{name} {}", values.collect::<Vec<_>>().join(", "))
        };
        text += &table::methods(&self.measured).iter().map(of).collect::<Vec<_>>().join("; ");
        text + ".\n"
    }

    fn markdown(&self, out: &Path) -> Result<String> {
        let mut text = String::from("# The paper's comparison\n\n");
        let seeds = self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let training: f64 = self.measured.iter().map(|m| m.seconds).sum();
        text += &self.origin.markdown();
        writeln!(text, "- data: {}", self.data)?;
        writeln!(text, "- seeds: {seeds}; mean ± standard error over them")?;
        writeln!(
            text,
            "- time: {:.0} s, of it {:.0} s the build; all training steps together took {training:.0} s",
            self.seconds, self.build_seconds
        )?;
        if let Some(first) = self.measured.first() {
            let (steps, examples, n) = (first.steps, first.examples, first.n);
            writeln!(text, "- every run: {steps} steps of {examples} examples, N = {n}")?;
        }
        if self.quick {
            text += "\n**A quick run: nothing of it is worth anything but that it ran.**\n";
        }
        writeln!(text, "\n{}", self.tables())?;
        writeln!(text, "## Claims\n\n{}\n", claims::rule())?;
        for claim in &self.claims {
            writeln!(text, "### {}. {}\n\n**{}**, for {}.\n", claim.number, claim.says, claim.verdict, self.data)?;
            for part in &claim.parts {
                writeln!(text, "- {}: {}. {}.", part.verdict, part.says, part.numbers)?;
            }
            text += "\n";
        }
        text += "## Pictures\n\n";
        for (name, what) in [
            ("convergence.svg", "N-pair loss while training, on the pairs named above, mean and range over seeds"),
            ("recall.svg", "recall@K on unseen classes"),
            ("neighbours.png", "queries of unseen classes and what N-pair-mc (seed 1) finds nearest"),
        ] {
            if out.join(name).exists() {
                writeln!(text, "![{what}]({name})\n\n{what}.\n")?;
            }
        }
        Ok(text)
    }
}
