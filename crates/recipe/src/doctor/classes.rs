//! What the classes and their labels show.

use super::{Case, Fault, Finding, Rule};

/// The rules.
pub(super) const RULES: &[Rule] = &[leak, dead, noise];

/// The same bytes on two sides.
fn leak(case: &Case) -> Option<Finding> {
    let (count, [one, other]) = case.leaks.as_ref()?;
    let evidence = format!("{count} examples have the bytes of one on a side nearer to training: {one} and {other}");
    let cure = "take one of each away: npair data check lists them";
    Some(Finding::new(
        Fault::Leak,
        evidence,
        cure,
        "a new run: the scores of this one are of other pictures than they seem",
    ))
}

/// Training classes of which no example finds another of its own among its ten nearest, where nine in ten of all examples find one
/// at once. With three examples or more this does not happen by chance: a tenth of a tenth of a tenth.
fn dead(case: &Case) -> Option<Finding> {
    let training = case.seen.as_ref()?;
    if training.recall_of_others < 0.9 || training.lost.is_empty() {
        return None;
    }
    let names: Vec<&str> = training.lost.iter().take(3).map(String::as_str).collect();
    let evidence = format!(
        "recall@1 among {} training classes is {:.3} without them, but no example of {} of them finds its own among the ten nearest: {}{}",
        training.classes,
        training.recall_of_others,
        training.lost.len(),
        names.join(", "),
        if training.lost.len() > names.len() { ", .." } else { "" }
    );
    let cure = "look at their pictures: the same thing under two names, several things under one, or pictures that show nothing";
    Some(Finding::new(Fault::DeadClasses, evidence, cure, "minutes of looking"))
}

/// More than one label in a hundred looks wrong, where training classes are told apart well enough for neighbours to be heard.
fn noise(case: &Case) -> Option<Finding> {
    let training = case.seen.as_ref()?;
    let [example, given, suggested] = training.surest.as_ref()?;
    if training.recall < 0.5 || training.suspects * 100 < training.examples {
        return None;
    }
    let evidence = format!(
        "{} of {} training examples lie much nearer to another class than training examples do: {example} is called {given} and is \
         nearest to {suggested}",
        training.suspects, training.examples
    );
    let cure = "npair data check DATA --run RUN lists them all, and draws them with --sheets; what a network has learned by heart is not \
                found, so that there are more";
    Some(Finding::new(Fault::LabelNoise, evidence, cure, "minutes of looking, then another run"))
}
