use super::measured::{Measured, On};
use super::of_method;
use super::statistics::Mean;

/// A column: its title, the value of a run, and how many decimals.
struct Column {
    title: &'static str,
    value: fn(&Measured) -> Option<f64>,
    decimals: usize,
}

macro_rules! percent {
    ($on:ident, $name:literal) => {
        Column { title: $name, value: |m| Some(100. * m.score(On::$on, $name)?), decimals: 2 }
    };
}

const KNOWN: [Column; 3] = [percent!(Known, "recognition"), percent!(Known, "VRF(1)"), percent!(Known, "VRF(N-1)")];

const TRAINING: [Column; 2] = [
    Column { title: "N-pair loss", value: Measured::final_loss, decimals: 3 },
    Column { title: "ms per step", value: |m| Some(1e3 * m.seconds_per_step), decimals: 1 },
];

const UNSEEN: [Column; 7] = [
    percent!(Unseen, "recall@1"),
    percent!(Unseen, "R-precision"),
    percent!(Unseen, "MAP@R"),
    percent!(Unseen, "NMI"),
    percent!(Unseen, "F1"),
    percent!(Unseen, "VRF(1)"),
    percent!(Unseen, "VRF(N-1)"),
];

/// Unseen instances of known classes.
pub fn known(measured: &[Measured]) -> String {
    markdown(measured, &KNOWN)
}

/// Where training ended, and what a step took.
pub fn training(measured: &[Measured]) -> String {
    markdown(measured, &TRAINING)
}

/// Unseen classes.
pub fn unseen(measured: &[Measured]) -> String {
    markdown(measured, &UNSEEN)
}

/// The methods, in order, each once.
pub fn methods(measured: &[Measured]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for m in measured {
        if !names.contains(&m.method.as_str()) {
            names.push(&m.method);
        }
    }
    names
}

/// A Markdown table whose columns line up: methods as rows, mean and standard error over seeds.
fn markdown(measured: &[Measured], columns: &[Column]) -> String {
    let mut rows = vec![std::iter::once("method").chain(columns.iter().map(|c| c.title)).map(str::to_owned).collect()];
    for name in methods(measured) {
        let runs = of_method(measured, name);
        let cell = |c: &Column| {
            let values: Option<Vec<f64>> = runs.iter().map(|m| (c.value)(m)).collect();
            values.and_then(|v| Mean::of(&v)).map_or("-".to_owned(), |mean| number(mean, c.decimals))
        };
        rows.push(std::iter::once(name.to_owned()).chain(columns.iter().map(cell)).collect::<Vec<String>>());
    }
    layout(&rows)
}

pub fn number(mean: Mean, decimals: usize) -> String {
    match mean.error {
        Some(error) => format!("{:.decimals$} ± {error:.decimals$}", mean.value),
        None => format!("{:.decimals$}", mean.value),
    }
}

/// A Markdown table whose columns line up; the first row is its head.
pub fn layout(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(c, (text, &w))| {
            let pad = " ".repeat(w - text.chars().count());
            if c == 0 { format!("{text}{pad}") } else { format!("{pad}{text}") }
        });
        out += &format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        if i == 0 {
            let rule = |(c, &w): (usize, &usize)| {
                if c == 0 { "-".repeat(w + 2) } else { format!("{}:", "-".repeat(w + 1)) }
            };
            out += &format!("|{}|\n", widths.iter().enumerate().map(rule).collect::<Vec<_>>().join("|"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["method", "a"], ["mc", "70.50 ± 0.71"]].map(|r| r.map(str::to_owned).to_vec());
        assert_eq!(layout(&rows), "| method |            a |\n|--------|-------------:|\n| mc     | 70.50 ± 0.71 |\n");
    }

    #[test]
    fn numbers_have_their_error() {
        assert_eq!(number(Mean { value: 70.504, error: Some(0.708) }, 2), "70.50 ± 0.71");
        assert_eq!(number(Mean { value: 1.5, error: None }, 3), "1.500");
    }
}
