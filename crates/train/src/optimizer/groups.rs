//! Parts of a network that learn at another rate.

use crate::{Error, Optimizer, Result};
use candle_core::Var;
use std::collections::BTreeSet;

/// A part of the network (or of the loss) that learns at another rate. Where several fit, the longest prefix counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGroup {
    /// The beginning of the names, up to a dot: `head`, `backbone.block1`, `loss`.
    pub prefix: String,
    /// Times the learning rate.
    pub lr_scale: f64,
    /// Times the weight decay.
    pub decay_scale: f64,
}

/// Whether a name is `prefix` or lies below it: `backbone.block1` holds `backbone.block1.conv.weight`, not `backbone.block10`.
pub(crate) fn is_below(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix.trim_end_matches('.')).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Why a prefix cannot be meant, if no name lies below it.
pub(crate) fn unknown<'a>(names: impl Iterator<Item = &'a str> + Clone, prefix: &str) -> Option<String> {
    let begin = |name: &'a str| name.split('.').next().unwrap_or(name);
    if !prefix.is_empty() && names.clone().any(|name| is_below(name, prefix)) {
        return None;
    }
    let begins: BTreeSet<&str> = names.map(begin).collect();
    let begins = begins.into_iter().collect::<Vec<_>>().join(", ");
    Some(format!("`{prefix}` begins no name; the names begin with {begins}"))
}

/// The group of the longest prefix that a name lies below.
pub(super) fn longest<'a>(groups: &'a [ParameterGroup], name: &str) -> Option<&'a ParameterGroup> {
    groups.iter().filter(|group| is_below(name, &group.prefix)).max_by_key(|group| group.prefix.len())
}

/// An error for the first group that begins no name, is given twice, or has a scale that is none.
pub(super) fn check(vars: &[(String, Var)], groups: &[ParameterGroup]) -> Result<()> {
    let fail = |why: String| Err(Error::Setting { setting: "optimizer.group", why });
    for (at, group) in groups.iter().enumerate() {
        if let Some(why) = unknown(vars.iter().map(|(name, _)| name.as_str()), &group.prefix) {
            return fail(why);
        }
        if groups[..at].iter().any(|other| other.prefix == group.prefix) {
            return fail(format!("`{}` is given twice; keep one", group.prefix));
        }
        for (key, scale) in [("lr_scale", group.lr_scale), ("decay_scale", group.decay_scale)] {
            if !(scale.is_finite() && scale >= 0.) {
                return fail(format!("{key} of `{}` is {scale}, but has to be a finite number from 0", group.prefix));
            }
        }
    }
    Ok(())
}

/// For every variable the scales of the group with the longest prefix, 1 without any.
pub(super) fn scales(vars: &[(String, Var)], groups: &[ParameterGroup]) -> Result<Vec<[f64; 2]>> {
    check(vars, groups)?;
    let of = |name: &str| longest(groups, name).map_or([1., 1.], |group| [group.lr_scale, group.decay_scale]);
    Ok(vars.iter().map(|(name, _)| of(name)).collect())
}

/// A line for every run of variables that are treated alike, named by what they have in common.
pub(super) fn describe(vars: &[(String, Var)], scales: &[[f64; 2]], optimizer: &dyn Optimizer) -> Vec<String> {
    let mut runs: Vec<(String, usize, [f64; 2])> = Vec::new();
    for ((name, var), scale) in vars.iter().zip(scales) {
        let top = name.split('.').next().unwrap_or(name);
        match runs.last_mut() {
            Some((common, count, same)) if same == scale && common.split('.').next() == Some(top) => {
                *common = shared(common, name);
                *count += var.elem_count();
            }
            _ => runs.push((name.clone(), var.elem_count(), *scale)),
        }
    }
    let line = |(name, count, [lr, decay]): (String, usize, [f64; 2])| {
        let values = if count == 1 { "value" } else { "values" };
        let (rate, decay) = (optimizer.learning_rate() * lr, optimizer.weight_decay() * decay);
        format!("{count} {values} in {name}: learning rate {rate}, weight decay {decay}")
    };
    runs.into_iter().map(line).collect()
}

/// The parts that two names begin with alike.
fn shared(a: &str, b: &str) -> String {
    let parts = a.split('.').zip(b.split('.')).take_while(|(x, y)| x == y).map(|(x, _)| x);
    parts.collect::<Vec<_>>().join(".")
}
