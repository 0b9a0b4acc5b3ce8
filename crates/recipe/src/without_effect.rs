//! Settings that were written and would change nothing, which whoever wrote them does not expect.

use crate::config::{DataSource, OptimizerConfig, OptimizerName, ScheduleConfig, ScheduleName};
use crate::draft::{Draft, Given};
use crate::{Config, Error, Result};

/// A key, whether it has another value than the usual one and yet no effect, and what it goes with.
type Idle = (&'static str, bool, &'static str);

/// An error for the first key of a draft that has no effect. One that has its usual value is let through: a whole
/// `config.toml` has them all.
pub(crate) fn check(draft: &Draft) -> Result<()> {
    let Given::Keys(_) = draft.given else { return Ok(()) };
    let idle = optimizer(&draft.config).into_iter().chain(others(&draft.config));
    for (setting, idle, goes_with) in idle {
        if idle && draft.given.has(setting) {
            let why = format!("has no effect here: it goes with {goes_with}; leave it out");
            return Err(Error::Setting { setting, why });
        }
    }
    let warm_up = draft.config.schedule.warm_up;
    if draft.given.has("schedule.warm_up") && draft.given.has("training.steps") && warm_up > draft.config.training.steps
    {
        let why = format!(
            "is {warm_up}, but the run has {} steps, so that the rate would never be reached: set it to at most a tenth",
            draft.config.training.steps
        );
        return Err(Error::Setting { setting: "schedule.warm_up", why });
    }
    Ok(())
}

fn optimizer(config: &Config) -> Vec<Idle> {
    let (o, usual) = (&config.optimizer, OptimizerConfig::default());
    let (s, as_usual) = (&config.schedule, ScheduleConfig::default());
    let sgd = o.name == OptimizerName::Sgd;
    let divides = matches!(o.name, OptimizerName::Adam | OptimizerName::Adan);
    let waits = s.name == ScheduleName::Plateau;
    let (falls, has_floor) = (waits || s.name == ScheduleName::Step, waits || s.name == ScheduleName::Cosine);
    vec![
        ("optimizer.momentum", !sgd && o.momentum != usual.momentum, "optimizer.name = \"sgd\""),
        ("optimizer.betas", sgd && o.betas != usual.betas, "optimizer.name = \"adam\", \"lion\" or \"adan\""),
        ("optimizer.epsilon", !divides && o.epsilon != usual.epsilon, "optimizer.name = \"adam\" or \"adan\""),
        (
            "optimizer.layer_decay",
            config.model.frozen && o.layer_decay != 1.,
            "a backbone that trains (model.frozen = false)",
        ),
        ("schedule.milestones", s.name != ScheduleName::Step && !s.milestones.is_empty(), "schedule.name = \"step\""),
        ("schedule.factor", !falls && s.factor != as_usual.factor, "schedule.name = \"step\" or \"plateau\""),
        ("schedule.floor", !has_floor && s.floor != as_usual.floor, "schedule.name = \"cosine\" or \"plateau\""),
        ("schedule.patience", !waits && s.patience != as_usual.patience, "schedule.name = \"plateau\""),
    ]
}

fn others(config: &Config) -> Vec<Idle> {
    let (d, m) = (&config.data, &config.model);
    let vectors = d.source.is_vectors();
    let named = m.backbone.is_some() || vectors;
    let usual = crate::config::ModelSettings::default();
    vec![
        ("memory.start_step", config.memory.size == 0 && config.memory.start_step > 0, "memory.size"),
        ("data.levels", d.levels.is_some() && !matches!(d.source, DataSource::Folder(_)), "a folder of pictures"),
        (
            "data.parts",
            !d.parts.is_empty() && !matches!(d.source, DataSource::Omniglot(_)),
            "data.source = omniglot=PATH",
        ),
        ("data.glyphs", d.glyphs != Default::default() && d.source != DataSource::Glyphs, "data.source = glyphs"),
        ("model.hidden", !m.hidden.is_empty() && !vectors, "vectors"),
        ("model.width", m.width != usual.width && named, "the small ConvNet (no model.backbone)"),
        ("model.blocks", m.blocks != usual.blocks && named, "the small ConvNet (no model.backbone)"),
        ("images", config.images.is_some() && vectors, "pictures"),
    ]
}
