//! How documentation is written.

use super::{Finding, Tree};

/// The headings of a public item's documentation.
const HEADINGS: &[&str] =
    &["Shapes", "Units", "Gradient", "Numerics", "Errors", "Panics", "Safety", "Source", "Examples"];

/// Headings that have their text behind them.
pub fn alone(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for (i, line) in source.lines.iter().enumerate() {
            let Some(heading) = crowded(line) else { continue };
            findings.push(Finding {
                file: source.file.clone(),
                line: i + 1,
                what: format!("text behind the heading `# {heading}`"),
                why: "the whole sentence becomes a heading",
                cure: "begin a line of its own with it, and leave an empty one before the heading",
            });
        }
    }
    findings
}

/// The heading that a line of documentation begins with, if text follows it.
fn crowded(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?.trim_start();
    let (first, rest) = text.strip_prefix("# ")?.trim_start().split_once(char::is_whitespace)?;
    HEADINGS.iter().copied().find(|h| *h == first && !rest.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::crowded;

    #[test]
    fn a_heading_stands_alone() {
        assert_eq!(crowded("    /// # Shapes    (B, C) to (B, F)."), Some("Shapes"));
        assert_eq!(crowded("//! # Errors If there are none."), Some("Errors"));
        for line in
            ["/// # Shapes", "/// # Errors  ", "/// # use a::b;", "// # Shapes of things", "/// # The whole path"]
        {
            assert_eq!(crowded(line), None, "{line}");
        }
    }
}
