//! What an index's folder holds, damaged thousands of times: no panic, and memory that the file's size bounds. The same entry points are
//! fuzzed in `fuzz/`.
#![allow(clippy::unwrap_used)] // tests may

use npair_index::hostile;
use npair_testkit::hostile::Attack;

npair_testkit::peak_memory!();

// One test: memory is that of the whole process.
#[test]
fn damaged_files_neither_panic_nor_take_memory() {
    for (name, parser) in [("manifest", hostile::manifest as fn(&[u8]) -> bool), ("graph", hostile::graph)] {
        Attack { name, parser, runs: 4000, slack: 64 << 20 }.run(&peak);
    }
}
