use super::{Schedule, rising};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings of [`Plateau`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlateauSettings {
    /// Steps over which the rate rises linearly from 0; what is validated while it rises is not counted against it.
    pub warm_up: u64,
    /// What the rate is multiplied by at a fall, above 0 and below 1.
    pub factor: f64,
    /// Validations in a row without a gain after which the rate falls, at least 1.
    pub patience: u64,
    /// The least factor, from 0 and below 1.
    pub floor: f64,
}

impl Default for PlateauSettings {
    fn default() -> Self {
        Self { warm_up: 0, factor: 0.1, patience: 2, floor: 0. }
    }
}

/// Times `factor` whenever `patience` validations in a row have brought no score above the best one, behind the warm-up.
///
/// ```text
/// max(floor, factor^falls)
/// ```
/// The score is the one that the best model is chosen by, of the weights that train (not of an average of them). After a fall the
/// count begins anew.
///
/// # Source
/// PyTorch's `ReduceLROnPlateau` with `mode="max"`, `threshold=0`, and one less in its `patience`: it waits for one validation more
/// than it is told.
///
/// # Examples
/// ```
/// # use npair_train::{Plateau, PlateauSettings, Schedule};
/// let mut plateau = Plateau::new(PlateauSettings { factor: 0.5, patience: 2, floor: 0.3, ..Default::default() })?;
/// for (step, score, then) in [(10, 0.4, 1.), (20, 0.4, 1.), (30, 0.3, 0.5), (40, 0.2, 0.5), (50, 0.1, 0.3)] {
///     plateau.judged(step, score);
///     assert_eq!(plateau.factor(step, 100), then);
/// }
/// # Ok::<(), npair_train::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plateau {
    settings: PlateauSettings,
    seen: Seen,
}

/// What a plateau remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    best: Option<f64>,
    /// Validations in a row without a gain.
    without: u64,
    falls: u32,
}

impl Plateau {
    /// With these settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if one is out of range.
    pub fn new(settings: PlateauSettings) -> Result<Self> {
        let PlateauSettings { factor, patience, floor, .. } = settings;
        let wrong = |setting, why: String| Err(Error::Setting { setting, why });
        if !(factor > 0. && factor < 1.) {
            return wrong(
                "schedule.factor",
                format!("is {factor}, but has to be above 0 and below 1: the rate falls by it"),
            );
        }
        if !(0. ..1.).contains(&floor) {
            return wrong(
                "schedule.floor",
                format!("is {floor}, but has to be from 0 and below 1: a part of the rate"),
            );
        }
        if patience == 0 {
            return wrong("schedule.patience", "is 0, but has to be at least 1 validation".to_owned());
        }
        Ok(Self { settings, seen: Seen::default() })
    }

    /// The earliest step after which the rate can fall, validated every so many steps: the first validation is a gain.
    fn earliest(&self, every: u64) -> u64 {
        let first_counted = (self.settings.warm_up / every + 1).max(2);
        first_counted.saturating_add(self.settings.patience - 1).saturating_mul(every)
    }
}

impl Schedule for Plateau {
    fn name(&self) -> &str {
        "plateau"
    }

    fn factor(&self, step: u64, _: u64) -> f64 {
        let fallen = self.settings.factor.powi(i32::try_from(self.seen.falls).unwrap_or(i32::MAX));
        rising(step, self.settings.warm_up).unwrap_or(1.) * fallen.max(self.settings.floor)
    }

    fn check(&self, steps: u64, every: Option<u64>) -> Result<()> {
        let patience = self.settings.patience;
        let Some(every) = every else {
            let why = "is plateau, which falls by what validation finds, but nothing is validated: keep something to validate on \
                       (data.split), or choose another schedule";
            return Err(Error::Setting { setting: "schedule.name", why: why.to_owned() });
        };
        if every == 0 {
            let why = "is 0, but the schedule falls by what validation finds: set it to a tenth of the steps, or choose another \
                       schedule than plateau";
            return Err(Error::Setting { setting: "training.eval_every", why: why.to_owned() });
        }
        let earliest = self.earliest(every);
        if earliest >= steps {
            let why = format!(
                "is {patience}: validated every {every} steps (training.eval_every), the rate could fall after step {earliest} for \
                 the first time, and the run has {steps}; validate more often, or lower it"
            );
            return Err(Error::Setting { setting: "schedule.patience", why });
        }
        Ok(())
    }

    fn judged(&mut self, step: u64, score: f64) {
        let Seen { best, without, falls } = &mut self.seen;
        if best.is_none_or(|best| score > best) {
            (*best, *without) = (Some(score), 0);
        } else if step > self.settings.warm_up {
            *without += 1;
        }
        if *without >= self.settings.patience {
            (*without, *falls) = (0, falls.saturating_add(1));
        }
    }

    fn state(&self) -> Value {
        serde_json::to_value(self.seen).unwrap_or_default()
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        self.seen = Seen::deserialize(state).map_err(|e| format!("is none of a plateau: {e}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plateau(settings: PlateauSettings) -> Plateau {
        Plateau::new(settings).unwrap()
    }

    /// The rates of PyTorch's `ReduceLROnPlateau(mode="max", factor=0.5, patience=1, threshold=0, min_lr=0.2)` from a rate of 1, after
    /// each of these scores.
    const SCORES: [f64; 14] = [0.3, 0.5, 0.5, 0.4, 0.45, 0.6, 0.1, 0.6, 0.61, 0.2, 0.3, 0.4, 0.5, 0.6];
    const RATES: [f64; 14] = [1., 1., 1., 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2];

    #[test]
    fn rates_are_those_of_pytorch() {
        let mut ours = plateau(PlateauSettings { factor: 0.5, patience: 2, floor: 0.2, warm_up: 0 });
        let rates = SCORES.map(|score| {
            ours.judged(1, score);
            ours.factor(1, 100)
        });
        assert_eq!(rates, RATES);
    }

    #[test]
    fn a_restored_plateau_goes_on_alike() {
        let settings = PlateauSettings { factor: 0.5, patience: 2, floor: 0.2, warm_up: 0 };
        for stop in 0..SCORES.len() {
            let mut first = plateau(settings);
            SCORES[..stop].iter().for_each(|&score| first.judged(1, score));
            let mut second = plateau(settings);
            // Through text, as a checkpoint has it.
            second.restore(&serde_json::from_str(&first.state().to_string()).unwrap()).unwrap();
            for (at, &score) in SCORES.iter().enumerate().skip(stop) {
                second.judged(1, score);
                assert_eq!(second.factor(1, 100), RATES[at], "stopped after {stop}");
            }
        }
        assert!(
            plateau(settings).restore(&serde_json::json!({ "best": 1 })).unwrap_err().contains("none of a plateau")
        );
    }

    #[test]
    fn what_is_validated_while_the_rate_rises_does_not_count() {
        let mut ours = plateau(PlateauSettings { factor: 0.5, patience: 1, floor: 0., warm_up: 20 });
        for step in [10, 20] {
            ours.judged(step, 0.);
        }
        assert_eq!([ours.factor(9, 100), ours.factor(20, 100)], [0.5, 1.]);
        ours.judged(30, 0.);
        assert_eq!(ours.factor(30, 100), 0.5);
    }

    #[test]
    fn what_cannot_work_is_said_with_its_key() {
        let of = |settings| Plateau::new(settings).err().unwrap().to_string();
        let usual = PlateauSettings::default();
        for factor in [0., 1., f64::NAN] {
            assert!(of(PlateauSettings { factor, ..usual }).contains("schedule.factor"));
        }
        assert!(of(PlateauSettings { floor: 1., ..usual }).contains("schedule.floor"));
        assert!(of(PlateauSettings { patience: 0, ..usual }).contains("schedule.patience"));
        let said = |every| plateau(usual).check(100, every).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(said(None).contains("plateau") && said(None).contains("data.split"), "{}", said(None));
        assert!(said(Some(0)).contains("training.eval_every"));
        // A gain at 33, none at 66 and 99: the last step is at the lower rate. Every 34th of 100 is too seldom.
        assert_eq!(said(Some(33)), "");
        assert!(said(Some(34)).contains("schedule.patience: is 2: validated every 34 steps"), "{}", said(Some(34)));
        let late = plateau(PlateauSettings { warm_up: 50, patience: 1, ..usual });
        assert!(late.check(60, Some(10)).is_err() && late.check(61, Some(10)).is_ok());
    }

    /// The check says the truth: the rate falls within the run exactly if it passes.
    #[test]
    fn the_earliest_fall_is_that_of_a_run_without_any_gain() {
        for (warm_up, patience, every, steps) in (0..4)
            .flat_map(|w| (1..4).flat_map(move |p| (1..7).flat_map(move |e| (1..40).map(move |s| (5 * w, p, e, s)))))
        {
            let mut ours = plateau(PlateauSettings { factor: 0.5, patience, floor: 0., warm_up });
            let passes = ours.check(steps, Some(every)).is_ok();
            let mut fallen = false;
            for step in 0..steps {
                fallen |= ours.seen.falls > 0;
                if (step + 1).is_multiple_of(every) {
                    ours.judged(step + 1, 0.);
                }
            }
            assert_eq!(passes, fallen, "warm-up {warm_up}, patience {patience}, every {every}, {steps} steps");
        }
    }
}
