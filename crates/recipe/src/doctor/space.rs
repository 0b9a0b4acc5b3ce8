//! What the embeddings show.

use super::{Case, Fault, Finding, Rule};
use npair_backbones::Output;
use npair_train::EmbeddingLook;

/// The rules.
pub(super) const RULES: &[Rule] = &[collapse, few_directions, norms, memory];

/// The last look at the embeddings while training.
fn last(case: &Case) -> Option<&EmbeddingLook> {
    case.told.looks.last().map(|(_, look)| look)
}

/// Embeddings of different classes have a cosine of 0.999 and more: they are told apart by the fourth digit, if at all. Unless the
/// training classes are found all the same, by differences on top of a large common part.
fn collapse(case: &Case) -> Option<Finding> {
    let look = last(case).filter(|look| look.different > 0.999)?;
    if case.recall_of_training().is_some_and(|recall| recall >= 0.5) {
        return None;
    }
    let evidence = format!(
        "the mean cosine of two pictures of different classes is {:.4}, of one class {:.4}",
        look.different, look.same
    );
    let rate = case.config.optimizer.learning_rate;
    let cure = format!(
        "a lower optimizer.learning_rate (it is {rate:.1e}) with schedule.warm_up; a loss that does not look at the hardest pairs \
         alone"
    );
    Some(Finding::new(Fault::Collapse, evidence, cure, "another run of the same length"))
}

/// The effective rank is below a seventh of what the classes could use, and the training classes are not told apart by it.
fn few_directions(case: &Case) -> Option<Finding> {
    let look = last(case)?;
    let training = case.seen.as_ref()?;
    let possible = look.width.min(training.classes.saturating_sub(1));
    let few = look.effective_rank < 0.15 * possible as f64;
    if !few || look.different > 0.999 || training.recall >= 0.9 {
        return None;
    }
    let evidence = format!(
        "of {} directions the embeddings use {:.1} (effective rank), and recall@1 among the {} training classes is {:.3}",
        look.width, look.effective_rank, training.classes, training.recall
    );
    let cure = "a [[regularizer]] named uniformity or ko-leo with a weight of 0.1, more classes a batch (batch.classes), or a \
                loss over all negatives (n-pair-mc, multi-similarity) in place of one over single pairs";
    Some(Finding::new(Fault::FewDirections, evidence, cure, "another run; the regularizer adds little to a step"))
}

/// Similarities of thousands: a soft-max over dot products is saturated from some tens on. Lengths that are not normalized
/// settle where the loss needs them, at squares of 10 to 50.
fn norms(case: &Case) -> Option<Finding> {
    let look = last(case).filter(|look| case.config.model.output == Output::Raw && look.norm.powi(2) > 1000.)?;
    let begin = case.told.looks.first().map_or(0., |(_, look)| look.norm);
    let evidence = format!("the mean length of an embedding went from {begin:.2} to {:.1}", look.norm);
    let cure = "norm_penalty.weight = 0.02 (the paper's second term), a lower optimizer.learning_rate, or model.output = \
                \"unit-length\" with a loss that has a temperature";
    Some(Finding::new(Fault::NormsRunAway, evidence, cure, "another run of the same length"))
}

/// While the memory fills once, an embedding moves further than from one example of its class to another: what is remembered says
/// nothing any more about where its class lies.
fn memory(case: &Case) -> Option<Finding> {
    let config = &case.config;
    let batch = config.batch.classes * config.batch.per_class * config.optimizer.accumulate;
    let age = (config.memory.size / batch.max(1)) as f64;
    let looks = &case.told.looks;
    let late = &looks[looks.len() / 2..];
    let moved: Vec<(f64, f64)> = late
        .iter()
        .filter_map(|(_, look)| {
            let drift = look.drift.filter(|drift| drift.steps > 0)?;
            Some(((1. - drift.cosine) * (age / drift.steps as f64).min(1.), 1. - look.same))
        })
        .collect();
    if config.memory.size == 0 || moved.is_empty() {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| moved.iter().map(of).sum::<f64>() / moved.len() as f64;
    let (drift, within) = (mean(|m| m.0), mean(|m| m.1));
    if drift <= within {
        return None;
    }
    let evidence = format!(
        "the {} rows of the memory are up to {age:.0} steps old, in which an embedding turns away from itself by a cosine of \
         {drift:.3}; two examples of one class are {within:.3} apart",
        config.memory.size
    );
    let cure = format!(
        "memory.size = {}, a lower optimizer.learning_rate, or a later memory.start_step (it is {})",
        (config.memory.size / 4).max(batch),
        config.memory.start_step
    );
    Some(Finding::new(Fault::MemoryTooOld, evidence, cure, "another run; a smaller memory is faster"))
}
