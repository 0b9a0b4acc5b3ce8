use super::figure::REGION;
use super::{Axis, Dot, Look, Plot, Rule, Series, shape};
use crate::text::esc;
use std::fmt::Write;

/// How many looks of lines there are; more lines begin again with other dashes.
const STYLES: usize = 6;

/// A plot's SVG. `label` is escaped.
pub fn svg(plot: &Plot, id: &str, label: &str) -> String {
    let mut out =
        format!("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{label}\">", REGION.width, REGION.height);
    let (left, top, right, bottom) = frame();
    let _ = write!(
        out,
        "<clipPath id=\"{id}-clip\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>",
        left - 7.,
        top - 7.,
        right - left + 14.,
        bottom - top + 14.
    );
    out.push_str(&axes(plot));
    let _ = write!(out, "<g clip-path=\"url(#{id}-clip)\">");
    let mut row = 0;
    for (at, series) in plot.series.iter().enumerate() {
        out.push_str(&one_series(plot, series, row, at));
        row += series.dots.len();
    }
    out.push_str("</g>");
    out.push_str(&rules(plot));
    out.push_str(&marks(plot));
    out.push_str("</svg>");
    out
}

/// The frame's left, top, right and bottom.
fn frame() -> (f64, f64, f64, f64) {
    (REGION.left, REGION.top, REGION.width - REGION.right, REGION.height - REGION.bottom)
}

fn across(axis: &Axis, value: f64) -> f64 {
    let (left, _, right, _) = frame();
    left + axis.place(value).clamp(-0.1, 1.1) * (right - left)
}

fn upwards(axis: &Axis, value: f64) -> f64 {
    let (_, top, _, bottom) = frame();
    bottom - axis.place(value).clamp(-0.1, 1.1) * (bottom - top)
}

/// Grid, ticks and labels.
fn axes(plot: &Plot) -> String {
    let (left, top, right, bottom) = frame();
    let mut out = String::from("<g class=\"grid\">");
    for (value, text) in &plot.x.ticks {
        let x = across(&plot.x, *value);
        let _ = write!(out, "<path d=\"M{x:.1} {top}V{bottom}\"/>");
        let _ = write!(out, "<text x=\"{x:.1}\" y=\"{}\" class=\"mid\">{text}</text>", bottom + 15.);
    }
    for (value, text) in &plot.y.ticks {
        let y = upwards(&plot.y, *value);
        let _ = write!(out, "<path d=\"M{left} {y:.1}H{right}\"/>");
        let _ = write!(out, "<text x=\"{}\" y=\"{:.1}\" class=\"end\">{text}</text>", left - 5., y + 4.);
    }
    let _ = write!(out, "<path class=\"axis\" d=\"M{left} {top}V{bottom}H{right}\"/></g>");
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{}\" class=\"mid label\">{}</text>",
        (left + right) / 2.,
        REGION.height - 8.,
        esc(&plot.x.label)
    );
    let middle = (top + bottom) / 2.;
    let label = esc(&plot.y.label);
    let _ = write!(out, "<text transform=\"translate(10 {middle:.1})rotate(-90)\" class=\"mid label\">{label}</text>");
    out
}

/// A series; `row` is where its numbers begin in the table, `at` which one it is.
fn one_series(plot: &Plot, series: &Series, row: usize, at: usize) -> String {
    let place = |d: &Dot| (across(&plot.x, d.x), upwards(&plot.y, d.y));
    let points: Vec<(f64, f64)> = series.dots.iter().map(place).collect();
    let style = series.style % STYLES;
    let dash = (series.style + series.style / STYLES) % STYLES;
    let mut path = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    let mut out = String::new();
    match series.look {
        Look::Steps => {
            let (first, last) = (points.first().map_or(0., |p| p.0), points.last().map_or(0., |p| p.0));
            let floor = upwards(&plot.y, 0.);
            let _ =
                write!(out, "<path class=\"area s{style}\" d=\"{path}L{last:.1} {floor:.1}L{first:.1} {floor:.1}z\"/>");
        }
        Look::Line => out.push_str(&band(plot, series, style)),
        Look::Shapes => out.push_str(&whiskers(plot, series, style)),
    }
    // Two corners of steps are one bin, and one row.
    let (row, per) = if series.look == Look::Steps { (0, 2) } else { (row, 1) };
    let _ = write!(out, "<path class=\"line s{style} d{dash}\" d=\"{path}\" data-row=\"{row}\" data-per=\"{per}\"/>");
    let every = if series.look == Look::Shapes { 1 } else { points.len().div_ceil(5).max(1) };
    // Lines that lie on each other carry their shapes at other places.
    let from = if series.look == Look::Shapes { 0 } else { (every / 2 + at * (every / 6).max(1)) % every };
    if series.look != Look::Steps && (plot.series.len() > 1 || series.look == Look::Shapes || points.len() == 1) {
        for (x, y) in points.iter().skip(from).step_by(every) {
            let _ = write!(out, "<path class=\"dot s{style}\" d=\"{}\"/>", shape(series.style, *x, *y, 3.5));
        }
    }
    out
}

/// The area between the ends of intervals.
fn band(plot: &Plot, series: &Series, style: usize) -> String {
    let ends = |end: fn(&Dot) -> Option<f64>| -> Vec<(f64, f64)> {
        let place = |d: &Dot| Some((across(&plot.x, d.x), upwards(&plot.y, end(d)?)));
        series.dots.iter().filter_map(place).collect()
    };
    let (low, high) = (ends(|d| d.low), ends(|d| d.high));
    if low.len() < 2 || low.len() != high.len() {
        return String::new();
    }
    let mut path = String::new();
    for (at, (x, y)) in high.iter().chain(low.iter().rev()).enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    format!("<path class=\"band s{style}\" d=\"{path}z\"/>")
}

/// Intervals as upright lines with short ends.
fn whiskers(plot: &Plot, series: &Series, style: usize) -> String {
    let mut path = String::new();
    for dot in &series.dots {
        let (Some(low), Some(high)) = (dot.low, dot.high) else { continue };
        let (x, low, high) = (across(&plot.x, dot.x), upwards(&plot.y, low), upwards(&plot.y, high));
        let _ = write!(path, "M{x:.1} {low:.1}V{high:.1}M{0:.1} {low:.1}h6M{0:.1} {high:.1}h6", x - 3.);
    }
    if path.is_empty() { path } else { format!("<path class=\"line s{style}\" d=\"{path}\"/>") }
}

/// Lines across, then their words, one below the other, over all lines.
fn rules(plot: &Plot) -> String {
    let (left, top, right, bottom) = frame();
    let mut lines = String::new();
    let mut words = String::new();
    for (at, rule) in plot.rules.iter().enumerate() {
        let (from, to) = match rule {
            Rule::At(value, text) => {
                let x = across(&plot.x, *value);
                // Words turn to the side where there is room.
                let (side, beside) = if x > (left + right) / 2. { ("end", x - 4.) } else { ("start", x + 4.) };
                let (text, line) = (esc(text), top + 9. + 13. * at as f64);
                let _ = write!(words, "<text x=\"{beside:.1}\" y=\"{line:.1}\" class=\"halo {side}\">{text}</text>");
                ((x, top), (x, bottom))
            }
            Rule::Diagonal(_) => {
                let place = |v| (across(&plot.x, v), upwards(&plot.y, v));
                (place(plot.x.low.max(plot.y.low)), place(plot.x.high.min(plot.y.high)))
            }
        };
        let _ = write!(lines, "<path class=\"rule\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>", from.0, from.1, to.0, to.1);
    }
    lines + &words
}

/// Single places, each with a diamond and its word; words of neighbours do not lie on each other.
fn marks(plot: &Plot) -> String {
    let (left, _, right, bottom) = frame();
    let mut out = String::new();
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for mark in &plot.marks {
        let (x, y) = (across(&plot.x, mark.x), upwards(&plot.y, mark.y));
        let is_right = x < (left + right) * 0.6;
        let at = if is_right { x + 8. } else { x - 8. };
        let mut line = (y + 14.).min(bottom - 4.);
        while taken.iter().any(|(tx, ty)| (tx - at).abs() < 80. && (ty - line).abs() < 12.) {
            line -= 12.;
        }
        taken.push((at, line));
        let side = if is_right { "start" } else { "end" };
        let _ = write!(
            out,
            "<path class=\"mark\" d=\"{}\"/><text class=\"halo {side}\" x=\"{at:.1}\" y=\"{line:.1}\">{}</text>",
            shape(3, x, y, 4.),
            esc(&mark.text)
        );
    }
    out
}

/// What tells the series apart; nothing if there is one thing only.
pub fn legend(plot: &Plot) -> String {
    let diagonal = plot.rules.iter().find_map(|r| match r {
        Rule::Diagonal(text) if !text.is_empty() => Some(text),
        _ => None,
    });
    if plot.series.len() + usize::from(diagonal.is_some()) < 2 {
        return String::new();
    }
    let mut out = String::from("<ul class=\"legend\">");
    for series in &plot.series {
        let style = series.style % STYLES;
        let dash = (series.style + series.style / STYLES) % STYLES;
        let swatch = match series.look {
            Look::Steps => format!(
                "<path class=\"area s{style}\" d=\"M1 2H29V13H1z\"/><path class=\"line s{style} d{dash}\" d=\"M1 13V2H29V13\"/>"
            ),
            Look::Line if plot.series.len() == 1 => format!("<path class=\"line s{style} d{dash}\" d=\"M0 8H30\"/>"),
            _ => format!(
                "<path class=\"line s{style} d{dash}\" d=\"M0 8H30\"/><path class=\"dot s{style}\" d=\"{}\"/>",
                shape(series.style, 15., 8., 3.5)
            ),
        };
        let _ = write!(out, "<li>{}{}</li>", swatch_svg(&swatch), esc(&series.name));
    }
    if let Some(text) = diagonal {
        let _ = write!(out, "<li>{}{}</li>", swatch_svg("<path class=\"rule\" d=\"M0 8H30\"/>"), esc(text));
    }
    out + "</ul>\n"
}

fn swatch_svg(inner: &str) -> String {
    format!("<svg viewBox=\"0 0 30 16\" class=\"swatch\" aria-hidden=\"true\">{inner}</svg>")
}
