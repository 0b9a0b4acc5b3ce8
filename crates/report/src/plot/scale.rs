/// How values stand along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios.
    Log,
    /// Equal distances are equal differences of normal deviates: what a DET is drawn on.
    Deviate,
}

impl Scale {
    /// The scale for positive values over more than two decades is the logarithm.
    pub fn for_values(values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if low > 0. && high / low > 100. { Self::Log } else { Self::Linear }
    }

    /// Where a value stands, before it is stretched to the axis: ascending in the value.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).ln(),
            Self::Deviate => deviate(value),
        }
    }
}

/// The normal deviate of a probability: Abramowitz and Stegun 26.2.23, within 4.5e-4, a fraction of a line's width.
fn deviate(p: f64) -> f64 {
    let p = p.clamp(1e-9, 1. - 1e-9);
    let tail = p.min(1. - p);
    let t = (-2. * tail.ln()).sqrt();
    let over = 2.515517 + t * (0.802853 + t * 0.010328);
    let under = 1. + t * (1.432788 + t * (0.189269 + t * 0.001308));
    let z = t - over / under;
    if p < 0.5 { -z } else { z }
}

#[cfg(test)]
mod tests {
    use super::{Scale, deviate};

    #[test]
    fn deviates_are_those_of_the_tables() {
        for (p, z) in [(0.5, 0.), (0.975, 1.959964), (0.01, -2.326348), (0.001, -3.090232), (0.9, 1.281552)] {
            assert!((deviate(p) - z).abs() < 4.5e-4, "{p}: {} and {z}", deviate(p));
        }
    }

    #[test]
    fn places_ascend() {
        let values: Vec<f64> = (1..1000).map(|i| f64::from(i) / 1000.).collect();
        for scale in [Scale::Linear, Scale::Log, Scale::Deviate] {
            assert!(values.windows(2).all(|w| scale.place(w[0]) < scale.place(w[1])), "{scale:?}");
        }
    }

    #[test]
    fn two_decades_are_drawn_by_ratio() {
        assert_eq!(Scale::for_values([0.001, 5.].into_iter()), Scale::Log);
        assert_eq!(Scale::for_values([0., 5.].into_iter()), Scale::Linear);
        assert_eq!(Scale::for_values([1., 50.].into_iter()), Scale::Linear);
    }
}
