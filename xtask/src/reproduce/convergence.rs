use serde::Serialize;

/// A measurement of the N-pair loss while training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Probe {
    pub step: f64,
    pub loss: f64,
}

/// The step at which a curve first comes down to `level`, on the straight line between the two probes around it; `None` if it
/// never does.
pub fn first_at(probes: &[Probe], level: f64) -> Option<f64> {
    let at = probes.iter().position(|p| p.loss <= level)?;
    let b = probes[at];
    let Some(a) = at.checked_sub(1).map(|i| probes[i]) else { return Some(b.step) };
    // a is above the level and b is not, so the loss falls between them.
    Some(a.step + (b.step - a.step) * (a.loss - level) / (a.loss - b.loss))
}

/// Least, mean and largest loss over curves at each step that all of them have.
pub fn band(curves: &[&[Probe]]) -> Vec<(f64, [f64; 3])> {
    let Some((first, others)) = curves.split_first() else { return Vec::new() };
    let at = |step: f64| -> Option<Vec<f64>> {
        curves.iter().map(|c| c.iter().find(|p| p.step == step).map(|p| p.loss)).collect()
    };
    let mut band = Vec::with_capacity(first.len());
    for probe in first.iter() {
        let Some(losses) = at(probe.step) else { continue };
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let most = losses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        band.push((probe.step, [least, losses.iter().sum::<f64>() / (others.len() + 1) as f64, most]));
    }
    band
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Vec<Probe> {
        points.iter().map(|&(step, loss)| Probe { step, loss }).collect()
    }

    #[test]
    fn crossings_lie_on_the_line_between_probes() {
        let falling = curve(&[(0., 4.), (10., 3.), (20., 1.), (30., 2.)]);
        assert_eq!(first_at(&falling, 4.5), Some(0.));
        assert_eq!(first_at(&falling, 3.5), Some(5.));
        assert_eq!(first_at(&falling, 2.5), Some(12.5));
        assert_eq!(first_at(&falling, 1.), Some(20.));
        assert_eq!(first_at(&falling, 0.9), None);
        assert_eq!(first_at(&[], 1.), None);
    }

    #[test]
    fn bands_are_least_mean_and_most() {
        let (a, b) = (curve(&[(0., 4.), (10., 2.), (20., 1.)]), curve(&[(0., 5.), (10., 1.)]));
        assert_eq!(band(&[&a, &b]), [(0., [4., 4.5, 5.]), (10., [1., 1.5, 2.])]);
        assert!(band(&[]).is_empty());
    }
}
