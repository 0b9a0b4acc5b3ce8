use super::Context;
use super::verdict::{best, is_error, score, sentence};
use crate::input::{BaselineKind, RunPart, ScoreRow};
use crate::plot::shape;
use crate::text::{esc, percent, percent_interval};
use std::fmt::Write;

/// The three scores that come first, and what they mean.
const THREE: [(&str, &str); 3] = [
    ("recall@1", "Share of queries whose nearest neighbour is of the same class. Higher is better."),
    ("R-precision", "Share of right ones among as many neighbours as the class has others. Higher is better."),
    ("EER", "Rate of errors where as many pairs are wrongly accepted as wrongly rejected. Lower is better."),
];

/// One value of a tile: who has it, the score, and its shape on the line.
struct Entry<'a> {
    who: String,
    row: &'a ScoreRow,
    style: usize,
}

/// The sentence and the three scores of every run.
pub fn html(context: &Context) -> Option<String> {
    let level = if context.page.runs.len() > 1 { 4 } else { 3 };
    context.by_run(|run| one_run(run, level))
}

fn one_run(run: &RunPart, level: usize) -> Option<String> {
    let tiles: String = THREE.iter().filter_map(|(name, meaning)| tile(run, name, meaning, level)).collect();
    if tiles.is_empty() {
        return None;
    }
    let mut out = String::new();
    if let Some((verdict, text)) = sentence(run) {
        let _ = writeln!(
            out,
            "<p class=\"verdict\"><span class=\"badge\"><svg class=\"sign\" viewBox=\"0 0 16 16\" aria-hidden=\"true\">\
             <use href=\"#{}\"/></svg>{}</span> {}</p>",
            verdict.sign(),
            verdict.words(),
            esc(&text)
        );
    }
    let _ = writeln!(out, "<div class=\"tiles\">\n{tiles}</div>");
    Some(out)
}

/// One score beside the same of baselines.
fn tile(run: &RunPart, name: &str, meaning: &str, level: usize) -> Option<String> {
    let own = score(&run.scores, name)?;
    let kinds = [
        (BaselineKind::Pixels, "Best pixel baseline"),
        (BaselineKind::Untrained, "Untrained network"),
        (BaselineKind::Chance, "Guessing"),
    ];
    let mut entries = vec![Entry { who: "Trained network".to_owned(), row: own, style: 0 }];
    for (at, (kind, words)) in kinds.into_iter().enumerate() {
        if let Some((baseline, row)) = best(run, kind, name) {
            let is_named = kind == BaselineKind::Pixels && !baseline.name.is_empty();
            let who = if is_named { format!("{words}: {}", baseline.name) } else { words.to_owned() };
            entries.push(Entry { who, row, style: at + 1 });
        }
    }
    let within = percent_interval(own.low, own.high);
    let within = within.map_or_else(|| "no interval".to_owned(), |text| format!("95\u{a0}% interval {text}"));
    let mut out = format!(
        "<div class=\"tile\"><h{level}>{name}</h{level}><p class=\"big\">{}</p><p class=\"within\">{within}</p>{}<dl>",
        percent(own.value),
        line(name, &entries)
    );
    for entry in &entries {
        let mark = format!(
            "<svg viewBox=\"0 0 16 16\" class=\"key\" aria-hidden=\"true\"><path class=\"dot s{}\" d=\"{}\"/></svg>",
            entry.style,
            shape(entry.style, 8., 8., 4.)
        );
        let within = percent_interval(entry.row.low, entry.row.high);
        let within = within.map_or_else(String::new, |text| format!(" <small>({text})</small>"));
        let value = percent(entry.row.value);
        let _ = write!(out, "<div><dt>{mark}{}</dt><dd>{value}{within}</dd></div>", esc(&entry.who));
    }
    let note = if own.note.is_empty() { String::new() } else { format!(" {}", esc(&own.note)) };
    let _ = writeln!(out, "</dl><p class=\"note\">{meaning}{note}</p></div>");
    Some(out)
}

/// All values on one line from 0 to 100 %; for an error 0 is the good end.
fn line(name: &str, entries: &[Entry]) -> String {
    let x = |share: f64| 16. + share.clamp(0., 1.) * 256.;
    let said: Vec<String> = entries.iter().map(|e| format!("{} {}", e.who, percent(e.row.value))).collect();
    let label = esc(&format!("{name} in percent. {}.", said.join("; ")));
    let mut out =
        format!("<svg class=\"strip\" viewBox=\"0 0 300 52\" role=\"img\" aria-label=\"{label}\"><g class=\"grid\">");
    out.push_str("<path class=\"axis\" d=\"M16 34H272\"/>");
    for tick in [0., 0.25, 0.5, 0.75, 1.] {
        let at = x(tick);
        let percent = if tick == 1. { "100\u{a0}%".to_owned() } else { format!("{}", tick * 100.) };
        let _ = write!(
            out,
            "<path class=\"axis\" d=\"M{at:.1} 34v4\"/><text class=\"mid\" x=\"{at:.1}\" y=\"50\">{percent}</text>"
        );
    }
    let good = if is_error(name) {
        "<text x=\"16\" y=\"9\">better ←</text>"
    } else {
        "<text class=\"end\" x=\"272\" y=\"9\">→ better</text>"
    };
    let _ = write!(out, "{good}</g>");
    // The trained one last, on top of the others.
    for entry in entries.iter().rev() {
        let style = entry.style;
        if let (Some(low), Some(high)) = (entry.row.low, entry.row.high) {
            let _ = write!(out, "<path class=\"line s{style}\" d=\"M{:.1} 23H{:.1}\"/>", x(low), x(high));
        }
        let radius = if style == 0 { 6. } else { 5. };
        let _ = write!(out, "<path class=\"dot s{style}\" d=\"{}\"/>", shape(style, x(entry.row.value), 23., radius));
    }
    out + "</svg>"
}
