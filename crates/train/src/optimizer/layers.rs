//! Rates that fall from layer to layer.

use super::{ParameterGroup, groups, is_below};
use crate::{Error, Result};
use candle_core::Var;
use npair_backbones::Stages;

/// The groups that they are, further divided by layers, of which number l of 0..=L learns at `decay^(L - l)` times the rate that it
/// has without; variables of the loss keep theirs.
pub(crate) fn layered(
    vars: &[(String, Var)],
    groups: &[ParameterGroup],
    (model, stages): (&str, &Stages),
    decay: f64,
) -> Result<Vec<ParameterGroup>> {
    groups::check(vars, groups)?;
    if decay == 1. {
        return Ok(groups.to_vec());
    }
    let wrong = |why: String| Err(Error::Setting { setting: "optimizer.layer_decay", why });
    if !(decay > 0. && decay < 1.) {
        return wrong(format!("is {decay}, but has to be above 0 and at most 1"));
    }
    let last = stages.len().saturating_sub(1);
    let mut falls = false;
    for (name, _) in vars.iter().filter(|(name, _)| !is_below(name, "loss")) {
        match stages.depth_of(name) {
            None => {
                let why =
                    format!("needs a network that knows the order of its layers; {model} does not say where {name} is");
                return wrong(format!("{why}: leave it out, or give groups (optimizer.group)"));
            }
            Some(depth) => falls |= depth < last,
        }
    }
    if !falls {
        return wrong(format!("has no effect: of {model} the last layer alone trains; leave it out"));
    }
    Ok(divided(vars, groups, stages, decay))
}

/// A group for every layer, at the scales of the given group around it, and the given groups that lie within a layer or around some.
fn divided(vars: &[(String, Var)], groups: &[ParameterGroup], stages: &Stages, decay: f64) -> Vec<ParameterGroup> {
    let last = stages.len().saturating_sub(1);
    let mut of_layers: Vec<(f64, ParameterGroup)> = Vec::new();
    for (depth, beginnings) in stages.iter().enumerate() {
        let scale = decay.powi(i32::try_from(last - depth).unwrap_or(i32::MAX));
        for prefix in beginnings.iter().filter(|prefix| vars.iter().any(|(name, _)| is_below(name, prefix))) {
            let around = groups::longest(groups, prefix);
            let (lr_scale, decay_scale) = around.map_or((1., 1.), |group| (group.lr_scale, group.decay_scale));
            let group = ParameterGroup { prefix: prefix.clone(), lr_scale: scale * lr_scale, decay_scale };
            of_layers.push((scale, group));
        }
    }
    let same = |a: &str, b: &str| a.trim_end_matches('.') == b.trim_end_matches('.');
    let mut all = Vec::new();
    for group in groups {
        match of_layers.iter().find(|(_, layer)| is_below(&group.prefix, &layer.prefix)) {
            Some((_, layer)) if same(&layer.prefix, &group.prefix) => {}
            Some((scale, _)) => all.push(ParameterGroup { lr_scale: scale * group.lr_scale, ..group.clone() }),
            None => all.push(group.clone()),
        }
    }
    all.extend(of_layers.into_iter().map(|(_, layer)| layer));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn vars(names: &[&str]) -> Vec<(String, Var)> {
        names.iter().map(|&name| (name.to_owned(), Var::zeros(1, DType::F32, &Device::Cpu).unwrap())).collect()
    }

    fn group(prefix: &str, lr_scale: f64, decay_scale: f64) -> ParameterGroup {
        ParameterGroup { prefix: prefix.to_owned(), lr_scale, decay_scale }
    }

    const NAMES: [&str; 6] = [
        "backbone.stem.w",
        "backbone.block1.conv.w",
        "backbone.block1.norm.w",
        "backbone.block10.w",
        "head.w",
        "loss.proxies",
    ];

    fn stages() -> Stages {
        Stages::new().then(["stem", "unused"]).then(["block1"]).then(["block10"]).below("backbone").then(["head"])
    }

    fn scales(names: &[&str], given: &[ParameterGroup], decay: f64) -> Vec<[f64; 2]> {
        let vars = vars(names);
        let groups = layered(&vars, given, ("a network", &stages()), decay).unwrap();
        super::groups::scales(&vars, &groups).unwrap()
    }

    #[test]
    fn rates_fall_from_the_head_to_the_input() {
        let got = scales(&NAMES, &[], 0.5);
        assert_eq!(got, [[0.125, 1.], [0.25, 1.], [0.25, 1.], [0.5, 1.], [1., 1.], [1., 1.]]);
        assert_eq!(scales(&NAMES, &[], 1.), [[1., 1.]; 6]);
    }

    /// The given groups count as they do without layers, and the layers on top of them.
    #[test]
    fn groups_and_layers_multiply() {
        let given = [
            group("backbone", 2., 0.),
            group("backbone.block1.norm.", 4., 3.),
            group("head", 10., 1.),
            group("loss", 7., 5.),
        ];
        let got = scales(&NAMES, &given, 0.5);
        assert_eq!(got, [[0.25, 0.], [0.5, 0.], [1., 3.], [1., 0.], [10., 1.], [7., 5.]]);
        let alone = scales(&NAMES, &given, 1.);
        let layers = scales(&NAMES, &[], 0.5);
        for ((both, alone), layer) in got.iter().zip(alone).zip(layers) {
            assert_eq!(*both, [alone[0] * layer[0], alone[1]]);
        }
    }

    #[test]
    fn what_has_no_layers_is_refused() {
        let said = |names: &[&str], stages: &Stages, decay: f64| {
            layered(&vars(names), &[], ("a network", stages), decay).err().unwrap().to_string()
        };
        for decay in [0., -1., 1.5, f64::NAN] {
            assert!(said(&NAMES, &stages(), decay).contains("optimizer.layer_decay: is"));
        }
        assert!(said(&NAMES, &Stages::new(), 0.5).contains("does not say where backbone.stem.w is"));
        assert!(said(&["head.w", "backbone.other"], &stages(), 0.5).contains("where backbone.other is"));
        // Where the rest is frozen.
        assert!(said(&["head.w", "loss.proxies"], &stages(), 0.5).contains("the last layer alone trains"));
        let twice = [group("head", 1., 1.), group("head", 2., 1.)];
        let said = layered(&vars(&NAMES), &twice, ("a network", &stages()), 0.5).err().unwrap().to_string();
        assert!(said.contains("given twice"), "{said}");
    }
}
