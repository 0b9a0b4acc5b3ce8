//! What batch, losses and metrics leave to others.

use super::{Finding, Tree, floors};

struct Role {
    name: &'static str,
    /// Crates it has no business with, besides those of the floors.
    crates: &'static [&'static str],
    /// Words it has no business with.
    words: &'static [&'static str],
    why: &'static str,
    cure: &'static str,
}

const ROLES: [Role; 3] = [
    Role {
        name: "npair-batch",
        crates: &["npair-data", "npair-backbones", "npair-nn", "image", "fast_image_resize", "zip"],
        words: &[".forward(", ".backward(", "Backbone", "EmbeddingNet", "pixels", "DynamicImage"],
        why: "batch returns ids and index tuples, never pixels, and never calls a model",
        cure: "take what the model said as a tensor of prototypes",
    },
    Role {
        name: "npair-losses",
        crates: &["npair-batch", "npair-data", "image"],
        words: &["BatchSampler", "BatchPlan", "shuffle", "partial_shuffle", "choose_multiple", "sample_iter"],
        why: "losses never pick samples",
        cure: "let npair-batch choose, and take the chosen rows",
    },
    Role {
        name: "npair-metrics",
        crates: &["npair-losses", "npair-nn", "npair-backbones", "npair-data"],
        words: &[".backward(", "GradStore", "Var"],
        why: "metrics never need a gradient",
        cure: "work on plain slices, or detached tensors",
    },
];

pub fn roles(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for role in &ROLES {
        let Some(package) = tree.packages.iter().find(|p| p.name == role.name) else { continue };
        for dependency in &package.dependencies {
            if dependency.kind.is_none() && role.crates.contains(&dependency.name.as_str()) {
                let what = format!("{} depends on {}", role.name, dependency.name);
                findings.push(floors::finding(tree, package, &dependency.name, what, role.why, role.cure));
            }
        }
        let inside = format!("{}/src/", package.folder(&tree.root));
        for source in tree.code(&[]).filter(|s| s.file.starts_with(&inside)) {
            findings.extend(source.hits(role.words).map(|(line, word)| Finding {
                file: source.file.clone(),
                line,
                what: format!("`{word}`"),
                why: role.why,
                cure: role.cure,
            }));
        }
    }
    findings
}
