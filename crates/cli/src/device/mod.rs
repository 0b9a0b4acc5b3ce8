//! A device held against the CPU, and timed.

mod bench;
mod check;

pub use bench::{Scale, Timed, bench_device};
pub use check::check_device;
