//! Every parser of this crate on thousands of damaged files: no panic, and memory that the file's size bounds. The same entry
//! points are fuzzed in `fuzz/`.
#![allow(clippy::unwrap_used)] // tests may

use npair_backbones::hostile;
use npair_testkit::hostile::Attack;

npair_testkit::peak_memory!();

// One test: memory is that of the whole process.
#[test]
fn damaged_files_neither_panic_nor_take_memory() {
    for (name, parser, runs, slack) in [
        ("torch", hostile::torch as fn(&[u8]) -> bool, 4000, 64 << 20),
        ("weights", hostile::weights, 3000, 64 << 20),
        ("config", hostile::config, 3000, 64 << 20),
    ] {
        Attack { name, parser, runs, slack }.run(&peak);
    }
}
