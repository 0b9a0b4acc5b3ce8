use npair_train::Scores;

/// Scores as a table: name, value, and the 95 % interval where there is a standard error.
pub fn print(scores: &Scores) {
    println!("{}: {} examples, {} classes, {}", scores.set, scores.examples, scores.classes, scores.measure);
    let width = scores.scores.iter().map(|s| s.name.len()).max().unwrap_or(0);
    for s in &scores.scores {
        match s.standard_error {
            Some(se) => {
                let (low, high) = ((s.value - 1.96 * se).max(0.), (s.value + 1.96 * se).min(1.));
                println!("  {:<width$}  {:.4}   [{low:.4}, {high:.4}]", s.name, s.value);
            }
            None => println!("  {:<width$}  {:.4}", s.name, s.value),
        }
    }
    for note in &scores.notes {
        println!("  note: {note}");
    }
}
