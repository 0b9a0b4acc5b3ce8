//! Other names for the parameters of a network: those of EfficientNet on PyTorch Hub, which number blocks through and begin
//! with an underscore, where timm's count stages and blocks.

use std::collections::HashSet;

/// Layers outside of blocks: theirs, ours.
const OUTSIDE: [(&str, &str); 5] = [
    ("_conv_stem", "conv_stem"),
    ("_bn0", "bn1"),
    ("_conv_head", "conv_head"),
    ("_bn1", "bn2"),
    // The classifier, which is left over.
    ("_fc", "classifier"),
];

/// Layers of a block that widens.
const WIDENING: [(&str, &str); 6] = [
    ("_expand_conv", "conv_pw"),
    ("_bn0", "bn1"),
    ("_depthwise_conv", "conv_dw"),
    ("_bn1", "bn2"),
    ("_project_conv", "conv_pwl"),
    ("_bn2", "bn3"),
];

/// Layers of a block that does not.
const PLAIN: [(&str, &str); 4] =
    [("_depthwise_conv", "conv_dw"), ("_bn1", "bn1"), ("_project_conv", "conv_pw"), ("_bn2", "bn2")];

const BLOCKS: &str = "_blocks";

/// From those names to the network's own.
#[derive(Debug)]
pub(super) struct Dialect {
    /// For every block its own name, and whether it widens.
    blocks: Vec<(String, bool)>,
}

impl Dialect {
    /// For a network with these names; none if it has no such blocks.
    pub(super) fn of(own: &HashSet<&str>) -> Option<Self> {
        let number = |name: &str| {
            let (stage, rest) = name.strip_prefix("blocks.")?.split_once('.')?;
            let block = rest.strip_suffix(".conv_dw.weight")?;
            Some((stage.parse::<usize>().ok()?, block.parse::<usize>().ok()?))
        };
        let mut numbers: Vec<(usize, usize)> = own.iter().filter_map(|name| number(name)).collect();
        if numbers.is_empty() || !own.contains("conv_stem.weight") {
            return None;
        }
        numbers.sort_unstable();
        let block = |(stage, block)| {
            let name = format!("blocks.{stage}.{block}");
            let widens = own.contains(&format!("{name}.conv_pwl.weight")[..]);
            (name, widens)
        };
        Some(Self { blocks: numbers.into_iter().map(block).collect() })
    }

    /// What stands before the first such word of a name, and the network's own name for the rest.
    pub(super) fn read<'n>(&self, name: &'n str) -> Option<(&'n str, String)> {
        let mut at = 0;
        for word in name.split('.') {
            if word == BLOCKS || OUTSIDE.iter().any(|(theirs, _)| *theirs == word) {
                return Some((&name[..at], self.own(&name[at..])?));
            }
            at += word.len() + 1;
        }
        None
    }

    fn own(&self, name: &str) -> Option<String> {
        let (first, rest) = name.split_once('.')?;
        if first != BLOCKS {
            return Some(format!("{}.{rest}", ours(&OUTSIDE, first)?));
        }
        let (number, rest) = rest.split_once('.')?;
        let (layer, rest) = rest.split_once('.')?;
        let (block, widens) = self.blocks.get(number.parse::<usize>().ok()?)?;
        let layer = if *widens { ours(&WIDENING, layer) } else { ours(&PLAIN, layer) };
        Some(format!("{block}.{}.{rest}", layer?))
    }
}

fn ours(layers: &[(&str, &'static str)], theirs: &str) -> Option<&'static str> {
    layers.iter().find(|(name, _)| *name == theirs).map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_kinds_of_blocks() {
        let own = [
            "conv_stem.weight",
            "blocks.0.0.conv_dw.weight",
            "blocks.10.0.conv_dw.weight",
            "blocks.10.0.conv_pwl.weight",
            "blocks.2.1.conv_dw.weight",
            "blocks.2.1.conv_pwl.weight",
        ];
        let dialect = Dialect::of(&own.into()).unwrap();
        for (theirs, prefix, ours) in [
            ("_conv_stem.weight", "", "conv_stem.weight"),
            ("module._bn1.bias", "module.", "bn2.bias"),
            ("a.b._blocks.0._project_conv.weight", "a.b.", "blocks.0.0.conv_pw.weight"),
            ("_blocks.0._bn2.running_var", "", "blocks.0.0.bn2.running_var"),
            ("_blocks.1._bn2.running_var", "", "blocks.2.1.bn3.running_var"),
            ("_blocks.2._expand_conv.weight", "", "blocks.10.0.conv_pw.weight"),
            ("_fc.bias", "", "classifier.bias"),
        ] {
            assert_eq!(dialect.read(theirs), Some((prefix, ours.to_owned())), "{theirs}");
        }
        for other in
            ["conv_stem.weight", "_blocks.3._bn0.weight", "_blocks.0._expand_conv.weight", "_blocks.x._bn0.a", "_fc"]
        {
            assert_eq!(dialect.read(other), None, "{other}");
        }
        assert!(Dialect::of(&["blocks.0.conv1.weight"].into()).is_none());
    }
}
