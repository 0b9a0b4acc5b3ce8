//! This tree, and a copy of it that may be changed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files of the tree as they are now, in a new folder.
pub fn copy() -> tempfile::TempDir {
    let (root, dir) = (root(), tempfile::tempdir().unwrap());
    let args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").current_dir(&root).args(args).output();
    let names: Vec<String> = match listed {
        Ok(out) if out.status.success() => {
            String::from_utf8(out.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect()
        }
        // An exported tree, without git.
        _ => walk(&root, &root),
    };
    for name in names.iter().filter(|n| root.join(n).is_file()) {
        let to = dir.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root.join(name), to).unwrap();
    }
    dir
}

fn walk(root: &Path, folder: &Path) -> Vec<String> {
    let inner = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name.starts_with("target") || name == ".git" => Vec::new(),
            true => walk(root, &path),
            false => vec![path.strip_prefix(root).unwrap().to_string_lossy().into_owned()],
        }
    };
    std::fs::read_dir(folder).unwrap().flat_map(|entry| inner(entry.unwrap().path())).collect()
}
