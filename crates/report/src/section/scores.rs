use super::Context;
use super::verdict;
use crate::input::{RunPart, ScoreRow};
use crate::text::{Cell, Table, interval, score};

/// One table: a row for every score, a column for every run and, of a single run, for every baseline.
pub fn html(context: &Context) -> Option<String> {
    let runs = &context.page.runs;
    let mut names: Vec<&str> = Vec::new();
    for row in runs.iter().flat_map(|r| &r.scores) {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    if names.is_empty() {
        return None;
    }
    let columns = columns(runs);
    let has_notes = runs.iter().flat_map(|r| &r.scores).any(|s| !s.note.is_empty());
    let mut head = vec!["Score"];
    head.extend(columns.iter().map(|c| c.0.as_str()));
    head.extend(has_notes.then_some("Note"));
    let mut table = Table::new("Scores, with 95 % intervals in brackets", &head);
    for name in names {
        let mut cells = vec![Cell::Text(name.to_owned())];
        cells.extend(columns.iter().map(|(_, scores)| Cell::Number(value(verdict::score(scores, name)))));
        if has_notes {
            let found = runs.iter().filter_map(|r| verdict::score(&r.scores, name)).map(|s| s.note.as_str());
            let mut notes: Vec<&str> = found.filter(|n| !n.is_empty()).collect();
            notes.dedup();
            cells.push(Cell::Text(notes.join("; ")));
        }
        table.rows.push(cells);
    }
    Some(table.html())
}

/// The columns' names and scores.
fn columns(runs: &[RunPart]) -> Vec<(String, &[ScoreRow])> {
    let mut columns: Vec<(String, &[ScoreRow])> = Vec::new();
    for run in runs {
        let name = if runs.len() == 1 { "Trained network" } else { &run.name };
        columns.push((name.to_owned(), &run.scores));
    }
    if let [run] = runs {
        columns.extend(run.baselines.iter().map(|b| (b.name.clone(), b.scores.as_slice())));
    }
    columns
}

fn value(row: Option<&ScoreRow>) -> String {
    let Some(row) = row else { return "–".to_owned() };
    let within = interval(row.low, row.high).map_or_else(String::new, |text| format!(" ({text})"));
    score(row.value) + &within
}
