//! Settings and the state of checkpoints, damaged thousands of times: no panic, and memory that the file's size bounds. The same
//! entry points are fuzzed in `fuzz/`.
#![allow(clippy::unwrap_used)] // tests may

use npair_recipe::{Config, LearnedVerifier};
use npair_testkit::hostile::Attack;

npair_testkit::peak_memory!();

fn settings(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| Config::parse("settings", text, &[]).is_ok())
}

// One test: memory is that of the whole process.
#[test]
fn damaged_files_neither_panic_nor_take_memory() {
    let parsers = [
        ("settings", settings as fn(&[u8]) -> bool),
        ("state", npair_train::accepts_state),
        ("thresholds", LearnedVerifier::accepts),
    ];
    for (name, parser) in parsers {
        Attack { name, parser, runs: 3000, slack: 64 << 20 }.run(&peak);
    }
}
