use super::{Context, measure};
use crate::input::{RunPart, SimilarityHistogram};
use crate::plot::{Axis, Dot, Look, Plot, Rule, Scale, Series};
use crate::text::{Cell, Table, number, score};

/// Thresholds that are drawn: more words than that do not fit side by side.
const MOST_RULES: usize = 4;

/// Histograms of same and different pairs, one plot a run.
pub fn html(context: &Context) -> Option<String> {
    let html = context.by_run(|run| {
        let histogram = run.histogram.as_ref().filter(|h| !h.edges.is_empty())?;
        Some(format!("<div class=\"plots\">\n{}</div>\n", plot(run, histogram).html(&context.id("plot"))))
    })?;
    Some(html)
}

fn plot(run: &RunPart, histogram: &SimilarityHistogram) -> Plot {
    let series = vec![
        steps("pairs of one class", &histogram.edges, &histogram.same, 0),
        steps("pairs of two classes", &histogram.edges, &histogram.different, 1),
    ];
    let heights = || series.iter().flat_map(|s| &s.dots).map(|d| d.y).chain([0.]);
    let y = Axis::around("share of pairs in %", Scale::Linear, heights());
    let x = Axis::around(measure(run), Scale::Linear, histogram.edges.iter().copied());
    let mut plot = Plot::new("How similar pairs are", x, y, series);
    plot.about = about(histogram);
    let rule = |t: &crate::ThresholdRow| {
        Rule::At(t.threshold, format!("FAR {}\u{a0}%: {}", number(t.far * 100.), score(t.threshold)))
    };
    plot.rules = run.thresholds.iter().take(MOST_RULES).map(rule).collect();
    plot.table = Some(table(histogram));
    plot.note = "Each kind of pair adds up to 100 %. Upright lines: the chosen thresholds.".to_owned();
    plot
}

/// Corners of bins, two each, in percent of all pairs of their kind.
fn steps(name: &str, edges: &[f64], counts: &[u64], style: usize) -> Series {
    let sum = counts.iter().sum::<u64>().max(1) as f64;
    let bin = |(ends, &count): (&[f64], &u64)| {
        ends.iter().map(move |&x| Dot::new(x, 100. * count as f64 / sum)).collect::<Vec<_>>()
    };
    let dots = edges.windows(2).zip(counts).flat_map(bin).collect();
    Series { name: name.to_owned(), dots, style, look: Look::Steps }
}

fn table(histogram: &SimilarityHistogram) -> Table {
    let head = ["From", "To", "Pairs of one class", "Pairs of two classes"];
    let mut table = Table::new("Numbers: How similar pairs are", &head);
    for (ends, (same, different)) in histogram.edges.windows(2).zip(histogram.same.iter().zip(&histogram.different)) {
        let cells = [number(ends[0]), number(ends[1]), same.to_string(), different.to_string()];
        table.rows.push(cells.map(Cell::Number).to_vec());
    }
    table
}

/// Where half of the pairs of either kind are, in words.
fn about(histogram: &SimilarityHistogram) -> String {
    let middle = |counts: &[u64]| {
        let half = counts.iter().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        let at = counts.iter().position(|&c| {
            seen += c;
            seen >= half && half > 0
        });
        at.and_then(|at| Some((histogram.edges.get(at)? + histogram.edges.get(at + 1)?) / 2.))
    };
    match (middle(&histogram.same), middle(&histogram.different)) {
        (Some(same), Some(different)) => format!(
            "The median of pairs of one class is about {}, that of pairs of two classes about {}.",
            number(same),
            number(different)
        ),
        _ => String::new(),
    }
}
