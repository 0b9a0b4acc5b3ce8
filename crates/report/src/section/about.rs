use super::Context;
use crate::text::{Cell, Table, esc};
use std::fmt::Write;

/// Facts: a list of one run, a table of several.
pub fn html(context: &Context) -> Option<String> {
    let runs = &context.page.runs;
    if let [run] = runs.as_slice() {
        let mut out = String::from("<dl class=\"facts\">\n");
        for (name, value) in &run.facts {
            let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", esc(name), esc(value));
        }
        return (!run.facts.is_empty()).then(|| out + "</dl>\n");
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|r| &r.facts) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut head = vec!["Fact"];
    head.extend(runs.iter().map(|r| r.name.as_str()));
    let mut table = Table::new("What was trained on what, by run", &head);
    for name in names {
        let value = |facts: &[(String, String)]| {
            let found = facts.iter().find(|f| f.0 == name);
            Cell::Text(found.map_or_else(|| "–".to_owned(), |f| f.1.clone()))
        };
        let cells = runs.iter().map(|r| value(&r.facts));
        table.rows.push(std::iter::once(Cell::Text(name.to_owned())).chain(cells).collect());
    }
    (!table.rows.is_empty()).then(|| table.html())
}

/// What was left out, and why.
pub fn notes(context: &Context) -> Option<String> {
    let list = |notes: &[String]| {
        let items: String = notes.iter().map(|n| format!("<li>{}</li>\n", esc(n))).collect();
        (!notes.is_empty()).then(|| format!("<ul>\n{items}</ul>\n"))
    };
    let own = list(&context.page.notes);
    let of_runs = context.by_run(|run| list(&run.notes));
    (own.is_some() || of_runs.is_some()).then(|| own.unwrap_or_default() + &of_runs.unwrap_or_default())
}
