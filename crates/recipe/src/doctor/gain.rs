//! What validations show.

use super::{Case, Fault, Finding, Rule, ToldScore};

/// The rules.
pub(super) const RULES: &[Rule] = &[over_fitting, worse_than_before, still_gaining, few_held_out, waits];

/// The best validation and the last one.
fn best_and_last(case: &Case) -> Option<(&ToldScore, &ToldScore)> {
    let scores = &case.told.scores;
    let best = scores.iter().reduce(|best, score| if score.value > best.value { score } else { best })?;
    Some((best, scores.last()?))
}

/// The last score lies below the whole interval of the best one, and the best above the whole interval of the last, while the loss is
/// lower than it was then.
fn over_fitting(case: &Case) -> Option<Finding> {
    let (best, last) = best_and_last(case)?;
    let (low, high) = (best.interval?.low, last.interval?.high);
    let steps = &case.told.steps;
    let at = steps.partition_point(|step| step.step <= best.step);
    let around = &steps[at.saturating_sub(steps.len() / 10)..at];
    let then = around.iter().map(|step| step.loss).sum::<f64>() / around.len().max(1) as f64;
    let now = case.told.mean_loss((0.9, 1.))?;
    if best.step == 0 || last.value >= low || best.value <= high || now >= then {
        return None;
    }
    let evidence = format!(
        "{} on {} was {:.3} after step {} and is {:.3} after step {}, while the loss went from {then:.3} to {now:.3}",
        best.name, best.set, best.value, best.step, last.value, last.step
    );
    let cure = "the best checkpoint is kept and is what is used; training.patience = 3 ends the run there. More augmentation \
                ([images]), model.dropout, optimizer.weight_decay, a smaller network or more classes help";
    Some(Finding::new(Fault::OverFitting, evidence, cure, "nothing is lost but the time after the best step"))
}

/// What was judged before the first step was never reached again.
fn worse_than_before(case: &Case) -> Option<Finding> {
    let (best, last) = best_and_last(case)?;
    let low = best.interval.map_or(best.value, |interval| interval.low);
    if best.step != 0 || last.step == 0 || last.value >= low {
        return None;
    }
    let evidence = format!(
        "{} on {} was {:.3} before the first step and is {:.3} after step {}",
        best.name, best.set, best.value, last.value, last.step
    );
    let rate = case.config.optimizer.learning_rate;
    let cure = format!(
        "optimizer.learning_rate = {:.1e} (it is {rate:.1e}); model.frozen = true trains the head alone",
        rate / 10.
    );
    Some(Finding::new(Fault::WorseThanBefore, evidence, cure, "another run; a frozen network trains in seconds"))
}

/// The last validation is the best, and the last fifth of the run gained two hundredths or more.
fn still_gaining(case: &Case) -> Option<Finding> {
    let (best, last) = best_and_last(case)?;
    let before = case.told.scores.iter().rev().find(|score| 5 * score.step <= 4 * last.step)?;
    let finished = last.step >= case.config.training.steps;
    if best.step != last.step || last.value - before.value < 0.02 || !finished {
        return None;
    }
    let evidence = format!(
        "{} on {} rose from {:.3} after step {} to {:.3} after step {}",
        last.name, last.set, before.value, before.step, last.value, last.step
    );
    let cure = format!("npair train --resume RUN --more {}", last.step);
    Some(Finding::new(Fault::StillGaining, evidence, cure, "as many steps again take as long again"))
}

/// The interval of the score that the best is chosen by is wider than a fifth.
fn few_held_out(case: &Case) -> Option<Finding> {
    let last = case.told.scores.last()?;
    let interval = last.interval?;
    if interval.high - interval.low <= 0.2 {
        return None;
    }
    let evidence = format!(
        "{} on {} classes is {:.3} [{:.3}, {:.3}]: which checkpoint is best is a matter of luck",
        last.name, last.classes, last.value, interval.low, interval.high
    );
    let cure = "more classes in data.split.val, or more data";
    Some(Finding::new(Fault::FewHeldOut, evidence, cure, "as many classes less to learn from"))
}

/// More than a fifth of the time is spent waiting for examples.
fn waits(case: &Case) -> Option<Finding> {
    let sum = |of: fn(&super::told::ToldStep) -> f64| case.told.steps.iter().map(of).sum::<f64>();
    let (all, waited) = (sum(|step| step.seconds), sum(|step| step.data_seconds));
    if all < 10. || waited <= 0.2 * all {
        return None;
    }
    let evidence = format!("of {all:.0} s in steps {waited:.0} s were spent waiting for examples");
    let cure = "smaller pictures on the disk, data.cache_mib large enough for all of them, or more --threads";
    Some(Finding::new(Fault::WaitsForData, evidence, cure, "memory for the cache"))
}
