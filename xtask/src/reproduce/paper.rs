//! A table of the paper: its columns, its rows, its numbers.

use super::measured::On;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The tables there are, in the order in which they are written.
pub const TABLES: [&str; 5] = ["1", "2", "3", "4", "convergence"];

/// A file of experiments/tables.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Where the numbers were read.
    pub paper: String,
    pub title: String,
    pub on: On,
    /// Columns.
    pub methods: Vec<String>,
    /// Rows.
    pub scores: Vec<String>,
    /// Numbers of the project's claims that it bears on.
    pub claims: Vec<u8>,
    /// By data set and score, a cell for every column.
    #[serde(default)]
    pub cells: BTreeMap<String, BTreeMap<String, Vec<Cell>>>,
}

/// A number of the paper, %.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// With its standard error.
    WithError([f64; 2]),
    Plain(f64),
    /// "-": the paper has none.
    None(String),
}

impl Cell {
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::WithError([value, _]) | Self::Plain(value) => Some(*value),
            Self::None(_) => None,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WithError([value, error]) => write!(f, "{value:.2} ± {error:.2}"),
            Self::Plain(value) => write!(f, "{value:.2}"),
            Self::None(_) => f.write_str("-"),
        }
    }
}

impl Paper {
    pub fn read(root: &Path, table: &str) -> Result<Self> {
        let file = root.join(format!("xtask/experiments/tables/{table}.toml"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not understood", file.display()))
    }

    /// The paper's number of a score and a method on one of its data sets.
    pub fn cell(&self, data: &str, score: &str, method: &str) -> Option<&Cell> {
        let at = self.methods.iter().position(|m| m == method)?;
        self.cells.get(data)?.get(score)?.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_tables_are_whole() {
        let root = crate::tree::root().unwrap();
        let order = super::super::experiment::methods(&root.join("xtask/experiments")).unwrap();
        for table in TABLES {
            let paper = Paper::read(&root, table).unwrap();
            assert!(paper.methods.iter().all(|m| order.iter().any(|o| o.name == *m)), "{table}");
            assert!(paper.claims.iter().all(|c| (1..=6).contains(c)) && !paper.claims.is_empty());
            for (data, rows) in &paper.cells {
                for (score, cells) in rows {
                    assert!(paper.scores.contains(score), "{table} {data} {score}");
                    assert_eq!(cells.len(), paper.methods.len(), "{table} {data} {score}");
                    let odd = cells.iter().any(|c| matches!(c, Cell::None(dash) if dash != "-"));
                    assert!(!odd && cells.iter().filter_map(Cell::value).all(|v| (0.0..=100.0).contains(&v)));
                }
            }
        }
        // Read off the paper once more, by hand.
        let second = Paper::read(&root, "2").unwrap();
        assert_eq!(second.cell("CUB-200", "recall@1", "n-pair-mc").unwrap().value(), Some(50.96));
        assert_eq!(second.cell("CUB-200", "recall@1", "n-pair-mc-nm").unwrap().value(), None);
        let first = Paper::read(&root, "1").unwrap();
        assert_eq!(first.cell("Car-333", "VRF(N-1)", "softmax").unwrap().to_string(), "55.36 ± 0.30");
    }
}
