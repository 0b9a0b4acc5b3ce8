//! Fewer places where the eye could not tell them apart.

use super::{Axis, Dot};

/// The most places of a line: one for about two pixels of the narrowest plot.
pub const MOST_DOTS: usize = 160;

/// Values by step, at most [`MOST_DOTS`]: of more, the mean of equal spans, with the smallest and the largest value of each.
pub fn by_spans(values: &[(f64, f64)]) -> Vec<Dot> {
    if values.len() <= MOST_DOTS {
        return values.iter().map(|&(x, y)| Dot::new(x, y)).collect();
    }
    let span = values.len().div_ceil(MOST_DOTS);
    let dot = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        let ys = || part.iter().map(|v| v.1);
        Dot {
            x: part.iter().map(|v| v.0).sum::<f64>() / n,
            y: ys().sum::<f64>() / n,
            low: Some(ys().fold(f64::INFINITY, f64::min)),
            high: Some(ys().fold(f64::NEG_INFINITY, f64::max)),
        }
    };
    values.chunks(span).map(dot).collect()
}

/// A path on these axes without the places that are within 1 % of a side of the one before; the last one stays.
pub fn by_distance(dots: &[Dot], x: &Axis, y: &Axis) -> Vec<Dot> {
    let mut kept: Vec<Dot> = Vec::new();
    for (at, dot) in dots.iter().enumerate() {
        let is_far = |last: &Dot| (x.place(dot.x) - x.place(last.x)).hypot(y.place(dot.y) - y.place(last.y)) > 0.01;
        if at + 1 == dots.len() || kept.last().is_none_or(is_far) {
            kept.push(*dot);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{Dot, MOST_DOTS, by_distance, by_spans};
    use crate::plot::Axis;

    #[test]
    fn spans_keep_mean_and_extremes() {
        let values: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), if i == 5003 { 9. } else { 1. })).collect();
        let dots = by_spans(&values);
        assert!(dots.len() <= MOST_DOTS);
        let spike = dots.iter().find(|d| d.high == Some(9.)).expect("the spike is in one of them");
        assert!(spike.low == Some(1.) && spike.y > 1. && spike.y < 1.2);
        assert!(dots.windows(2).all(|w| w[0].x < w[1].x));
        assert_eq!(by_spans(&values[..3]).len(), 3);
    }

    #[test]
    fn a_path_keeps_its_ends() {
        let dots: Vec<Dot> = (0..=5000).map(|i| Dot::new(f64::from(i) / 5000., f64::from(i) / 5000.)).collect();
        let kept = by_distance(&dots, &Axis::share("x"), &Axis::share("y"));
        assert!(kept.len() < 150 && kept.len() > 100, "{}", kept.len());
        assert_eq!((kept[0], kept[kept.len() - 1]), (dots[0], dots[5000]));
    }
}
