use super::Scale;
use crate::text::number;

/// One axis: what it says, how far it reaches, and what is written along it.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Its label, with the unit.
    pub label: String,
    /// Its scale.
    pub scale: Scale,
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Values along it, and how they are written.
    pub ticks: Vec<(f64, String)>,
    /// What values are multiplied by when they are written: 100 where the label says percent.
    pub times: f64,
}

/// Probabilities that are written along an axis of normal deviates.
const PROBABILITIES: [f64; 15] =
    [0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999];

impl Axis {
    /// An axis that holds all of the values, with a little room.
    pub fn around(label: &str, scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0., 1.) };
        match scale {
            Scale::Log => Self::log(label, low, high),
            _ => Self::linear(label, low, high),
        }
    }

    /// A linear axis whose ends are ticks.
    fn linear(label: &str, low: f64, high: f64) -> Self {
        // A constant needs some height too.
        let spread = if high > low { high - low } else { high.abs().max(1e-9) * 0.2 };
        let step = step(spread / 4.);
        let first = (low / step + 1e-9).floor();
        let last = (high / step - 1e-9).ceil().max(first + 1.);
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= last && ticks.len() < 12 {
            // Multiples, not sums: no rounding piles up.
            ticks.push((at * step, written(at * step, step)));
            at += 1.;
        }
        Self { label: label.to_owned(), scale: Scale::Linear, low: first * step, high: last * step, ticks, times: 1. }
    }

    /// An axis by ratio, from decade to decade.
    fn log(label: &str, low: f64, high: f64) -> Self {
        let first = low.log10().floor() as i32;
        let last = (high.log10().ceil() as i32).max(first + 1);
        let apart = ((last - first) / 5).max(1);
        let ticks = (first..=last).filter(|d| (d - first) % apart == 0).map(|d| {
            let text = if (-3..6).contains(&d) { number(10f64.powi(d)) } else { format!("1e{d}") };
            (10f64.powi(d), text)
        });
        let ticks = ticks.collect();
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
            low: 10f64.powi(first),
            high: 10f64.powi(last),
            ticks,
            times: 1.,
        }
    }

    /// From 0 to 1, written in percent.
    pub fn share(label: &str) -> Self {
        let ticks = (0..=5).map(|i| (f64::from(i) / 5., (20 * i).to_string())).collect();
        Self { label: label.to_owned(), scale: Scale::Linear, low: 0., high: 1., ticks, times: 100. }
    }

    /// Probabilities as normal deviates, written in percent, from the largest tick below `low` to the smallest above `high`.
    pub fn deviate(label: &str, low: f64, high: f64) -> Self {
        let last = PROBABILITIES.len() - 1;
        let first = PROBABILITIES.iter().rposition(|&p| p <= low).unwrap_or(0);
        let end = PROBABILITIES.iter().position(|&p| p >= high).unwrap_or(last).max(first + 1).min(last);
        let first = first.min(end - 1);
        let (low, high) = (PROBABILITIES[first], PROBABILITIES[end]);
        let mut axis =
            Self { label: label.to_owned(), scale: Scale::Deviate, low, high, ticks: Vec::new(), times: 100. };
        for p in &PROBABILITIES[first..=end] {
            // Near 1 % and 99 % they would stand one over the other.
            if axis.ticks.last().is_none_or(|(other, _)| axis.place(*p) - axis.place(*other) > 0.065) {
                axis.ticks.push((*p, number(p * 100.)));
            }
        }
        axis
    }

    /// An axis with ticks where the values are, by ratio: for the K of recall@K.
    pub fn at(label: &str, values: &[usize]) -> Self {
        let mut values = values.to_vec();
        values.sort_unstable();
        values.dedup();
        let (low, high) = (values.first().map_or(1., |&v| v as f64), values.last().map_or(2., |&v| v as f64));
        let high = if high > low { high } else { low * 2. };
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in values {
            // Not one over the other: a twelfth of the axis apart.
            let apart = |other: f64| (value as f64 / other).ln() > (high / low).ln() / 12.;
            if ticks.last().is_none_or(|(other, _)| apart(*other)) {
                ticks.push((value as f64, value.to_string()));
            }
        }
        Self { label: label.to_owned(), scale: Scale::Log, low, high, ticks, times: 1. }
    }

    /// A value as the label's unit has it.
    pub fn written(&self, value: f64) -> String {
        number(value * self.times)
    }

    /// Where a value stands, from 0 to 1; beyond the ends outside of that.
    pub fn place(&self, value: f64) -> f64 {
        let place = |v| self.scale.place(v);
        (place(value) - place(self.low)) / (place(self.high) - place(self.low))
    }
}

/// 1, 2 or 5 times a power of ten: the smallest that is not below `least`.
fn step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    let times = [1., 2., 5., 10.].into_iter().find(|t| t * decade >= least * (1. - 1e-9)).unwrap_or(10.);
    times * decade
}

/// A tick with as many digits as its neighbours need to differ from it.
fn written(value: f64, step: f64) -> String {
    let digits = -step.log10().floor();
    // 0 rather than -0 or what rounding left of it.
    let value = if value.abs() < step * 1e-6 { 0. } else { value };
    if value != 0. && (digits > 4. || value.abs() >= 1e6) {
        let digits = (value.abs().log10().floor() + digits).clamp(0., 15.) as usize;
        return format!("{value:.digits$e}").replace('-', "\u{2212}");
    }
    let digits = digits.max(0.) as usize;
    format!("{value:.digits$}").replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::{Axis, Scale};

    fn ascends(axis: &Axis) {
        assert!(axis.ticks.len() >= 2, "{axis:?}");
        let places: Vec<f64> = axis.ticks.iter().map(|t| axis.place(t.0)).collect();
        assert!(places.windows(2).all(|w| w[0] < w[1]), "{axis:?}: {places:?}");
        assert!(places.iter().all(|p| (-1e-9..1. + 1e-9).contains(p)), "{axis:?}: {places:?}");
        let texts: std::collections::BTreeSet<&str> = axis.ticks.iter().map(|t| t.1.as_str()).collect();
        assert_eq!(texts.len(), axis.ticks.len(), "{axis:?}");
    }

    #[test]
    fn ticks_ascend_and_differ_whatever_the_values() {
        let pairs =
            [(0., 1.), (0.3, 0.31), (-5., 12345.), (7., 7.), (0., 0.), (1e-8, 3e-8), (1e9, 1.00001e9), (-2., -1.)];
        for (low, high) in pairs {
            let axis = Axis::around("x", Scale::Linear, [low, high].into_iter());
            let slack = 1e-9 * (axis.high - axis.low);
            assert!(axis.low <= low + slack && axis.high >= high - slack, "{axis:?}");
            ascends(&axis);
        }
        for (low, high) in [(1e-4, 1.), (3., 3.), (1e-30, 1e20)] {
            ascends(&Axis::around("x", Scale::Log, [low, high].into_iter()));
        }
        for (low, high) in [(0.001, 0.5), (0.3, 0.31), (0., 1.), (0.9995, 0.9999), (0.01, 0.01)] {
            ascends(&Axis::deviate("x", low, high));
        }
        ascends(&Axis::share("x"));
        ascends(&Axis::at("K", &[8, 1, 2, 4, 100, 101]));
        ascends(&Axis::around("x", Scale::Linear, std::iter::empty()));
    }

    #[test]
    fn steps_are_round() {
        let axis = Axis::around("x", Scale::Linear, [0., 1.].into_iter());
        let texts: Vec<&str> = axis.ticks.iter().map(|t| t.1.as_str()).collect();
        assert_eq!(texts, ["0.0", "0.5", "1.0"]);
    }
}
