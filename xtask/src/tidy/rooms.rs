//! The rooms that every crate has.

use super::{Finding, Tree};

const LONGEST: usize = 600;

pub fn readmes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages.iter().filter(|p| p.is_published()) {
        let folder = package.folder(&tree.root);
        let readme = format!("{folder}/README.md");
        if !tree.files.contains(&readme) {
            findings.push(Finding {
                file: readme,
                line: 1,
                what: format!("{} has no README.md", package.name),
                why: "it is the crate's page in the registry",
                cure: "write two sentences and 15 lines of use",
            });
        } else if package.has_library() {
            let file = format!("{folder}/src/lib.rs");
            let library = tree.sources.iter().find(|s| s.file == file);
            if !library.is_some_and(|s| s.lines.iter().any(|l| l.contains(r#"include_str!("../README.md")"#))) {
                findings.push(Finding {
                    file,
                    line: 1,
                    what: "the README is no doctest".to_owned(),
                    why: "what it shows has to compile",
                    cure: "end the file with the `Readme` hook, as crates/types/src/lib.rs does",
                });
            }
        }
    }
    findings
}

pub fn sizes(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources.iter().filter(|s| s.lines.len() > LONGEST);
    long.map(|s| Finding {
        file: s.file.clone(),
        line: LONGEST + 1,
        what: format!("{} lines", s.lines.len()),
        why: "a file holds one idea, in at most 600 lines",
        cure: "split it",
    })
    .collect()
}
