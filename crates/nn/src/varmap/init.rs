use rand::Rng;

/// How the first values of a parameter are drawn. `fan_in` is the product of all extents but the first (a weight is
/// (outputs, inputs, ...)), `fan_out` the first times all from the third on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All the given value.
    Const(f64),
    /// Normal with mean 0 and the given standard deviation.
    Normal(f64),
    /// Uniform in plus or minus the given bound.
    Uniform(f64),
    /// Normal with standard deviation `sqrt(2 / fan_in)`, which keeps the variance through a ReLU
    /// (He et al., ICCV 2015, eq. 10).
    KaimingNormal,
    /// Uniform with the same standard deviation: bound `sqrt(6 / fan_in)`.
    KaimingUniform,
    /// Uniform with bound `sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, AISTATS 2010, eq. 16).
    XavierUniform,
}

impl Init {
    /// Draws the values of a parameter of shape `dims`.
    pub(super) fn draw(self, dims: &[usize], rng: &mut impl Rng) -> Vec<f64> {
        let count: usize = dims.iter().product();
        let fan_in = dims.iter().skip(1).product::<usize>().max(1) as f64;
        let fan_out = (dims.first().unwrap_or(&1) * dims.iter().skip(2).product::<usize>()) as f64;
        match self {
            Self::Zeros => vec![0.; count],
            Self::Ones => vec![1.; count],
            Self::Const(value) => vec![value; count],
            Self::Normal(std) => normal(count, std, rng),
            Self::Uniform(bound) => uniform(count, bound, rng),
            Self::KaimingNormal => normal(count, (2. / fan_in).sqrt(), rng),
            Self::KaimingUniform => uniform(count, (6. / fan_in).sqrt(), rng),
            Self::XavierUniform => uniform(count, (6. / (fan_in + fan_out)).sqrt(), rng),
        }
    }
}

fn uniform(count: usize, bound: f64, rng: &mut impl Rng) -> Vec<f64> {
    (0..count).map(|_| bound * (2. * rng.random::<f64>() - 1.)).collect()
}

/// Box and Muller: two uniform draws make one value, so that a value does not depend on how many follow it.
fn normal(count: usize, std: f64, rng: &mut impl Rng) -> Vec<f64> {
    let mut draw = || {
        // 1 - u lies in (0, 1]: its logarithm is finite.
        let radius = (-2. * (1. - rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
    };
    (0..count).map(|_| std * draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_types::{Purpose, Streams};

    #[test]
    fn the_moments_are_those_asked_for() {
        let mut rng = Streams::new(3).open(Purpose::Initialization, [0, 0]);
        // fan_in 128, fan_out 1,152: the wanted standard deviations.
        let dims = [128, 128, 3, 3];
        let n = 147_456f64;
        let fan_in = 1152f64;
        for (init, want) in [
            (Init::KaimingNormal, (2. / fan_in).sqrt()),
            (Init::KaimingUniform, (2. / fan_in).sqrt()),
            (Init::XavierUniform, (2. / (fan_in + fan_in)).sqrt()),
            (Init::Normal(0.3), 0.3),
            (Init::Uniform(1.), (1f64 / 3.).sqrt()),
        ] {
            let values = init.draw(&dims, &mut rng);
            assert_eq!(values.len(), 147_456);
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|v| v * v).sum::<f64>() / n - mean * mean).sqrt();
            // Five standard errors: std / sqrt(n) of the mean, at most std / sqrt(2 n) of the standard deviation.
            assert!(mean.abs() < 5. * want / n.sqrt(), "{init:?}: mean {mean}");
            assert!((std / want - 1.).abs() < 5. / (2. * n).sqrt(), "{init:?}: standard deviation {std}, not {want}");
        }
    }
}
