//! Bytes that nobody meant well with: small valid files, changed at random in the same way every time.

use npair_types::{Purpose, Streams};
use rand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Numbers that lengths and sizes go wrong at.
const EDGES: [u64; 9] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// A parser, and how it is tried.
pub struct Attack<'a> {
    /// Name of the parser, and of the folder of its seeds below `fuzz/seeds`.
    pub name: &'a str,
    /// The parser: says whether it accepts the bytes.
    pub parser: fn(&[u8]) -> bool,
    /// How many changed files are tried; times `NPAIR_HOSTILE_TIMES`, if that is set.
    pub runs: usize,
    /// Memory that it may take beside 128 times the bytes, in bytes.
    pub slack: usize,
}

/// Measures the memory of the whole process, with `peak_alloc` as its allocator: defines `peak`, which an [`Attack`] asks.
#[macro_export]
macro_rules! peak_memory {
    () => {
        #[global_allocator]
        static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

        fn peak() -> (usize, usize) {
            let most = MEMORY.peak_usage();
            MEMORY.reset_peak_usage();
            (most, MEMORY.current_usage())
        }
    };
}

/// The most memory that was held since it was last asked, in bytes, and how much is held now.
pub type Peak<'a> = &'a dyn Fn() -> (usize, usize);

impl Attack<'_> {
    /// All seeds are accepted; whatever is made of them, nothing panics and memory stays bounded.
    ///
    /// # Panics
    /// If not, with the bytes' number, and the bytes in a file.
    pub fn run(&self, peak: Peak<'_>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(self.name);
        let mut seeds: Vec<PathBuf> =
            std::fs::read_dir(&folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        seeds.sort();
        let seeds: Vec<Vec<u8>> = seeds.iter().filter_map(|path| std::fs::read(path).ok()).collect();
        assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
        for (at, seed) in seeds.iter().enumerate() {
            assert!((self.parser)(seed), "{}: seed {at} is not accepted", self.name);
        }
        // More of them for whoever has the time.
        let times = std::env::var("NPAIR_HOSTILE_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
        for run in 0..self.runs * times {
            let bytes = changed(&seeds, run as u64);
            let (_, before) = peak();
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.parser)(&bytes)));
            let taken = peak().0.saturating_sub(before);
            let limit = self.slack + 128 * bytes.len();
            if outcome.is_err() || taken > limit {
                let kept = std::env::temp_dir().join(format!("npair-{}-{run}", self.name));
                // To be looked at; the test fails anyway.
                std::fs::write(&kept, &bytes).ok();
                let what = if outcome.is_err() {
                    "panics".to_owned()
                } else {
                    format!("takes {taken} bytes, {limit} are allowed")
                };
                panic!("{}: change {run} {what}: {}", self.name, kept.display());
            }
        }
    }
}

/// One of the seeds with a few changes.
fn changed(seeds: &[Vec<u8>], run: u64) -> Vec<u8> {
    let mut rng = Streams::new(run).open(Purpose::Synthesis, [0, 0]);
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..6) {
        let len = bytes.len();
        let at = rng.random_range(0..=len);
        let to = (at + rng.random_range(0..=64usize)).min(len);
        let edge = EDGES[rng.random_range(0..EDGES.len())];
        let edge = if rng.random() { edge.to_le_bytes() } else { edge.to_be_bytes() };
        match rng.random_range(0..8) {
            0 if at < len => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < len => bytes[at] = rng.random(),
            2 => {
                let width = [1, 2, 4, 8][rng.random_range(0..4)].min(len - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..to)),
            5 => {
                let part = bytes[at..to].repeat(rng.random_range(1..20));
                bytes.splice(at..at, part);
            }
            6 => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
            // Digits are numbers in text.
            _ => bytes[at..to].iter_mut().filter(|b| b.is_ascii_digit()).for_each(|b| *b = b'9'),
        }
    }
    bytes
}
