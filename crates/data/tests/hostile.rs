//! Every parser of this crate on thousands of damaged files: no panic, and memory that the file's size bounds. The same entry
//! points are fuzzed in `fuzz/`.
#![allow(clippy::unwrap_used)] // tests may

use npair_data::hostile;
use npair_testkit::hostile::Attack;

npair_testkit::peak_memory!();

// One test: memory is that of the whole process.
#[test]
fn damaged_files_neither_panic_nor_take_memory() {
    for (name, parser, runs, slack) in [
        (
            "picture",
            hostile::picture as fn(&[u8]) -> bool,
            1500,
            4 * usize::try_from(npair_data::DECODING_BYTES).unwrap(),
        ),
        ("matlab", hostile::matlab, 2000, 64 << 20),
        ("table", hostile::table, 3000, 64 << 20),
        ("pairs", hostile::pairs, 3000, 64 << 20),
        ("archive", hostile::archive, 2000, 64 << 20),
    ] {
        Attack { name, parser, runs, slack }.run(&peak);
    }
}
