//! Which tensor of a file is which of a network's.

use super::LoadReport;
use super::dialect::Dialect;
use candle_core::Tensor;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What stands before the names of a network's own backbone.
const BACKBONE: &str = "backbone.";

/// What files of whole classifiers hold beside the backbone, by the first word of a name behind the prefix.
const LEFTOVERS: [&str; 6] = ["head", "fc", "classifier", "head_dist", "mask_token", "num_batches_tracked"];

/// Words in the first word of a name that belong to what training puts behind a backbone, or beside it.
const HEADS: [&str; 13] = [
    "head",
    "classifier",
    "project",
    "predictor",
    "prototypes",
    "queue",
    "last_layer",
    "decoder",
    "aux",
    "logit",
    "loss",
    "criterion",
    "proxies",
];

/// Counters that only PyTorch's batch norm keeps.
const COUNTER: &str = "num_batches_tracked";

/// Prefixes of which a file with several networks has the less wanted one.
const SECOND_CHOICE: [&str; 5] = ["encoder_k", "momentum", "student", "target", "ema"];

/// Words of a name that are looked at for a prefix.
const DEEPEST: usize = 24;

/// The names of a network's backbone, and others that they go by.
pub(super) struct Names<'a> {
    own: HashSet<&'a str>,
    dialect: Option<Dialect>,
}

impl<'a> Names<'a> {
    pub(super) fn of(own: &'a BTreeMap<String, Tensor>) -> Self {
        let own = own.keys().filter_map(|name| name.strip_prefix(BACKBONE)).collect();
        Self { dialect: Dialect::of(&own), own }
    }

    /// The network's own name for one of a file, without the prefix.
    fn own<'n>(&self, plain: &'n str) -> Cow<'n, str> {
        let read = self.dialect.as_ref().filter(|_| !self.own.contains(plain)).and_then(|dialect| dialect.read(plain));
        match read {
            Some(("", own)) => Cow::Owned(own),
            _ => Cow::Borrowed(plain),
        }
    }

    /// What stands before most names that the network has, whatever it is (`module._orig_mod.`, `model.encoder_q.`), and before
    /// how many.
    pub(super) fn prefix<'n>(&self, names: impl Iterator<Item = &'n str>) -> (&'n str, usize) {
        let mut counts = BTreeMap::<&str, usize>::new();
        for name in names {
            let starts = std::iter::once(0).chain(name.match_indices('.').take(DEEPEST).map(|(at, _)| at + 1));
            for start in starts.filter(|&start| self.own.contains(&name[start..])) {
                *counts.entry(&name[..start]).or_default() += 1;
            }
            let read = self.dialect.as_ref().and_then(|dialect| dialect.read(name));
            if let Some((prefix, _)) = read.filter(|(_, own)| self.own.contains(&own[..])) {
                *counts.entry(prefix).or_default() += 1;
            }
        }
        let second = |prefix: &str| SECOND_CHOICE.iter().any(|word| prefix.contains(word));
        // Of equals the last is taken.
        let best =
            counts.into_iter().max_by_key(|(prefix, count)| (*count, !second(prefix), usize::MAX - prefix.len()));
        best.unwrap_or(("", 0))
    }
}

/// Gives every tensor its place among the network's own, leaving out those whose names begin with one of `ignore`; the error
/// names both shapes of the first that does not fit.
pub(super) fn assign(
    own: &BTreeMap<String, Tensor>,
    tensors: BTreeMap<String, Tensor>,
    ignore: &[String],
) -> Result<(HashMap<String, Tensor>, LoadReport), String> {
    let names = Names::of(own);
    let prefix = names.prefix(tensors.keys().map(String::as_str)).0.to_owned();
    let (mut all, mut report) = (HashMap::new(), LoadReport::default());
    for (name, tensor) in tensors {
        let plain = name.strip_prefix(&prefix);
        if ignore.iter().any(|begin| name.starts_with(begin) || plain.is_some_and(|plain| plain.starts_with(begin))) {
            report.ignored.push(name);
            continue;
        }
        let Some(plain) = plain else {
            // The same parameter with and without the prefix is not taken silently; all else is another part of the file.
            let twice = own.contains_key(&format!("{BACKBONE}{name}"));
            if twice {
                report.unexpected.push(name)
            } else {
                report.ignored.push(name)
            }
            continue;
        };
        let plain = names.own(plain);
        let place = format!("{BACKBONE}{plain}");
        match own.get(&place) {
            Some(mine) if mine.dims() == tensor.dims() => {
                all.insert(place.clone(), tensor);
                report.matched.push(place);
            }
            Some(mine) => {
                return Err(format!("{name} has shape {:?}, the network's {place} {:?}", tensor.dims(), mine.dims()));
            }
            None if is_left_over(&plain) => report.ignored.push(name),
            None => report.unexpected.push(name),
        }
    }
    report.prefix = prefix;
    report.missing = own.keys().filter(|k| k.starts_with(BACKBONE) && !all.contains_key(*k)).cloned().collect();
    report.matched.sort();
    Ok((all, report))
}

/// Whether a name is one that a backbone is not expected to have.
fn is_left_over(plain: &str) -> bool {
    let first = plain.split('.').next().unwrap_or_default().to_lowercase();
    plain.ends_with(COUNTER) || LEFTOVERS.contains(&first.as_str()) || HEADS.iter().any(|word| first.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn own() -> BTreeMap<String, Tensor> {
        let names = ["backbone.a.weight", "backbone.b.0.weight", "backbone.weight", "head.weight"];
        names.map(|name| (name.to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap())).into()
    }

    #[test]
    fn any_prefix_is_found_whatever_else_is_there() {
        let own = own();
        let names = Names::of(&own);
        let file = |prefix: &str| ["a.weight", "b.0.weight", "weight"].map(|name| format!("{prefix}{name}"));
        for prefix in ["", "module.", "_orig_mod.module.", "module._orig_mod.", "model.backbone.encoder.", "x-y.0."] {
            let all = [&file(prefix)[..], &["projector.0.weight".to_owned(), "z.q.weight".to_owned()]].concat();
            assert_eq!(names.prefix(all.iter().map(String::as_str)), (prefix, 3));
        }
        // Of two networks the one that is used afterwards.
        let both = [file("module.encoder_k."), file("module.encoder_q.")].concat();
        assert_eq!(names.prefix(both.iter().map(String::as_str)), ("module.encoder_q.", 3));
        assert_eq!(names.prefix(["c.bias", ""].into_iter()), ("", 0));
    }

    #[test]
    fn heads_are_left_over_and_layers_are_not() {
        for name in [
            "fc.weight",
            "head.bias",
            "projection_head.0.weight",
            "aux1.conv.weight",
            "queue_ptr",
            "x.num_batches_tracked",
        ] {
            assert!(is_left_over(name), "{name}");
        }
        // A deeper network, one with more tokens, a norm before its blocks: other features, were they left out.
        for name in
            ["layer5.0.conv1.weight", "block4.conv.weight", "reg_token", "norm_pre.weight", "blocks.0.ls1.gamma"]
        {
            assert!(!is_left_over(name), "{name}");
        }
    }
}
