//! Curves and bars, as SVG.

use super::convergence::band;
use super::measured::{Measured, On};
use super::statistics::Mean;
use super::{of_method, table};
use anyhow::{Context, Result, anyhow};
use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;
use std::path::Path;

/// A method's colour, whichever others stand beside it; they differ for the colour-blind too (Okabe and Ito).
fn colour(method: &str) -> RGBColor {
    match method {
        "triplet" => RGBColor(0, 114, 178),
        "triplet-nm" => RGBColor(86, 180, 233),
        "n-pair-ovo" => RGBColor(230, 159, 0),
        "n-pair-mc" | "nca-60x2" => RGBColor(213, 94, 0),
        "n-pair-ovo-nm" | "nca-30x4" => RGBColor(240, 228, 66),
        "n-pair-mc-nm" | "n-pair-mc-large" | "nca-10x12" => RGBColor(204, 121, 167),
        _ => RGBColor(0, 158, 115),
    }
}

const SIZE: (u32, u32) = (840, 480);
const FONT: (&str, i32) = ("sans-serif", 15);
const RECALLS: [&str; 4] = ["recall@1", "recall@2", "recall@4", "recall@8"];

/// Steps, and mean, least and largest of the seeds.
type Band = Vec<(f64, [f64; 3])>;

/// The N-pair loss on held-out pairs over the steps: mean over seeds, and from the least to the largest.
pub fn convergence(measured: &[Measured], path: &Path) -> Result<()> {
    let curves: Vec<(&str, Band)> = table::methods(measured)
        .into_iter()
        .map(|name| (name, band(&of_method(measured, name).iter().map(|m| &m.probes[..]).collect::<Vec<_>>())))
        .collect();
    let points = || curves.iter().flat_map(|(_, c)| c);
    // A logarithm has no 0.
    let least = points().map(|p| p.1[0]).fold(f64::INFINITY, f64::min).max(1e-4) / 1.1;
    let most = points().map(|p| p.1[2]).fold(least * 2., f64::max) * 1.1;
    let end = points().map(|p| p.0).fold(1., f64::max);
    if points().next().is_none() {
        return Ok(());
    }
    let decades = (-4..5).flat_map(|e| [1., 2., 5.].map(|m| m * 10f64.powi(e)));
    let marks: Vec<f64> = decades.filter(|m| (least..most).contains(m)).collect();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .caption("N-pair loss while training", ("sans-serif", 19))
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d(0f64..end, (least..most).log_scale().with_key_points(marks))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("steps")
            .y_desc("nats, logarithmic")
            .label_style(FONT)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| y.to_string())
            .draw()?;
        for (name, curve) in &curves {
            let colour = colour(name);
            let lower = curve.iter().map(|&(x, [low, _, _])| (x, low.max(least)));
            let upper = curve.iter().rev().map(|&(x, [_, _, high])| (x, high));
            chart.draw_series([Polygon::new(lower.chain(upper).collect::<Vec<_>>(), colour.mix(0.2))])?;
            let line = curve.iter().map(|&(x, [_, mean, _])| (x, mean.max(least)));
            chart
                .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(3)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(FONT)
            .draw()?;
        Ok(area.present()?)
    };
    drawn(draw(), path)
}

/// recall@K on unseen classes.
pub fn recall(measured: &[Measured], path: &Path) -> Result<()> {
    bars(measured, On::Unseen, &RECALLS, "recall@K on unseen classes, %", path)
}

/// Scores by method: bars with standard errors over seeds.
#[allow(clippy::too_many_lines, reason = "a drawing from left to right")]
pub fn bars(measured: &[Measured], on: On, scores: &[&str], title: &str, path: &Path) -> Result<()> {
    let methods = table::methods(measured);
    let mean = |name: &str, score: &str| {
        let values: Option<Vec<f64>> = of_method(measured, name).iter().map(|m| m.score(on, score)).collect();
        values.and_then(|v| Mean::of(&v))
    };
    let stride = methods.len() as f64 + 1.;
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(16)
            .caption(title, ("sans-serif", 19))
            .x_label_area_size(44)
            .y_label_area_size(50)
            .build_cartesian_2d(0f64..stride * scores.len() as f64, 0f64..118f64)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(WHITE)
            .y_labels(6)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .label_style(FONT)
            .draw()?;
        for (i, name) in methods.iter().enumerate() {
            let colour = colour(name);
            let bars: Vec<(f64, Mean)> = scores
                .iter()
                .enumerate()
                .filter_map(|(g, score)| Some((g as f64 * stride + i as f64 + 0.5, mean(name, score)?)))
                .collect();
            let bar =
                |(x, m): &(f64, Mean)| Rectangle::new([(x + 0.06, 0.), (x + 0.94, 100. * m.value)], colour.filled());
            chart
                .draw_series(bars.iter().map(bar))?
                .label(*name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled()));
            let whisker = |(x, m): &(f64, Mean)| {
                let (middle, error) = (x + 0.5, m.error.unwrap_or(0.));
                PathElement::new([(middle, 100. * (m.value - error)), (middle, 100. * (m.value + error))], BLACK)
            };
            chart.draw_series(bars.iter().map(whisker))?;
        }
        for (g, score) in scores.iter().enumerate() {
            let (x, _) = chart.backend_coord(&((g as f64 + 0.5) * stride, 0.));
            let (_, y) = chart.backend_coord(&(0., 0.));
            let style = FONT.into_text_style(&area).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
            area.draw_text(score, &style, (x, y + 10))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(FONT)
            .draw()?;
        Ok(area.present()?)
    };
    drawn(draw(), path)
}

fn drawn(done: Result<(), Box<dyn std::error::Error>>, path: &Path) -> Result<()> {
    done.map_err(|e| anyhow!("{e}")).with_context(|| format!("{} cannot be drawn", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::convergence::Probe;
    use super::super::measured::Judged;
    use super::*;

    #[test]
    fn pictures_are_drawn_even_of_little() {
        let dir = tempfile::tempdir().unwrap();
        let (curves, bars) = (dir.path().join("a.svg"), dir.path().join("b.svg"));
        let scores = [("recall@1".to_owned(), 0.5)].into_iter().collect();
        let run = |method: &str, losses: &[f64]| Measured {
            method: method.to_owned(),
            seed: 1,
            n: 4,
            steps: 2,
            examples: 8,
            seconds_per_step: 0.1,
            seconds: 0.2,
            known: Judged::default(),
            unseen: Judged { examples: 4, classes: 2, scores: std::collections::BTreeMap::clone(&scores) },
            probes: losses.iter().enumerate().map(|(i, &loss)| Probe { step: i as f64, loss }).collect(),
            probed: None,
        };
        let runs = [run("triplet", &[3., 0.]), run("n-pair-mc", &[3., 1.])];
        convergence(&runs, &curves).unwrap();
        recall(&runs, &bars).unwrap();
        for (path, word) in [(&curves, "n-pair-mc"), (&bars, "recall@4")] {
            assert!(std::fs::read_to_string(path).unwrap().contains(word));
        }
        convergence(&[run("triplet", &[])], &dir.path().join("c.svg")).unwrap();
    }
}
