use super::Context;
use crate::input::RunPart;
use crate::plot::{Axis, Dot, Mark, Plot, Rule, Series, by_distance};
use crate::text::{Cell, Table, esc, interval, number, percent, score};

/// ROC and DET of all runs over each other, then the chosen thresholds.
pub fn html(context: &Context) -> Option<String> {
    let runs = &context.page.runs;
    let mut out = String::new();
    if runs.iter().any(|r| !r.roc.is_empty()) {
        let plots: String =
            [Some(roc(runs)), det(runs)].iter().flatten().map(|p| p.html(&context.id("plot"))).collect();
        out = format!("<div class=\"plots\">\n{plots}</div>\n");
    }
    out.push_str(&context.by_run(thresholds).unwrap_or_default());
    (!out.is_empty()).then_some(out)
}

fn roc(runs: &[RunPart]) -> Plot {
    let (x, y) = (Axis::share("false accept rate (FAR) in %"), Axis::share("true accept rate (TAR) in %"));
    let series = runs.iter().enumerate().filter(|(_, r)| !r.roc.is_empty()).map(|(style, run)| {
        let dots: Vec<Dot> = run.roc.iter().map(|&(far, tar)| Dot::new(far, tar)).collect();
        Series::line(run.name.clone(), by_distance(&dots, &x, &y), style)
    });
    let series = series.collect();
    let mut plot = Plot::new("ROC", x, y, series);
    plot.about = at_rates(runs);
    plot.rules.push(Rule::Diagonal("guessing".to_owned()));
    plot.marks = marks(runs, |t| (t.far_here.unwrap_or(t.far), t.tar));
    plot.note =
        "Pairs that the network takes for one class: the nearer to the upper left corner, the better.".to_owned();
    plot
}

/// Both errors on axes of normal deviates; none if no place of the curve has both of them between 0 and 1.
fn det(runs: &[RunPart]) -> Option<Plot> {
    // Rates of 0 and 1 are infinitely far away on these axes, and beyond 80 % nobody works.
    let inside = |v: f64| (1e-4..=0.8).contains(&v);
    let all: Vec<Vec<Dot>> = runs
        .iter()
        .map(|run| {
            let dots = run.roc.iter().map(|&(far, tar)| Dot::new(far, 1. - tar));
            dots.filter(|d| inside(d.x) && inside(d.y)).collect()
        })
        .collect();
    let ends = |value: fn(&Dot) -> f64| {
        let values = || all.iter().flatten().map(value);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((x_low, x_high), (y_low, y_high)) = (ends(|d| d.x), ends(|d| d.y));
    if x_low > x_high {
        return None;
    }
    let x = Axis::deviate("false accept rate (FAR) in %", x_low, x_high);
    let y = Axis::deviate("false reject rate (1 − TAR) in %", y_low, y_high);
    let series = all
        .iter()
        .enumerate()
        .filter(|(_, dots)| !dots.is_empty())
        .map(|(style, dots)| Series::line(runs[style].name.clone(), by_distance(dots, &x, &y), style));
    let series = series.collect();
    let mut plot = Plot::new("DET", x, y, series);
    plot.about = at_rates(runs);
    plot.rules.push(Rule::Diagonal("equal errors: a curve crosses it at its EER".to_owned()));
    plot.marks = marks(runs, |t| (t.far_here.unwrap_or(t.far), 1. - t.tar));
    plot.marks.retain(|m| inside(m.x) && inside(m.y));
    plot.note = "The same on axes of normal deviates: the nearer to the lower left corner, the better.".to_owned();
    Some(plot)
}

/// The chosen thresholds; of several runs only the table has them, or nobody could read the plot.
fn marks(runs: &[RunPart], place: fn(&crate::ThresholdRow) -> (f64, f64)) -> Vec<Mark> {
    let [run] = runs else { return Vec::new() };
    let mark = |t| {
        let (x, y) = place(t);
        Mark { x, y, text: format!("FAR {} %", number(t.far * 100.)) }
    };
    run.thresholds.iter().map(mark).collect()
}

/// The true accept rates at 1 % and 10 %, in words.
fn at_rates(runs: &[RunPart]) -> String {
    let at = |run: &RunPart, far: f64| run.roc.iter().rev().find(|p| p.0 <= far).map_or(0., |p| p.1);
    let said = runs.iter().filter(|r| !r.roc.is_empty()).map(|run| {
        format!("{}: TAR {} at FAR 1 %, {} at FAR 10 %.", run.name, percent(at(run, 0.01)), percent(at(run, 0.1)))
    });
    said.collect::<Vec<_>>().join(" ")
}

fn thresholds(run: &RunPart) -> Option<String> {
    let has_interval = run.thresholds.iter().any(|t| t.low.is_some());
    let mut head = vec!["FAR aimed at", "Threshold"];
    head.extend(has_interval.then_some("95 % interval"));
    let is_measured = run.thresholds.iter().any(|t| t.far_here.is_some());
    head.extend(is_measured.then_some("FAR here"));
    head.push("TAR");
    let of = if run.measure.is_empty() { String::new() } else { format!(" on {}", run.measure) };
    let mut table = Table::new(format!("Chosen thresholds{of}"), &head);
    for row in &run.thresholds {
        let mut cells = vec![Cell::Number(format!("{} %", number(row.far * 100.))), Cell::Number(score(row.threshold))];
        if has_interval {
            cells.push(Cell::Number(interval(row.low, row.high).unwrap_or_else(|| "–".to_owned())));
        }
        if is_measured {
            let here = row.far_here.map_or_else(|| "–".to_owned(), |far| format!("{} %", number(far * 100.)));
            cells.push(Cell::Number(here));
        }
        cells.push(Cell::Number(percent(row.tar)));
        table.rows.push(cells);
    }
    let note = esc("Pairs at least as similar as the threshold are taken for one class.");
    (!table.rows.is_empty()).then(|| format!("{}<p class=\"note\">{note}</p>\n", table.html()))
}
