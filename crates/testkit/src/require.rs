//! Tests that need what a machine may lack: a C++ compiler, real data.

use std::path::{Path, PathBuf};

/// What a test needs beyond the project itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A compiler, a sanitizer.
    Tool,
    /// Data that is not part of the project.
    Data,
}

/// The variable that says what has to be there: `1` for everything, `tools` for tools alone.
pub const REQUIRE: &str = "NPAIR_REQUIRE_ALL";

/// A file of the real data, below `NPAIR_DATA` or in the folder beside the project; says that the test was not run where it is not.
///
/// # Panics
/// As [`not_run`].
pub fn data(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folders = std::env::var_os("NPAIR_DATA").map(PathBuf::from).into_iter().chain([beside]);
    let found = folders.map(|folder| folder.join(file)).find(|path| path.is_file());
    if found.is_none() {
        not_run(Need::Data, &format!("no {file} in $NPAIR_DATA or beside the project"));
    }
    found
}

/// Says that a test was not run, and why.
///
/// # Panics
/// If the need is one that `NPAIR_REQUIRE_ALL` names: a test that could not run is then a failure, not a line that nobody reads.
#[allow(clippy::print_stdout)] // tests print
pub fn not_run(need: Need, why: &str) {
    if is_required(std::env::var(REQUIRE).ok().as_deref(), need) {
        panic!("not run: {why}; it has to run, as {REQUIRE} is set");
    }
    println!("not run: {why}");
}

fn is_required(set: Option<&str>, need: Need) -> bool {
    match set {
        None | Some("" | "0") => false,
        Some("tools") => need == Need::Tool,
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_is_as_written() {
        for (set, tool, data) in [
            (None, false, false),
            (Some(""), false, false),
            (Some("0"), false, false),
            (Some("tools"), true, false),
            (Some("1"), true, true),
        ] {
            assert_eq!((is_required(set, Need::Tool), is_required(set, Need::Data)), (tool, data), "{set:?}");
        }
    }
}
