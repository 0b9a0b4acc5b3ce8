//! The batch, the loss and the optimizer.

use super::{Facts, Plan};
use crate::config::{Config, GroupConfig, LossConfig};
use crate::draft::Draft;
use crate::registry::build_loss;
use crate::{Error, Result};
use candle_core::{DType, Device};
use npair_losses::{Loss as _, LossContext};
use npair_types::{ClassId, Purpose, Streams};

/// Examples of a batch, about.
const BATCH: usize = 128;
/// Examples of a class in a batch, and most of them where there are few classes.
const PER_CLASS: usize = 4;
const MOST_OF_A_CLASS: usize = 16;
/// The learning rate of Adam for a network that learns classes of pictures from nothing by comparing them; measured in
/// `benches/runs/2026-11-27-amd-epyc-rates`.
const RATE: f64 = 4e-3;
/// The same for what that was not found to be better for: rows of classes that the loss learns beside the network, which do not find
/// their places above it, heads on features that stay as they are, sets of labels and views.
const SLOW_RATE: f64 = 1e-3;
/// The same for one that has learned something already, and how many times faster its new head learns.
const FINE_RATE: f64 = 2e-4;
const HEAD: f64 = 5.;
/// Steps in which the head learns alone.
const HEAD_STEPS: u64 = 300;
/// The largest norm of a gradient.
const CLIP: f64 = 5.;

/// Temperature of the loss of views: between the 0.5 that SimCLR found best for small batches and the 0.1 for large ones.
const TEMPERATURE: f64 = 0.2;

pub(super) fn choose(draft: &mut Draft, facts: &Facts, plan: &mut Plan) -> Result<()> {
    match draft.config.data.views {
        0 => batch(draft, facts, plan)?,
        views => batch_of_views(draft, views, plan)?,
    }
    stages(draft, plan);
    optimizer(draft, plan);
    Ok(())
}

/// Several examples of a class where there are more than two, and a loss that takes them: two of four would leave most pairs of a
/// class unseen in a step. Who names the loss, or how batches are made, has them as they are.
fn batch(draft: &mut Draft, facts: &Facts, plan: &mut Plan) -> Result<()> {
    let [_, median, _] = facts.per_class;
    if draft.config.data.label_separator.is_some() {
        return batch_of_labels(draft, plan);
    }
    if is_decided(draft) || median < 3 {
        return Ok(());
    }
    // Few classes have room for more of each.
    let per_class = median.min((BATCH / facts.classes.max(1)).clamp(PER_CLASS, MOST_OF_A_CLASS));
    let named = |name: &str| LossConfig::named(name).map_err(|why| Error::Setting { setting: "loss.name", why });
    draft.config.loss = named("multi-similarity")?;
    draft.config.batch.per_class = per_class;
    plan.choose("loss", "multi-similarity", format!("takes all pairs of {per_class} examples a class"));
    if !draft.given.has("batch.classes") {
        draft.config.batch.classes = BATCH / per_class;
    }
    plan.choose(
        "batch",
        format!("{} classes of {per_class}", draft.config.batch.classes),
        format!("classes have {median} examples in the middle"),
    );
    Ok(())
}

/// Examples that share labels, each drawn to others by every label that it has.
fn batch_of_labels(draft: &mut Draft, plan: &mut Plan) -> Result<()> {
    let open = |key: &str| !draft.given.has(key);
    let [loss, per_label, labels] = ["loss", "batch.per_class", "batch.classes"].map(open);
    if loss {
        let named = |name: &str| LossConfig::named(name).map_err(|why| Error::Setting { setting: "loss.name", why });
        draft.config.loss = named("multi-sup-con")?;
        let why = "classes are sets of labels: every label that two examples share draws them together";
        plan.choose("loss", "multi-sup-con", why);
    }
    let batch = &mut draft.config.batch;
    if per_label {
        batch.per_class = PER_CLASS;
    }
    if labels {
        batch.classes = (BATCH / batch.per_class.max(1)).max(2);
    }
    if !per_label && !labels {
        return Ok(());
    }
    let batch = of_labels(draft.config.batch.classes, draft.config.batch.per_class);
    plan.choose("batch", batch, "few examples have exactly the same labels");
    Ok(())
}

/// A batch of shared labels, in words.
pub(super) fn of_labels(labels: usize, examples: usize) -> String {
    format!("{labels} labels, {examples} examples of each")
}

/// Who decides the batch or the loss has both as they are.
fn is_decided(draft: &Draft) -> bool {
    let said = ["loss", "miner", "memory", "batch.per_class", "batch.mining", "batch.groups", "training.grad_cache"];
    said.iter().any(|key| draft.given.has(key))
}

/// All views of as many pictures as make a batch, each to be told from all others: SimCLR.
fn batch_of_views(draft: &mut Draft, views: usize, plan: &mut Plan) -> Result<()> {
    plan.choose("data.views", views.to_string(), "every picture is a class of its own, known by changed views of it");
    if is_decided(draft) {
        return Ok(());
    }
    let settings =
        toml::Table::from_iter([("name".to_owned(), "nt-xent".into()), ("temperature".to_owned(), TEMPERATURE.into())]);
    draft.config.loss = settings
        .try_into()
        .map_err(|e: toml::de::Error| Error::Setting { setting: "loss", why: e.message().to_owned() })?;
    plan.choose(
        "loss",
        format!("nt-xent, temperature {TEMPERATURE}"),
        "finds each view among those of all other pictures",
    );
    draft.config.batch.per_class = views;
    if !draft.given.has("batch.classes") {
        draft.config.batch.classes = (BATCH / views).max(2);
    }
    let batch = format!("{} pictures in {views} views", draft.config.batch.classes);
    plan.choose("batch", batch, "the more pictures, the harder to find one; memory bounds them (training.grad_cache)");
    Ok(())
}

/// The stages of a network that has learned something already, unless it is frozen.
fn stages(draft: &mut Draft, plan: &mut Plan) {
    let open = |key: &str| !draft.given.has(key);
    let model = &mut draft.config.model;
    if model.pretrained.is_none() || model.frozen {
        return;
    }
    if open("model.frozen_norms") {
        model.frozen_norms = true;
    }
    if open("model.head_steps") {
        model.head_steps = HEAD_STEPS;
        let why = "the head learns first, on features of the network as it is";
        plan.choose("model.head_steps", HEAD_STEPS.to_string(), why);
    }
}

/// Whether a network learns from nothing to compare pictures of classes with each other.
fn compares_pictures(config: &Config) -> bool {
    let of_classes = config.data.views == 0 && config.data.label_separator.is_none();
    of_classes && !config.model.frozen && !learns_rows(config)
}

/// Whether the loss has rows of its own, one a class.
fn learns_rows(config: &Config) -> bool {
    let rng = &mut Streams::new(0).open(Purpose::Initialization, [0, 0]);
    let (classes, width) = (&[ClassId(0), ClassId(1)][..], config.model.embedding.max(1));
    let (dtype, device) = (DType::F32, &Device::Cpu);
    let mut context = LossContext { classes, sizes: &[1, 1], sets: None, width, rng, dtype, device };
    // What cannot be made of two classes is refused later, in its own words.
    build_loss(&config.loss, &mut context).is_ok_and(|loss| loss.variables().iter().any(|(_, var)| var.rank() > 1))
}

fn optimizer(draft: &mut Draft, plan: &mut Plan) {
    let open = |key: &str| !draft.given.has(key);
    if !open("optimizer.name") {
        return;
    }
    let fine = draft.config.model.pretrained.is_some() && !draft.config.model.frozen;
    let rate = match fine {
        true => FINE_RATE,
        false if compares_pictures(&draft.config) => RATE,
        false => SLOW_RATE,
    };
    let optimizer = &mut draft.config.optimizer;
    if open("optimizer.learning_rate") {
        optimizer.learning_rate = rate;
    }
    if fine && open("optimizer.group") {
        optimizer.group = vec![GroupConfig { prefix: "head".to_owned(), lr_scale: HEAD, decay_scale: 1. }];
    }
    if open("optimizer.clip_norm") {
        optimizer.clip_norm = CLIP;
    }
    let why = match optimizer.clip_norm {
        0. => "gradients are not cut".to_owned(),
        longest => format!("gradients longer than {longest} are cut"),
    };
    plan.choose("optimizer", format!("adam, rate {}", optimizer.learning_rate), why);
}
