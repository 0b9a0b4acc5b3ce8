use super::Context;
use crate::input::{Curves, RunPart};
use crate::plot::{Axis, Dot, MOST_DOTS, Plot, Scale, Series, by_spans};

/// How the rate's axis is labelled.
const RATE: &str = "learning rate";

/// Values by step.
type Values = Vec<(f64, f64)>;
/// One of the curves.
type Of = fn(&Curves) -> &Values;

/// Loss, rate and norm of the gradient, then the validation's scores; runs lie over each other.
pub fn html(context: &Context) -> Option<String> {
    let runs = &context.page.runs;
    let mut plots = Vec::new();
    let of_training: [(&str, &str, Of); 3] = [
        ("Loss of training", "loss", |c| &c.loss),
        ("Learning rate", RATE, |c| &c.rate),
        ("Norm of the gradient", "gradient norm", |c| &c.gradient_norm),
    ];
    for (title, label, values) in of_training {
        plots.extend(plot(title, label, runs.iter().map(|r| (r.name.clone(), values(&r.curves))).collect()));
    }
    match runs.as_slice() {
        [run] => {
            let all = run.curves.validation.iter().map(|(name, values)| (name.clone(), values)).collect();
            plots.extend(plot("Scores of the validation", "score", all));
        }
        _ => plots.extend(validation_by_score(runs)),
    }
    let html: String = plots.iter().map(|p| p.html(&context.id("plot"))).collect();
    (!plots.is_empty()).then(|| format!("<div class=\"plots\">\n{html}</div>\n"))
}

/// A plot for each of the validation's scores, with all runs.
fn validation_by_score(runs: &[RunPart]) -> Vec<Plot> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in runs.iter().flat_map(|r| &r.curves.validation) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let of_run = |run: &RunPart, name: &str| run.curves.validation.iter().position(|v| v.0 == name);
    let series = |name: &str| {
        let found = runs.iter().filter_map(|r| Some((r.name.clone(), &r.curves.validation[of_run(r, name)?].1)));
        found.collect::<Vec<_>>()
    };
    names.iter().filter_map(|name| plot(&format!("Validation: {name}"), name, series(name))).collect()
}

/// A plot of named values by step; none if there are no values.
fn plot(title: &str, label: &str, named: Vec<(String, &Values)>) -> Option<Plot> {
    let is_thinned = named.iter().any(|(_, values)| values.len() > MOST_DOTS);
    let drawn = named.into_iter().enumerate().filter(|(_, (_, values))| !values.is_empty());
    let series: Vec<Series> = drawn.map(|(at, (name, values))| Series::line(name, by_spans(values), at)).collect();
    let dots = || series.iter().flat_map(|s| &s.dots);
    let ends = |d: &Dot| [d.y, d.low.unwrap_or(d.y), d.high.unwrap_or(d.y)];
    // A schedule that ends at 0 would be all fall by ratio.
    let scale = if label == RATE { Scale::Linear } else { Scale::for_values(dots().flat_map(ends)) };
    let y = if scale == Scale::Log { format!("{label} (by ratio)") } else { label.to_owned() };
    let y = Axis::around(&y, scale, dots().flat_map(ends));
    let x = Axis::around("training step", Scale::Linear, dots().map(|d| d.x));
    if series.is_empty() {
        return None;
    }
    let about = about(&series);
    let mut plot = Plot::new(title, x, y, series);
    plot.about = about;
    if is_thinned {
        plot.note = "Line: mean of equal spans of steps. Band: smallest and largest value of a span.".to_owned();
    }
    Some(plot)
}

/// From where to where the lines go, in words.
fn about(series: &[Series]) -> String {
    let one = |s: &Series| {
        let (first, last) = (s.dots.first()?, s.dots.last()?);
        let number = crate::text::number;
        Some(format!(
            "{} from {} at step {} to {} at step {}",
            s.name,
            number(first.y),
            number(first.x),
            number(last.y),
            number(last.x)
        ))
    };
    series.iter().filter_map(one).collect::<Vec<_>>().join("; ") + "."
}
