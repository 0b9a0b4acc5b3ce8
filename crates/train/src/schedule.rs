use crate::config::{ScheduleConfig, ScheduleName};

/// The learning rate's factor at `step` (from 0) of `steps`.
///
/// ```text
/// warm-up     (step + 1) / warm_up                        while step < warm_up
/// cosine      floor + (1 - floor) (1 + cos(pi t)) / 2     t = (step - warm_up) / (steps - warm_up)
/// step        factor ^ (milestones at or before step)
/// ```
pub(crate) fn factor(config: &ScheduleConfig, step: u64, steps: u64) -> f64 {
    if step < config.warm_up {
        return (step + 1) as f64 / config.warm_up as f64;
    }
    match config.name {
        ScheduleName::Constant => 1.,
        ScheduleName::Step => {
            let falls = config.milestones.iter().filter(|&&m| m <= step).count();
            config.factor.powi(i32::try_from(falls).unwrap_or(i32::MAX))
        }
        ScheduleName::Cosine => {
            let t = (step - config.warm_up) as f64 / steps.saturating_sub(config.warm_up).max(1) as f64;
            config.floor + (1. - config.floor) * (1. + (std::f64::consts::PI * t.min(1.)).cos()) / 2.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_as_written() {
        let config =
            |name, warm_up| ScheduleConfig { name, warm_up, floor: 0.1, milestones: vec![10, 20], factor: 0.5 };
        let cosine = config(ScheduleName::Cosine, 4);
        assert_eq!([0, 3].map(|s| factor(&cosine, s, 104)), [0.25, 1.]);
        assert_eq!(factor(&cosine, 4, 104), 1.);
        assert!((factor(&cosine, 54, 104) - 0.55).abs() < 1e-12);
        assert!((factor(&cosine, 104, 104) - 0.1).abs() < 1e-12);
        let step = config(ScheduleName::Step, 0);
        assert_eq!([0, 9, 10, 20].map(|s| factor(&step, s, 30)), [1., 1., 0.5, 0.25]);
        assert_eq!(factor(&config(ScheduleName::Constant, 0), 7, 30), 1.);
    }
}
