//! Tests that need what a machine may lack: a C++ compiler, real data.

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
