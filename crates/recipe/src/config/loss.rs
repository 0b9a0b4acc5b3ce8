use super::Choice;
use crate::registry::Losses;
use npair_batch::GreedyMiningSettings;
use npair_losses::{Loss, LossContext, LossSettings, WeightedSum};
use npair_types::{Field, Settings};
use serde::{Deserialize, Serialize};

/// The loss, by the name in its row of the [`registry`](crate::registry).
///
/// ```
/// # use npair_recipe::config::LossConfig;
/// let loss = LossConfig::named("circle")?;
/// assert_eq!(loss.settings()["margin"].as_float(), Some(0.4));
/// assert_eq!(LossConfig::named("circel").unwrap_err(), "unknown value `circel` in [loss]; did you mean `circle`?");
/// # Ok::<(), String>(())
/// ```
pub type LossConfig = Choice<Losses>;

impl Default for LossConfig {
    fn default() -> Self {
        // The registry has it: a test says so.
        Self::named("n-pair-mc").unwrap_or_else(|why| unreachable!("{why}"))
    }
}

/// A part of a weighted sum of losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartConfig {
    /// What it is multiplied by.
    pub weight: f64,
    /// The loss: its name and settings.
    #[serde(flatten)]
    pub loss: LossConfig,
}

/// Several losses, weighed and added.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SumSettings {
    /// The losses.
    pub parts: Vec<PartConfig>,
}

impl Settings for SumSettings {
    const ABOUT: &'static str = "Several losses, weighed and added.";
    const FIELDS: &'static [Field] =
        &[Field { name: "parts", about: "The losses: of each its name, its weight and its settings.", usual: "[]" }];
}

impl LossSettings for SumSettings {
    /// The sum, each part named as its loss; the second of one name has a 2 behind it, and so on.
    fn build(&self, context: &mut LossContext<'_>) -> npair_losses::Result<Box<dyn Loss>> {
        let mut sum = WeightedSum::new();
        let mut names: Vec<&str> = Vec::new();
        for PartConfig { weight, loss } in &self.parts {
            let name = loss.name();
            names.push(name);
            let name = match names.iter().filter(|n| **n == name).count() {
                1 => name.to_owned(),
                nth => format!("{name}-{nth}"),
            };
            let part = (loss.maker())(loss.settings(), context).map_err(of_part)?;
            sum = sum.and(&name, *weight, part)?;
        }
        Ok(Box::new(sum))
    }
}

/// What a part's making says, in the words of losses.
fn of_part(error: crate::Error) -> npair_losses::Error {
    match error {
        crate::Error::Loss(error) => error,
        other => npair_losses::Error::Candle(candle_core::Error::Msg(other.to_string())),
    }
}

/// Batches and class mining.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// N, the classes of a batch.
    pub classes: usize,
    /// M, the examples per class; other than 2 only for losses of labeled batches: not those of pairs, triplets, tuplets.
    pub per_class: usize,
    /// Groups (alphabets) that the classes of a batch are taken from, more if they are too small; 0 for no regard to groups.
    pub groups: usize,
    /// Greedy negative class mining; none by default.
    pub mining: Option<GreedyMiningSettings>,
    /// Power of a class's number of examples that its probability goes by, from 0 (every class once per epoch) to 1 (by its number of
    /// examples).
    #[serde(skip_serializing_if = "is_zero")]
    pub temper: f64,
}

fn is_zero(number: &f64) -> bool {
    *number == 0.
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { classes: 60, per_class: 2, groups: 0, mining: None, temper: 0. }
    }
}
