//! Equality for any number of threads.

/// Runs `f` in a pool of its own with each of the given numbers of threads and returns the results in that order.
///
/// # Panics
/// If a pool cannot be started.
pub fn with_threads<T: Send>(counts: &[usize], f: impl Fn() -> T + Sync) -> Vec<T> {
    let run = |&n: &usize| {
        rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool for the test can be started").install(&f)
    };
    counts.iter().map(run).collect()
}
