use super::Context;
use crate::plot::{Axis, Dot, Look, Plot, Series};
use crate::text::percent;

/// Recall@K by K, runs over each other.
pub fn html(context: &Context) -> Option<String> {
    let runs = &context.page.runs;
    let mut series = Vec::new();
    for (style, run) in runs.iter().enumerate().filter(|(_, r)| !r.recall_at.is_empty()) {
        let mut rows = run.recall_at.clone();
        rows.sort_by_key(|r| r.k);
        let dots = rows.iter().map(|r| Dot { x: r.k as f64, y: r.value, low: r.low, high: r.high }).collect();
        series.push(Series { name: run.name.clone(), dots, style, look: Look::Shapes });
    }
    if series.is_empty() {
        return None;
    }
    let ks: Vec<usize> = runs.iter().flat_map(|r| &r.recall_at).map(|r| r.k).collect();
    let ends = |s: &Series| Some((s.name.clone(), *s.dots.first()?, *s.dots.last()?));
    let said = series.iter().filter_map(ends).map(|(name, first, last)| {
        format!("{name}: {} at K = {}, {} at K = {}.", percent(first.y), first.x, percent(last.y), last.x)
    });
    let about = said.collect::<Vec<_>>().join(" ");
    let x = Axis::at("K: neighbours looked at (by ratio)", &ks);
    let mut plot = Plot::new("Recall@K by K", x, Axis::share("recall@K in %"), series);
    plot.about = about;
    plot.note = "Share of queries with one of their class among the K nearest. Whiskers: 95 % intervals.".to_owned();
    Some(format!("<div class=\"plots\">\n{}</div>\n", plot.html(&context.id("plot"))))
}
