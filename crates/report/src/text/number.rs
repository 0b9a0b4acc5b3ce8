//! Numbers in words. Numbers and their units are kept on one line by spaces that do not break.

const NARROW: char = '\u{a0}';

/// A share as percent, with one digit behind the point.
pub fn percent(share: f64) -> String {
    format!("{:.1}{NARROW}%", share * 100.)
}

/// A difference of two shares, in points of a hundred: whole ones from two on.
pub fn points(share: f64) -> String {
    let size = share.abs() * 100.;
    let digits = if size < 2. { 1 } else { 0 };
    let text = format!("{size:.digits$}");
    let noun = if text == "1.0" { "point" } else { "points" };
    format!("{text}{NARROW}{noun}")
}

/// Four significant digits, without zeros at the end.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0. {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}").replace(".00e", "e").replace('-', "\u{2212}");
    }
    // How many digits stand before the point decides how many follow it.
    let before = size.log10().floor() as i32 + 1;
    let digits = (4 - before).clamp(0, 6) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    text.replace('-', "\u{2212}")
}

/// Three digits behind the point, so that columns of scores line up; four significant ones of what is larger than a score.
pub fn score(value: f64) -> String {
    if value.abs() < 10. { format!("{value:.3}").replace('-', "\u{2212}") } else { number(value) }
}

/// "low to high", as scores, if there is an interval.
pub fn interval(low: Option<f64>, high: Option<f64>) -> Option<String> {
    Some(format!("{} to {}", score(low?), score(high?)))
}

/// "low to high" in percent, if there is an interval.
pub fn percent_interval(low: Option<f64>, high: Option<f64>) -> Option<String> {
    Some(format!("{:.1} to {}", low? * 100., percent(high?)))
}

/// "1 query", "2 queries".
pub fn plural(count: usize, one: &str, more: &str) -> String {
    format!("{count}{NARROW}{}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::{number, percent, percent_interval, plural, points};

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0., "0"),
            (0.66214, "0.6621"),
            (0.5, "0.5"),
            (12.0, "12"),
            (1234.5678, "1235"),
            (99999.9, "100000"),
            (-0.25, "\u{2212}0.25"),
            (0.00012, "1.20e\u{2212}4"),
            (0.01, "0.01"),
            (3e7, "3e7"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn shares_are_percent_and_their_differences_points() {
        assert_eq!(percent(0.6624), "66.2\u{a0}%");
        assert_eq!(points(-0.3149), "31\u{a0}points");
        assert_eq!(points(0.0101), "1.0\u{a0}point");
        assert_eq!(points(0.004), "0.4\u{a0}points");
        assert_eq!(percent_interval(Some(0.631), Some(0.69)).as_deref(), Some("63.1 to 69.0\u{a0}%"));
        assert_eq!(percent_interval(None, Some(0.69)), None);
        assert_eq!(plural(1, "query", "queries"), "1\u{a0}query");
    }
}
