//! Work that blocks: so much of it at once, so much that waits, and no more.

use crate::refusal::{Answered, Refusal};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// One kind of work.
pub(crate) struct Lane {
    /// What is done, for answers.
    name: &'static str,
    size: usize,
    patience: Duration,
    running: Arc<Semaphore>,
    waiting: Semaphore,
    /// When what runs now began, by its number.
    begun: Mutex<BTreeMap<u64, Instant>>,
}

/// A turn; it ends when the work returns, not when its request gives up: a thread cannot be taken away from what hangs in it.
struct Turn {
    lane: Arc<Lane>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lane.begun().remove(&self.number);
    }
}

impl Lane {
    pub(crate) fn new(name: &'static str, size: usize, queue: usize, patience: Duration) -> Arc<Self> {
        let running = Arc::new(Semaphore::new(size));
        Arc::new(Self { name, size, patience, running, waiting: Semaphore::new(queue), begun: Mutex::default() })
    }

    /// When work that is asked for now has to be done.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// How much runs now.
    pub(crate) fn in_flight(&self) -> usize {
        self.begun().len()
    }

    /// Waits for a turn, then works on a thread of its own.
    ///
    /// 503 if too many wait already, if all turns are stuck, or if none came in time; 504 if the work did not end in time; 500 if it
    /// panicked.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Answered<T> {
        let turn = self.turn(deadline).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        match timeout_at(deadline, done).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Refusal::broken(format!("{} broke off: the server's log says why", self.name))),
            Err(_) => Err(Refusal::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!("{} took more than {:.0} s", self.name, self.patience.as_secs_f64()),
            )),
        }
    }

    async fn turn(self: &Arc<Self>, deadline: Instant) -> Answered<Turn> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(self.begin(permit));
        }
        if self.is_stuck() {
            return Err(Refusal::busy(format!("{} is stuck: the server has to be started again", self.name)));
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(Refusal::busy(format!("too many requests wait already: {} is busy", self.name)));
        };
        match timeout_at(deadline, self.running.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(self.begin(permit)),
            _ => Err(Refusal::busy(format!("{} did not come to this request in time", self.name))),
        }
    }

    /// Whether nothing runs but what is long overdue.
    fn is_stuck(&self) -> bool {
        let begun = self.begun();
        begun.len() >= self.size && begun.values().all(|begun| begun.elapsed() > self.patience)
    }

    fn begin(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Turn {
        let mut begun = self.begun();
        let number = begun.last_key_value().map_or(0, |(last, _)| last + 1);
        begun.insert(number, Instant::now());
        Turn { lane: self.clone(), number, _permit: permit }
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
