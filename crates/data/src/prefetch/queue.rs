use crate::{Error, Result};
use npair_types::ExampleId;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows that one thread loads in one go: enough to make locking cheap, few enough to spread a batch over the threads.
const ROWS: usize = 8;

/// Batches in the order of asking, each cut into tasks.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    ahead: usize,
    /// Signalled when there may be a task to take.
    work: Condvar,
    /// Signalled when the first batch may be complete.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Number of jobs handed out, which is the serial number of the first one in `jobs`.
    gone: u64,
    closed: bool,
}

/// A batch asked for.
#[derive(Debug)]
pub(crate) struct Job {
    ticket: u64,
    /// The row of the batch that `ids` begin with.
    first_row: usize,
    ids: Vec<ExampleId>,
    parts: Vec<Option<Vec<f32>>>,
    /// Parts taken by a thread so far; they are taken in order.
    taken: usize,
    /// Parts that need not be waited for: loaded, failed, or given up.
    settled: usize,
    /// The first bad row.
    error: Option<(usize, Error)>,
}

/// Some rows of a batch to load.
#[derive(Debug)]
pub(crate) struct Task {
    serial: u64,
    part: usize,
    pub(crate) ticket: u64,
    pub(crate) first_row: usize,
    pub(crate) ids: Vec<ExampleId>,
}

impl Job {
    pub(crate) fn ticket(&self) -> u64 {
        self.ticket
    }

    pub(crate) fn rows(&self) -> usize {
        self.ids.len()
    }

    /// The values of all parts in order, or the first bad row's error.
    pub(crate) fn into_parts(self) -> Result<Vec<Vec<f32>>> {
        match self.error {
            Some((_, error)) => Err(error),
            None => Ok(self.parts.into_iter().flatten().collect()),
        }
    }

    fn is_complete(&self) -> bool {
        self.settled == self.parts.len()
    }
}

impl Queue {
    pub(crate) fn new(ahead: usize) -> Self {
        Self { state: Mutex::default(), ahead, work: Condvar::new(), done: Condvar::new() }
    }

    /// Loading happens outside the lock, so a poisoned lock still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn submit(&self, ticket: u64, first_row: usize, ids: &[ExampleId]) {
        let parts = vec![None; ids.len().div_ceil(ROWS)];
        let job = Job { ticket, first_row, ids: ids.to_vec(), parts, taken: 0, settled: 0, error: None };
        self.lock().jobs.push_back(job);
        self.work.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// The next rows to load, of the first batch that has some; waits for them. None once the queue is closed.
    pub(crate) fn take(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let gone = state.gone;
            let open = state.jobs.iter_mut().take(self.ahead).enumerate().find(|(_, j)| j.taken < j.parts.len());
            if let Some((at, job)) = open {
                let (part, from) = (job.taken, job.taken * ROWS);
                job.taken += 1;
                let ids = job.ids[from..job.ids.len().min(from + ROWS)].to_vec();
                let first_row = job.first_row + from;
                return Some(Task { serial: gone + at as u64, part, ticket: job.ticket, first_row, ids });
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts a task's outcome where it belongs. After an error the parts not yet taken are given up; those before it
    /// were taken earlier, so the first bad row is found whatever the threads do.
    pub(crate) fn finish(&self, task: &Task, outcome: std::result::Result<Vec<f32>, (usize, Error)>) {
        let mut state = self.lock();
        // A job leaves the queue only when all its tasks are settled, so it is there.
        let at = (task.serial - state.gone) as usize;
        let Some(job) = state.jobs.get_mut(at) else { return };
        job.settled += 1;
        match outcome {
            Ok(values) => job.parts[task.part] = Some(values),
            Err((row, error)) => {
                if job.error.as_ref().is_none_or(|(first, _)| row < *first) {
                    job.error = Some((row, error));
                }
                job.settled += job.parts.len() - job.taken;
                job.taken = job.parts.len();
            }
        }
        if job.is_complete() {
            self.done.notify_all();
        }
    }

    /// The first batch, once it is complete; None if nothing was asked for.
    pub(crate) fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.jobs.front()?.is_complete() {
                state.gone += 1;
                let job = state.jobs.pop_front();
                self.work.notify_all();
                return job;
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the threads end; what was not taken yet is never loaded.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }
}
