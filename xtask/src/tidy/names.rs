//! Names that mean something on one machine only.

use super::{Finding, Tree};

/// Put together, so that this file does not name them.
const PLACES: &[&str] = &[
    concat!("/", "work/"),
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "Users/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("proxy.golang", ".org"),
];

pub fn places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|f| !f.ends_with("Cargo.lock")) {
        // What is no text is no concern.
        let Ok(text) = std::fs::read_to_string(tree.root.join(file)) else { continue };
        for (i, line) in text.lines().enumerate() {
            for place in PLACES.iter().filter(|p| line.contains(**p)) {
                findings.push(Finding {
                    file: file.clone(),
                    line: i + 1,
                    what: format!("`{place}`"),
                    why: "paths of a machine and hosts of registries mean nothing, or something else, elsewhere",
                    cure: "name it relative to the tree, or leave it out",
                });
            }
        }
    }
    findings
}
