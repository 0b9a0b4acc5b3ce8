//! What a run minimizes, of its settings.

use crate::registry::build_loss;
use crate::{Config, Error, Result};
use candle_core::{DType, Device};
use npair_losses::{CrossBatchMemory, Loss, LossContext, RegularizerSettings};
use npair_train::{RowsOf, TrainerBuilder};
use npair_types::{ClassIndex, LabelSets, Purpose, Streams};

/// The loss of a configuration on a device, for the classes of training, which may be sets of labels.
pub(crate) fn loss(
    config: &Config,
    learned: &ClassIndex,
    sets: Option<&LabelSets>,
    device: &Device,
) -> Result<Box<dyn Loss>> {
    if config.loss.settings().get("parts").and_then(toml::Value::as_array).is_some_and(Vec::is_empty) {
        let why = "a weighted sum needs at least one [[loss.parts]] with a name and a weight".to_owned();
        return Err(Error::Setting { setting: "loss.parts", why });
    }
    let mut rng = Streams::new(config.seed).open(Purpose::Initialization, [u64::MAX, 0]);
    let sizes: Vec<usize> = (0..learned.len()).map(|place| learned.examples(place).len()).collect();
    let (classes, width) = (learned.classes(), config.model.embedding);
    let mut context = LossContext { classes, sizes: &sizes, sets, width, rng: &mut rng, dtype: DType::F32, device };
    build_loss(&config.loss, &mut context)
}

/// Gives the builder the miner, the memory and the penalties of a configuration.
pub(crate) fn add(mut builder: TrainerBuilder, config: &Config) -> Result<TrainerBuilder> {
    if let Some(miner) = &config.miner {
        builder = builder.miner((miner.maker())(miner.settings())?);
    }
    if config.memory.size > 0 {
        // The memory counts batches, of which a step has several.
        let idle = config.memory.start_step * config.optimizer.accumulate as u64;
        builder = builder.memory(CrossBatchMemory::new(config.memory.size, idle)?);
    }
    let penalty = config.norm_penalty.build()?;
    if config.norm_penalty.weight > 0. {
        builder = builder.regularizer(1., RowsOf::Embeddings, penalty);
    }
    for regularizer in &config.regularizer {
        let weight = regularizer.weight;
        if !(weight.is_finite() && weight > 0.) {
            let why = format!("is {weight}, but has to be a finite number above 0");
            return Err(Error::Setting { setting: "regularizer.weight", why });
        }
        let made = (regularizer.kind.maker())(regularizer.kind.settings())?;
        builder = builder.regularizer(weight, regularizer.of.into(), made);
    }
    Ok(builder)
}
