//! A public name stands for one thing.

use super::{Finding, Tree};
use std::collections::BTreeMap;

/// Names that every crate has, or that a crate shares with the one below it on purpose.
const SHARED: &[(&str, &str)] = &[
    ("Error", "every crate has one"),
    ("Result", "every crate has one"),
    ("Element", "the matrix's number types are the registers' number types"),
    ("Epilogue", "nn's is what a layer hands to simd's"),
    ("Run", "simd's never leaves the kernels"),
];

/// Public types whose name another crate uses too. Programs have no public types.
pub fn types(tree: &Tree) -> Vec<Finding> {
    let mut seen: BTreeMap<&str, (&str, &str, usize)> = BTreeMap::new();
    let mut findings = Vec::new();
    for source in tree.code(&["crates/cli", "xtask", "benches", "crates/testkit"]) {
        let Some(crate_name) = source.file.strip_prefix("crates/").and_then(|rest| rest.split('/').next()) else {
            continue;
        };
        for (i, line) in source.lines.iter().enumerate() {
            let Some(name) = public_type(line).filter(|name| SHARED.iter().all(|(shared, _)| shared != name)) else {
                continue;
            };
            let &mut (first, ref file, at) = seen.entry(name).or_insert((crate_name, &source.file, i + 1));
            if first != crate_name {
                findings.push(Finding {
                    file: source.file.clone(),
                    line: i + 1,
                    what: format!("`{name}` is the name of something else in {file}:{at}"),
                    why: "a public name stands for one thing in the workspace",
                    cure: "give one of them another name, or say in xtask/src/tidy/one_name.rs why they share it",
                });
            }
        }
    }
    findings
}

/// The name of a public type that a line begins.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| rest.strip_prefix(word))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::public_type;

    #[test]
    fn public_types_are_seen() {
        assert_eq!(public_type("pub struct Pairs<'a, T>(&'a T);"), Some("Pairs"));
        assert_eq!(public_type("pub type Kept = u8;"), Some("Kept"));
        for line in ["pub(crate) struct Pairs;", "struct Pairs;", "pub fn pairs() {}", "    pub struct Inner;"] {
            assert_eq!(public_type(line), None, "{line}");
        }
    }
}
