use npair_evaluate::Scores;

/// Scores as a table: name, value, and a 95 % interval: by the bootstrap over classes, or of two standard errors.
pub fn print(scores: &Scores) {
    say!("{}: {} examples, {} classes, {}", scores.set, scores.examples, scores.classes, scores.measure);
    let width = scores.scores.iter().map(|s| s.name.len()).max().unwrap_or(0);
    for s in &scores.scores {
        let two_errors = |se: f64| ((s.value - 1.96 * se).max(0.), (s.value + 1.96 * se).min(1.));
        match s.interval.map(|i| (i.low, i.high)).or(s.standard_error.map(two_errors)) {
            Some((low, high)) => {
                say!("  {:<width$}  {:.4}   [{low:.4}, {high:.4}]", s.name, s.value);
            }
            None => say!("  {:<width$}  {:.4}", s.name, s.value),
        }
    }
    for note in &scores.notes {
        say!("  note: {note}");
    }
}
