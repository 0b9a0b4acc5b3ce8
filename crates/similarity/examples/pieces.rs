//! What an exact search in a gallery larger than memory holds at most: rows of f32 are written to a file and searched piece by piece. Linux
//! tells what the process held. The file is left for another run, and taken as it is if it has the right length.
//!
//! ```text
//! cargo run --release -p npair-similarity --example pieces FILE [ROWS [WIDTH [QUERIES [K [PIECE]]]]]
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what it measured is what it is for")]

use npair_similarity::{Exclude, Rows};
use npair_types::Measure;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

/// Whatever fails ends it.
type Failed = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Failed>;

/// Rows that are drawn at a time when the file is written.
const DRAWN: usize = 100_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("the name of a file is needed")?;
    let mut number = |usual: usize| args.next().map_or(Ok(usual), |given| given.parse());
    let (rows, width) = (number(10_000_000)?, number(128)?);
    let (queries, k, piece) = (number(1000)?, number(10)?, number(100_000)?);
    let path = Path::new(&file);
    if std::fs::metadata(path).map_or(0, |file| file.len()) != 4 * (rows * width) as u64 {
        write(path, rows, width)?;
    }
    let start = Instant::now();
    let mut read = 0;
    for piece in pieces(path, piece * width)? {
        read += piece?.len() / width;
    }
    println!("{read} rows of {width} were read in {:.1} s", start.elapsed().as_secs_f64());
    let values = numbers(0, queries * width);
    let (start, user) = (Instant::now(), user_seconds()?);
    let pieces = pieces(path, piece * width)?;
    let found = Rows::new(&values, width)?.top_k_in_pieces(pieces, Measure::Dot, k, Exclude::Nothing)?;
    let (seconds, user) = (start.elapsed().as_secs_f64(), user_seconds()? - user);
    let first = found.indices(0).iter().zip(found.similarity(0)).next();
    println!(
        "{queries} queries, k = {k}, pieces of {piece}: {seconds:.1} s, {user:.1} s of processors, VmHWM {} MiB",
        held()? >> 10
    );
    println!("nearest of the first query (place, similarity): {first:?}");
    Ok(())
}

/// `len` numbers between -1 and 1.
fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.
    };
    (0..len).map(|_| draw()).collect()
}

fn write(path: &Path, rows: usize, width: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (at, first) in (0..rows).step_by(DRAWN).enumerate() {
        for value in numbers(1 + at as u64, DRAWN.min(rows - first) * width) {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    Ok(file.flush()?)
}

/// So many values of a file at a time.
fn pieces(path: &Path, values: usize) -> Result<impl Iterator<Item = Result<Vec<f32>>>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    Ok(std::iter::from_fn(move || {
        bytes.clear();
        match Read::by_ref(&mut file).take(4 * values as u64).read_to_end(&mut bytes) {
            Ok(0) => None,
            Ok(_) => Some(Ok(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())),
            Err(error) => Some(Err(error.into())),
        }
    }))
}

/// The most that the process has held, in KiB.
fn held() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?.parse()?)
}

/// Processor seconds of the process outside of the kernel; Linux counts in hundredths.
fn user_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    Ok(fields.split_whitespace().nth(11).ok_or("no time")?.parse::<f64>()? / 100.)
}
