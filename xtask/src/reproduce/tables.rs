//! `cargo xtask reproduce --table`: the paper's tables beside ours, with verdicts.

use super::claims::{self, Claim};
use super::measured::Measured;
use super::paper::{Cell, Paper};
use super::statistics::Mean;
use super::{of_method, plot, table};
use crate::machine::Origin;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// A table with what was measured for it.
#[derive(Debug, Serialize)]
pub struct Filled {
    /// 1 to 4, or convergence.
    pub table: String,
    #[serde(flatten)]
    pub paper: Paper,
    /// The paper's data set that stands beside ours.
    pub beside: Option<String>,
    pub rows: Vec<Row>,
    pub verdicts: Vec<Claim>,
}

/// A score over all methods.
#[derive(Debug, Serialize)]
pub struct Row {
    pub score: String,
    pub cells: Vec<Ours>,
}

/// A cell: ours, the paper's, and ours less the paper's; %.
#[derive(Debug, Serialize)]
pub struct Ours {
    pub method: String,
    pub mean: Option<Mean>,
    pub paper: Option<Cell>,
    pub difference: Option<f64>,
}

impl Filled {
    pub fn new(table: &str, paper: Paper, beside: Option<String>, measured: &[Measured]) -> Self {
        let cell = |score: &str, method: &str| {
            let runs = of_method(measured, method);
            let values: Option<Vec<f64>> = runs.iter().map(|m| Some(100. * m.score(paper.on, score)?)).collect();
            let mean = values.and_then(|v| Mean::of(&v));
            let theirs = beside.as_ref().and_then(|data| paper.cell(data, score, method)).cloned();
            let difference = mean.zip(theirs.as_ref().and_then(Cell::value)).map(|(ours, theirs)| ours.value - theirs);
            Ours { method: method.to_owned(), mean, paper: theirs, difference }
        };
        let row = |score: &String| Row {
            score: score.clone(),
            cells: paper.methods.iter().map(|m| cell(score, m)).collect(),
        };
        let measured_rows = paper.scores.iter().map(row).filter(|r| r.cells.iter().any(|c| c.mean.is_some()));
        let verdicts = claims::of(measured).into_iter().filter(|c| paper.claims.contains(&c.number)).collect();
        Self { table: table.to_owned(), rows: measured_rows.collect(), verdicts, beside, paper }
    }

    fn markdown(&self) -> Result<String> {
        let mut text = format!("## Table {}: {}\n\n", self.table, self.paper.title);
        if self.table == "convergence" {
            text = format!("## Convergence\n\n{}.\n\n", self.paper.title);
        }
        if !self.rows.is_empty() {
            let mut rows = vec![vec!["%".to_owned(), String::new()]];
            rows[0].extend(self.paper.methods.iter().cloned());
            for row in &self.rows {
                rows.extend(self.lines(row));
            }
            text += &table::layout(&rows);
            text += "\n";
        }
        for claim in &self.verdicts {
            claim.write(&mut text)?;
        }
        Ok(text)
    }

    /// Ours, the paper's if it has any, the difference.
    fn lines(&self, row: &Row) -> Vec<Vec<String>> {
        let line = |head: [&str; 2], cell: &dyn Fn(&Ours) -> Option<String>| -> Vec<String> {
            let cells = row.cells.iter().map(|c| cell(c).unwrap_or_else(|| "-".to_owned()));
            head.map(str::to_owned).into_iter().chain(cells).collect()
        };
        let mut lines = vec![line([&row.score, "ours"], &|c| c.mean.map(|m| table::number(m, 2)))];
        if let Some(data) = self.beside.as_deref().filter(|_| row.cells.iter().any(|c| c.difference.is_some())) {
            lines.push(line(["", &format!("paper, {data}")], &|c| c.paper.as_ref().map(Cell::to_string)));
            lines.push(line(["", "difference"], &|c| c.difference.map(|d| format!("{d:+.2}"))));
        }
        lines
    }

    /// The picture's file name.
    fn picture(&self) -> String {
        if self.table == "convergence" { "convergence.svg".to_owned() } else { format!("table-{}.svg", self.table) }
    }
}

/// All tables of a call.
#[derive(Debug, Serialize)]
pub struct Tables {
    pub origin: Origin,
    /// What the data is, and what for it stands in.
    pub data: String,
    /// `--data`.
    pub source: String,
    pub stand_in: bool,
    pub seeds: Vec<u64>,
    pub quick: bool,
    pub build_seconds: f64,
    /// With the build; of the last call, if it went on where another was stopped.
    pub seconds: f64,
    pub tables: Vec<Filled>,
    pub measured: Vec<Measured>,
}

impl Tables {
    /// Markdown, JSON, a picture per table.
    pub fn write(&self, out: &Path) -> Result<()> {
        for filled in &self.tables {
            let path = out.join(filled.picture());
            let of_table: Vec<Measured> =
                self.measured.iter().filter(|m| filled.paper.methods.contains(&m.method)).cloned().collect();
            if filled.table == "convergence" {
                plot::convergence(&of_table, &path)?;
            } else {
                let scores: Vec<&str> = filled.rows.iter().map(|r| r.score.as_str()).collect();
                plot::bars(&of_table, filled.paper.on, &scores, &format!("{}, %", filled.paper.title), &path)?;
            }
        }
        let file = |name: &str, text: String| {
            let path = out.join(name);
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
        };
        file("results.json", format!("{}\n", serde_json::to_string_pretty(self)?))?;
        file("results.md", self.markdown(out)?)
    }

    /// Tables and verdicts, for a terminal.
    pub fn text(&self) -> Result<String> {
        self.tables.iter().map(Filled::markdown).collect::<Result<Vec<_>>>().map(|t| t.join("\n"))
    }

    fn markdown(&self, out: &Path) -> Result<String> {
        let mut text = format!("# The paper's tables: {}\n\n", self.source);
        text += &self.origin.markdown();
        writeln!(text, "- data: {}", self.data)?;
        let seeds = self.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        writeln!(text, "- seeds: {seeds}; mean ± standard error over them")?;
        let training: f64 = self.measured.iter().map(|m| m.seconds).sum();
        writeln!(
            text,
            "- time: {:.0} s for {} runs, of it {:.0} s the build; all training steps together took {training:.0} s",
            self.seconds,
            self.measured.len(),
            self.build_seconds
        )?;
        if let Some(first) = self.measured.first() {
            let (known, unseen) = (&first.known, &first.unseen);
            writeln!(
                text,
                "- judged on {} pictures of {} known classes, and on {} of {} unseen ones",
                known.examples, known.classes, unseen.examples, unseen.classes
            )?;
        }
        if self.stand_in {
            text += "\nThe paper's cells stand beside ours for the shape of a table alone: the data is another, and so is the network.\n";
        }
        if self.quick {
            text += "\n**A quick run: nothing of it is worth anything but that it ran.**\n";
        }
        writeln!(text, "\n{}\n\n## Verdicts\n", claims::rule())?;
        for claim in self.tables.iter().flat_map(|t| &t.verdicts) {
            writeln!(text, "- **{}** {}. {}", claim.verdict, claim.number, claim.says)?;
        }
        for filled in &self.tables {
            write!(text, "\n{}", filled.markdown()?)?;
            let picture = filled.picture();
            if out.join(&picture).exists() {
                writeln!(text, "![{}]({picture})", filled.paper.title)?;
            }
        }
        text += "\n## Runs\n\n";
        text += &table::training(&self.measured);
        Ok(text)
    }
}
