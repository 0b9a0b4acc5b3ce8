use super::Context;
use crate::text::{Cell, Table, interval, number, score};

/// Differences between runs on the same queries.
pub fn html(context: &Context) -> Option<String> {
    let rows = &context.page.comparison;
    let head = ["Runs", "Score", "Difference", "95 % interval", "p", "Verdict"];
    let mut table = Table::new("Score of the first run minus that of the second, on the same queries", &head);
    for row in rows {
        let dash = || "–".to_owned();
        let sign = if row.difference > 0. { "+" } else { "" };
        table.rows.push(vec![
            Cell::Text(format!("{} against {}", row.a, row.b)),
            Cell::Text(row.score.clone()),
            Cell::Number(format!("{sign}{}", score(row.difference))),
            Cell::Number(interval(row.low, row.high).unwrap_or_else(dash)),
            Cell::Number(row.p.map_or_else(dash, p_value)),
            Cell::Text(row.verdict.clone()),
        ]);
    }
    (!rows.is_empty()).then(|| table.html())
}

/// Nobody believes the digits of a p below a thousandth.
fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { number(p) }
}
