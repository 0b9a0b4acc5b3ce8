use std::ops::Range;

/// Cuts `0..n` into at most `parts` ranges of nearly equal length. It depends on nothing else, so sums over the parts
/// have the same bits for any number of threads.
pub fn parts(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.min(n).max(1);
    (0..parts).map(|p| p * n / parts..(p + 1) * n / parts).filter(|r| !r.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_parts_cover_everything_once() {
        assert_eq!(super::parts(5, 2), [0..2, 2..5]);
        assert_eq!(super::parts(1, 4), vec![0..1]);
        assert!(super::parts(0, 4).is_empty());
    }
}
