//! What stands in a README is what compiles: doctests run it, so nothing of it may be hidden.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn readmes(root: &Path) -> Vec<PathBuf> {
    let crates = std::fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path().join("README.md"));
    crates.chain([root.join("README.md")]).filter(|path| path.is_file()).collect()
}

#[test]
fn no_line_of_a_readmes_code_is_hidden_from_its_reader() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let all = readmes(root);
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let mut in_rust = false;
        for (at, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            if let Some(kind) = line.strip_prefix("```") {
                in_rust = !in_rust && kind.starts_with("rust");
            }
            let hidden = in_rust && (line.trim_start().starts_with("# ") || line.trim() == "#");
            assert!(!hidden, "{}:{}: `{line}` does not compile where it is pasted", path.display(), at + 1);
        }
    }
}
