use npair_collective::{Collective, Result, Tag};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Steps over which ranks are compared.
const WINDOW: u64 = 20;
/// How much longer than the others a rank has to work to be named.
const SLOW: f64 = 1.5;

/// Ranks that know how long they wait for each other.
#[derive(Debug, Clone)]
pub(super) struct Paced {
    ranks: Arc<dyn Collective>,
    /// Nanoseconds spent in calls.
    waited: Arc<AtomicU64>,
    pace: Arc<Mutex<Pace>>,
}

/// How long ranks have worked, without waiting, since they were last compared.
#[derive(Debug, Default)]
struct Pace {
    /// When the step began, and how long had been waited until then.
    since: Option<(Instant, u64)>,
    /// Seconds of each rank.
    worked: Vec<f64>,
    steps: u64,
    /// Ranks that have been named: once is enough.
    named: Vec<usize>,
}

impl Paced {
    pub(super) fn new(ranks: Arc<dyn Collective>) -> Self {
        Self { ranks, waited: Arc::default(), pace: Arc::default() }
    }

    /// What all say at the end of a step, of which some bytes are this rank's; and a word about a rank that the others wait for.
    pub(super) fn end_step(&self, tag: Tag, own: u8) -> Result<(Vec<u8>, Option<String>)> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = vec![own];
        told.extend(pace.own_work(self.waited.load(Ordering::Relaxed)).to_le_bytes());
        let all = self.ranks.all_gather(tag, &told)?;
        pace.since = Some((Instant::now(), self.waited.load(Ordering::Relaxed)));
        let said = all.iter().filter_map(|told| told.first().copied()).collect();
        let seconds = |told: &Vec<u8>| told[1..].try_into().map_or(0., f64::from_le_bytes);
        Ok((said, pace.compare(all.iter().map(seconds))))
    }
}

impl Pace {
    /// Seconds of this rank's step, but for waiting.
    fn own_work(&self, waited: u64) -> f64 {
        let Some((begun, before)) = self.since else { return 0. };
        (begun.elapsed().as_secs_f64() - (waited - before) as f64 * 1e-9).max(0.)
    }

    fn compare(&mut self, step: impl Iterator<Item = f64>) -> Option<String> {
        let step: Vec<f64> = step.collect();
        self.worked.resize(step.len(), 0.);
        self.worked.iter_mut().zip(&step).for_each(|(sum, seconds)| *sum += seconds);
        self.steps += 1;
        if self.steps < WINDOW {
            return None;
        }
        let worked = std::mem::take(&mut self.worked);
        let steps = std::mem::take(&mut self.steps) as f64;
        let (rank, seconds, others) = slow(&worked)?;
        if self.named.contains(&rank) {
            return None;
        }
        self.named.push(rank);
        let (own, usual) = (seconds / steps, others / steps);
        Some(format!(
            "rank {rank} works for {own:.3} s a step where the others work for {usual:.3} s, and they wait for it: look for other work on \
             its machine, or give it more threads"
        ))
    }
}

/// The rank that has worked longest, how long, and the median of the others, if that is much less.
fn slow(worked: &[f64]) -> Option<(usize, f64, f64)> {
    let (rank, &longest) = worked.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let mut others: Vec<f64> =
        worked.iter().enumerate().filter(|(other, _)| *other != rank).map(|(_, &seconds)| seconds).collect();
    others.sort_by(f64::total_cmp);
    let median = *others.get(others.len() / 2)?;
    (longest > SLOW * median).then_some((rank, longest, median))
}

impl Collective for Paced {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn ranks(&self) -> usize {
        self.ranks.ranks()
    }

    fn all_to_all(&self, tag: Tag, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        self.timed(|ranks| ranks.all_to_all(tag, parts))
    }

    fn all_gather(&self, tag: Tag, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.timed(|ranks| ranks.all_gather(tag, own))
    }

    fn broadcast(&self, tag: Tag, root: usize, own: Vec<u8>) -> Result<Vec<u8>> {
        self.timed(|ranks| ranks.broadcast(tag, root, own))
    }
}

impl Paced {
    fn timed<T>(&self, call: impl FnOnce(&dyn Collective) -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let done = call(self.ranks.as_ref());
        self.waited.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_named_once_when_the_others_wait_for_it() {
        let mut pace = Pace::default();
        let mut steps = |seconds: [f64; 4], steps: u64| -> Vec<String> {
            (0..steps).filter_map(|_| pace.compare(seconds.into_iter())).collect()
        };
        assert_eq!(steps([0.1, 0.12, 0.1, 0.14], 3 * WINDOW), [""; 0]);
        let told = steps([0.1, 0.12, 0.9, 0.1], 2 * WINDOW);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("rank 2 works for 0.900 s a step where the others work for 0.100 s"), "{told:?}");
        assert_eq!(steps([0.9, 0.1, 0.1, 0.1], WINDOW).len(), 1);
    }

    #[test]
    fn a_rank_alone_is_not_slow() {
        assert_eq!(slow(&[3.]), None);
        assert_eq!(slow(&[]), None);
        assert_eq!(slow(&[1., 3.]), Some((1, 3., 1.)));
    }
}
