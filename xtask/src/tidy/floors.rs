//! Which crate may depend on which.

use super::{Finding, Tree};
use crate::tree::Package;

/// A crate, and those of the workspace that it may depend on.
struct Floor {
    name: &'static str,
    below: &'static [&'static str],
}

const TYPES: &str = "npair-types";
const COLLECTIVE: &str = "npair-collective";
const SIMD: &str = "npair-simd";
const SIMILARITY: &str = "npair-similarity";
const TESTKIT: &str = "npair-testkit";
const BELOW_EVALUATE: &[&str] =
    &[TYPES, COLLECTIVE, SIMILARITY, "npair-metrics", "npair-nn", "npair-backbones", "npair-data"];
const BELOW_INDEX: &[&str] = &[TYPES, SIMILARITY, "npair-metrics"];
const BELOW_SERVE: &[&str] = &[TYPES, SIMILARITY, "npair-metrics", "npair-index"];
const BELOW_TRAIN: &[&str] = &[
    TYPES,
    COLLECTIVE,
    SIMILARITY,
    "npair-losses",
    "npair-batch",
    "npair-metrics",
    "npair-nn",
    "npair-backbones",
    "npair-data",
    "npair-evaluate",
];
const BELOW_RECIPE: &[&str] = &[
    TYPES,
    COLLECTIVE,
    SIMILARITY,
    "npair-losses",
    "npair-batch",
    "npair-metrics",
    "npair-nn",
    "npair-backbones",
    "npair-data",
    "npair-evaluate",
    "npair-onnx",
    "npair-report",
    "npair-train",
];
const EVERYTHING: &[&str] = &[
    TYPES,
    COLLECTIVE,
    SIMILARITY,
    "npair-losses",
    "npair-batch",
    "npair-metrics",
    "npair-nn",
    "npair-backbones",
    "npair-data",
    "npair-evaluate",
    "npair-index",
    "npair-onnx",
    "npair-report",
    "npair-train",
    "npair-recipe",
    "npair-serve",
];

/// The house, from the ground up.
const FLOORS: &[Floor] = &[
    Floor { name: TYPES, below: &[] },
    Floor { name: TESTKIT, below: &[TYPES] },
    Floor { name: COLLECTIVE, below: &[] },
    Floor { name: "npair-similarity-cuda", below: &[] },
    Floor { name: "npair-similarity-metal", below: &[] },
    Floor { name: SIMD, below: &[] },
    Floor { name: SIMILARITY, below: &[TYPES, SIMD, "npair-similarity-cuda", "npair-similarity-metal"] },
    Floor { name: "npair-nn", below: &[TYPES, SIMD] },
    Floor { name: "npair-losses", below: &[TYPES, COLLECTIVE, SIMILARITY] },
    Floor { name: "npair-batch", below: &[TYPES, SIMILARITY] },
    Floor { name: "npair-metrics", below: &[TYPES, SIMILARITY] },
    Floor { name: "npair-backbones", below: &[TYPES, "npair-nn"] },
    Floor { name: "npair-data", below: &[TYPES] },
    Floor { name: "npair-evaluate", below: BELOW_EVALUATE },
    Floor { name: "npair-index", below: BELOW_INDEX },
    Floor { name: "npair-onnx", below: &[TYPES, "npair-nn", "npair-backbones"] },
    Floor { name: "npair-report", below: &[TYPES] },
    Floor { name: "npair-train", below: BELOW_TRAIN },
    Floor { name: "npair-recipe", below: BELOW_RECIPE },
    Floor { name: "npair-serve", below: BELOW_SERVE },
    Floor { name: "npair", below: EVERYTHING },
    Floor { name: "xtask", below: &[] },
    Floor { name: "npair-benches", below: EVERYTHING },
];

/// Crates whose layers cut gradients, or that fetch by themselves.
const READY_MADE: &[&str] = &["candle-nn", "candle-transformers", "ureq"];
const MAY_USE_THEM: &[&str] = &["npair-nn", "npair-backbones", "npair-train"];

pub fn arrows(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let Some(floor) = FLOORS.iter().find(|f| f.name == package.name) else {
            findings.push(finding(
                tree,
                package,
                "name",
                format!("{} stands on no floor", package.name),
                "every crate has its place in the house",
                "add it to FLOORS in xtask/src/tidy/floors.rs and to docs/architecture.md",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_ours = tree.packages.iter().any(|p| p.name == name);
            let is_for_tests = dependency.kind.as_deref() == Some("dev") && name == TESTKIT;
            if is_ours && !is_for_tests && !floor.below.contains(&name) {
                findings.push(finding(
                    tree,
                    package,
                    name,
                    format!("{} depends on {name}", package.name),
                    "arrows point down and crates of one floor do not see each other",
                    "move what is shared down, or let npair-train or npair-recipe put the two together",
                ));
            }
        }
    }
    findings
}

pub fn layers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages.iter().filter(|p| !MAY_USE_THEM.contains(&p.name.as_str())) {
        let used =
            |d: &&crate::tree::Dependency| d.kind.as_deref() != Some("dev") && READY_MADE.contains(&d.name.as_str());
        for dependency in package.dependencies.iter().filter(used) {
            findings.push(finding(
                tree,
                package,
                &dependency.name,
                format!("{} depends on {}", package.name, dependency.name),
                "some of its layers cut gradients without a word (docs/candle.md)",
                "use candle-core alone, or put the layer into npair-nn",
            ));
        }
    }
    findings
}

/// A finding at the line of a manifest that begins with `key`.
pub fn finding(
    tree: &Tree,
    package: &Package,
    key: &str,
    what: String,
    why: &'static str,
    cure: &'static str,
) -> Finding {
    let file = format!("{}/Cargo.toml", package.folder(&tree.root));
    let text = std::fs::read_to_string(tree.root.join(&file)).unwrap_or_default();
    let begins = |l: &str| l.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    let line = text.lines().position(begins).map_or(1, |at| at + 1);
    Finding { file, line, what, why, cure }
}
