//! The monotone curve nearest to scores.

/// Steps of a curve that are kept.
const STEPS: usize = 200;

/// Scores that became one step of the curve: their weighted sum, their weight, and the weight of those that are of one class.
#[derive(Clone, Copy)]
struct Step {
    score: f64,
    weight: f64,
    same: f64,
}

impl Step {
    fn height(&self) -> f64 {
        self.same / self.weight
    }

    fn join(self, other: Self) -> Self {
        Self { score: self.score + other.score, weight: self.weight + other.weight, same: self.same + other.same }
    }
}

/// The monotone curve with the least squared error, each kind of pair weighing as much as the other: scores and heights, both rising.
/// No height is 0 or 1: a step of weight w is taken for one with a pair more of either kind.
///
/// # Source
/// Ayer et al., Annals of Mathematical Statistics 26, 1955 (pool adjacent violators).
pub(super) fn fit(pairs: &[(f64, bool)]) -> Vec<(f64, f64)> {
    let same = pairs.iter().filter(|pair| pair.1).count() as f64;
    let weights = [0.5 / (pairs.len() as f64 - same), 0.5 / same];
    let mut rows: Vec<(f64, bool)> = pairs.to_vec();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut steps: Vec<Step> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    for (score, is) in rows {
        let weight = weights[usize::from(is)];
        let next = Step { score: score * weight, weight, same: if is { weight } else { 0. } };
        match steps.last_mut() {
            // Equal scores are one step before anything is compared.
            Some(step) if score == last => *step = step.join(next),
            _ => steps.push(next),
        }
        last = score;
    }
    let pooled = pool(steps);
    let few = thinned(&pooled);
    let least = weights[0].max(weights[1]);
    few.iter().map(|step| (step.score / step.weight, (step.same + least) / (step.weight + 2. * least))).fold(
        Vec::new(),
        |mut curve: Vec<(f64, f64)>, (score, height)| {
            let before = curve.last().map_or(0., |knot| knot.1);
            curve.push((score, height.max(before)));
            curve
        },
    )
}

/// Neighbours that fall become one.
fn pool(steps: Vec<Step>) -> Vec<Step> {
    let mut pooled: Vec<Step> = Vec::new();
    for step in steps {
        let mut step = step;
        while let Some(before) = pooled.last().copied().filter(|before| before.height() >= step.height()) {
            pooled.pop();
            step = before.join(step);
        }
        pooled.push(step);
    }
    pooled
}

/// At most so many steps, neighbours joined.
fn thinned(steps: &[Step]) -> Vec<Step> {
    let size = steps.len().div_ceil(STEPS).max(1);
    let join = |chunk: &[Step]| chunk[1..].iter().fold(chunk[0], |all, step| all.join(*step));
    steps.chunks(size).map(join).collect()
}

/// The height of a curve at a score: on the lines between its steps, level beyond them.
pub(super) fn height(curve: &[(f64, f64)], score: f64) -> f64 {
    let at = curve.partition_point(|knot| knot.0 <= score);
    match (at.checked_sub(1).and_then(|before| curve.get(before)), curve.get(at)) {
        (Some(&(low, from)), Some(&(high, to))) => from + (to - from) * (score - low) / (high - low),
        (Some(&(_, height)), None) | (None, Some(&(_, height))) => height,
        (None, None) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violators_are_pooled() {
        // Of equal weights: heights 0, 1, 0, 1 become 0, 1/2, 1/2, 1.
        let curve = fit(&[(1., false), (2., true), (3., false), (4., true)]);
        let scores: Vec<f64> = curve.iter().map(|knot| knot.0).collect();
        assert_eq!(scores, [1., 2.5, 4.]);
        // Each step as if a pair of either kind were there: (0 + 1) / (1 + 2), (1 + 1) / (2 + 2), (1 + 1) / (1 + 2).
        let want = [1. / 3., 0.5, 2. / 3.];
        assert!(curve.iter().zip(want).all(|(knot, want)| (knot.1 - want).abs() < 1e-12), "{curve:?}");
        assert!((height(&curve, 3.25) - (0.5 + (2. / 3. - 0.5) / 2.)).abs() < 1e-12);
        assert_eq!((height(&curve, 0.), height(&curve, 9.)), (curve[0].1, curve[2].1));
    }
}
