//! What the course of the loss shows.

use super::told::ToldStep;
use super::{Case, Fault, Finding, Rule};
use crate::config::OptimizerName;
use crate::watch::{guessing, loss_watch};

/// The rules, likeliest causes first.
pub(super) const RULES: &[Rule] =
    &[diverged, rose_again, threw_weights_about, hardly_moved, nothing_learned, nothing_mined, too_easy];

/// Parts of a run whose mean losses are compared, and the fewest steps that are cut into them.
const PARTS: usize = 20;
const FEWEST: usize = 40;

fn lower_rate(case: &Case) -> String {
    let rate = case.config.optimizer.learning_rate;
    format!(
        "optimizer.learning_rate = {:.1e} (it is {rate:.1e}), or schedule.warm_up of a tenth of the steps",
        rate / 3.
    )
}

const ANOTHER_RUN: &str = "another run of the same length";

/// A loss or gradient that is not finite ends a run.
fn diverged(case: &Case) -> Option<Finding> {
    let (step, what) = case.told.diverged.as_ref()?;
    let evidence = format!("{what} was not finite at step {step}, which ended the run");
    Some(Finding::new(Fault::RateTooHigh, evidence, lower_rate(case), ANOTHER_RUN))
}

/// Means of equal parts of the run with their standard errors.
fn parts(steps: &[ToldStep]) -> Vec<(u64, f64, f64)> {
    let size = steps.len() / PARTS;
    let of = |part: &[ToldStep]| {
        let n = part.len() as f64;
        let mean = part.iter().map(|step| step.loss).sum::<f64>() / n;
        let variance = part.iter().map(|step| (step.loss - mean).powi(2)).sum::<f64>() / (n - 1.).max(1.);
        (part[0].step, mean, (variance / n).sqrt())
    };
    steps.chunks_exact(size.max(1)).take(PARTS).map(of).collect()
}

/// The loss lost half of what had been gained, or jumped far above where it began. Where a memory fills or classes are mined, the
/// task gets harder while training, and a loss that rises says nothing.
fn rose_again(case: &Case) -> Option<Finding> {
    let (config, steps) = (&case.config, &case.told.steps);
    let harder = config.memory.size > 0 || config.batch.mining.is_some() || config.miner.is_some();
    if case.told.diverged.is_some() || harder || steps.len() < FEWEST {
        return None;
    }
    let parts = parts(steps);
    let (first, last) = (case.told.first_loss()?, case.told.mean_loss((0.9, 1.))?);
    // The first tenth is left out: losses of embeddings that are not normalized overshoot once before they fall.
    let later = &parts[PARTS / 10..];
    let lowest = later.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let highest = later.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let evidence = if highest.1 > 2. * first && highest.1 - first > 4. * highest.2 {
        format!("the loss was {first:.3} in the first steps and {:.3} around step {}", highest.1, highest.0)
    } else if first > 1.05 * lowest.1
        && last > lowest.1 + 0.5 * (first - lowest.1)
        && last - lowest.1 > 4. * lowest.2.hypot(parts.last()?.2)
    {
        format!("the loss fell from {first:.3} to {:.3} around step {} and rose to {last:.3}", lowest.1, lowest.0)
    } else {
        return None;
    };
    Some(Finding::new(Fault::RateTooHigh, evidence, lower_rate(case), ANOTHER_RUN))
}

/// What a weight can have moved at most under an optimizer whose step is about the rate, whatever the gradient.
fn travel(case: &Case) -> Option<f64> {
    let by_rate = case.config.optimizer.name != OptimizerName::Sgd;
    by_rate.then(|| case.told.steps.iter().map(|step| step.learning_rate).sum())
}

/// The loss fell, surely and by little, with a rate at which no weight could move far: weights of a network are of the order of
/// 0.05 (1 / sqrt(400)), and Adam moves each by at most about its rate a step.
fn hardly_moved(case: &Case) -> Option<Finding> {
    let told = &case.told;
    if told.steps.len() < FEWEST || case.config.model.pretrained.is_some() {
        return None;
    }
    let (first, last) = (told.first_loss()?, told.mean_loss((0.8, 1.))?);
    let far = travel(case)?;
    // Less than a quarter gained.
    if far >= 0.05 || last < 0.75 * first {
        return None;
    }
    let rate = case.config.optimizer.learning_rate;
    let evidence = format!(
        "the loss went from {first:.3} to {last:.3} in {} steps, in which no weight can have moved by more than about {far:.1e}",
        told.steps.len()
    );
    let cure = format!("optimizer.learning_rate = {:.1e} (it is {rate:.1e})", 10. * rate);
    Some(Finding::new(Fault::RateTooLow, evidence, cure, ANOTHER_RUN))
}

/// Whether training classes are found again more than twice as often as by guessing; taken for granted where nothing was seen.
fn is_something_learned(case: &Case) -> bool {
    case.seen.as_ref().is_none_or(|seen| seen.recall >= 2. * seen.chance || seen.classes <= 3)
}

/// Nothing is learned, by rates of which a few steps carry a weight further than any network needs: hundreds of times its size.
fn threw_weights_about(case: &Case) -> Option<Finding> {
    let far = travel(case).filter(|far| *far > 20.)?;
    nothing_learned(case).filter(|_| case.told.diverged.is_none() && rose_again(case).is_none())?;
    let evidence = format!(
        "nothing is learned, and in {} steps a weight can have moved by {far:.0}, where weights are below 1",
        case.told.steps.len()
    );
    let rate = case.config.optimizer.learning_rate;
    let cure = format!("optimizer.learning_rate = {:.1e} or less (it is {rate:.1e})", rate / far);
    Some(Finding::new(Fault::RateTooHigh, evidence, cure, ANOTHER_RUN))
}

/// The loss is where guessing has it, at the end as well; or training classes are not found again more than twice as often as by
/// guessing.
fn nothing_learned(case: &Case) -> Option<Finding> {
    let mut watch = loss_watch(&case.config);
    let stuck = case.told.steps.iter().filter_map(|step| watch.notice(step.loss)).next();
    let last = case.told.mean_loss((0.8, 1.))?;
    let evidence = match (stuck.filter(|stuck| last >= 0.9 * stuck.beginning), &case.seen) {
        (Some(stuck), _) => stuck.to_string(),
        (None, Some(seen)) if !is_something_learned(case) => format!(
            "recall@1 among {} training classes is {:.3}, where guessing has {:.3}",
            seen.classes, seen.recall, seen.chance
        ),
        _ => return None,
    };
    let cure = match travel(case) {
        Some(far) if far < 0.05 => "a higher optimizer.learning_rate",
        _ => {
            "look at the labels (npair data check); a lower optimizer.learning_rate with schedule.warm_up, or another loss: \
             multi-similarity and n-pair-mc begin more easily than those that look at the hardest pairs alone"
        }
    };
    Some(Finding::new(Fault::NothingLearned, evidence, cure, ANOTHER_RUN))
}

/// Most batches of the second half had no term at all.
fn nothing_mined(case: &Case) -> Option<Finding> {
    let half = case.told.part((0.5, 1.));
    let empty = half.iter().filter(|step| step.terms == 0).count();
    if half.len() < 10 || 2 * empty <= half.len() {
        return None;
    }
    let evidence = format!("in {empty} of the last {} steps no tuple was left to learn from", half.len());
    let cure = match &case.config.miner {
        Some(_) => "a [miner] that takes more (semi-hard instead of hardest, a wider margin), or none",
        None => "a larger margin in [loss], or more examples of a class (batch.per_class)",
    };
    Some(Finding::new(Fault::NothingMined, evidence, cure, ANOTHER_RUN))
}

/// Three in four batches of the last fifth are solved, their loss below a tenth of the first (or of guessing) or hardly a term with a
/// gradient, and yet of all training classes more than a tenth of the queries find another class first.
fn too_easy(case: &Case) -> Option<Finding> {
    let recall = case.recall_of_training().filter(|recall| *recall < 0.9)?;
    let last = case.told.part((0.8, 1.));
    let low = 0.1 * case.told.first_loss()?.min(guessing(&case.config).unwrap_or(f64::INFINITY));
    let is_solved = |step: &&ToldStep| step.loss < low || (step.terms > 0 && 50 * step.active < step.terms);
    let solved = last.iter().filter(is_solved).count();
    if last.len() < 10 || 4 * solved < 3 * last.len() || !is_something_learned(case) {
        return None;
    }
    let n = case.config.batch.classes;
    let evidence = format!(
        "{solved} of the last {} batches of {n} classes had a loss below {low:.3}, a tenth of the first, or hardly a term to learn \
         from; but among all training classes recall@1 is {recall:.3}",
        last.len()
    );
    let cure = format!(
        "batch.classes = {} (it is {n}), with training.grad_cache where memory is short; or [batch.mining], which puts \
         classes that are alike into one batch",
        4 * n
    );
    let cost = "a step of four times the pictures takes about four times as long, and fewer are needed".to_owned();
    Some(Finding::new(Fault::BatchesTooEasy, evidence, cure, cost))
}
