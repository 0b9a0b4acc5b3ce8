use super::{Inputs, View};
use crate::{Error, Result};
use candle_core::Tensor;
use npair_types::{ExampleId, Streams};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Loads training batches ahead of the step, and hands them out in the order in which they were asked for.
pub trait Loader: Send {
    /// Asks for rows of a batch, from `first_row` on, by the batch's number in the run. Never waits.
    fn submit(&mut self, batch: u64, first_row: usize, ids: &[ExampleId]);

    /// The next rows in the order of asking, on the CPU; waits until they are loaded.
    ///
    /// # Errors
    /// That of the first example that cannot be loaded; [`Error::Loader`] if nothing was asked for.
    fn next(&mut self) -> Result<Tensor>;

    /// Time that [`next`](Self::next) has waited so far: what loading costs the training.
    fn waited(&self) -> Duration;
}

/// The loader of inputs: their own, or a thread that loads one batch after the other.
///
/// # Errors
/// [`Error::Loader`] if a thread cannot be started, and those of the inputs' own.
pub fn loader(inputs: &Arc<dyn Inputs>, streams: Streams, threads: usize) -> Result<Box<dyn Loader>> {
    match inputs.own_loader(streams, threads)? {
        Some(own) => Ok(own),
        None => Ok(Box::new(Background::new(inputs.clone(), streams)?)),
    }
}

/// Batches that lie ready at most.
const READY: usize = 2;

struct Wanted {
    batch: u64,
    first_row: usize,
    ids: Vec<ExampleId>,
}

/// One thread that loads one batch after the other.
struct Background {
    /// None while it is being closed.
    wanted: Option<Sender<Wanted>>,
    ready: Option<Receiver<Result<Tensor>>>,
    thread: Option<JoinHandle<()>>,
    pending: usize,
    waited: Duration,
}

impl Background {
    fn new(inputs: Arc<dyn Inputs>, streams: Streams) -> Result<Self> {
        let (wanted, asked) = channel();
        let (give, ready) = sync_channel(READY);
        let thread = std::thread::Builder::new()
            .name("npair-inputs".to_owned())
            .spawn(move || work(inputs.as_ref(), streams, &asked, &give))
            .map_err(|e| Error::Loader { why: format!("no thread can be started: {e}") })?;
        let (pending, waited) = (0, Duration::ZERO);
        Ok(Self { wanted: Some(wanted), ready: Some(ready), thread: Some(thread), pending, waited })
    }
}

fn work(inputs: &dyn Inputs, streams: Streams, asked: &Receiver<Wanted>, give: &SyncSender<Result<Tensor>>) {
    while let Ok(Wanted { batch, first_row, ids }) = asked.recv() {
        let view = View::Training { streams, batch, first_row };
        let loaded = catch_unwind(AssertUnwindSafe(|| inputs.load(&ids, view)))
            .unwrap_or_else(|_| Err(Error::Loader { why: format!("loading batch {batch} panicked") }));
        // Nobody waits any more once the other end is gone.
        if give.send(loaded).is_err() {
            return;
        }
    }
}

impl Loader for Background {
    fn submit(&mut self, batch: u64, first_row: usize, ids: &[ExampleId]) {
        let Some(wanted) = &self.wanted else { return };
        if wanted.send(Wanted { batch, first_row, ids: ids.to_vec() }).is_ok() {
            self.pending += 1;
        }
    }

    fn next(&mut self) -> Result<Tensor> {
        let start = Instant::now();
        let Some(ready) = self.ready.as_ref().filter(|_| self.pending > 0) else {
            return Err(Error::Loader { why: "no batch was asked for".to_owned() });
        };
        let loaded = ready.recv().map_err(|_| Error::Loader { why: "its thread has ended".to_owned() })?;
        self.waited += start.elapsed();
        self.pending -= 1;
        loaded
    }

    fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        (self.wanted, self.ready) = (None, None);
        if let Some(thread) = self.thread.take() {
            // The worker catches the panics of loading; there is nothing to do about any other here.
            let _ = thread.join();
        }
    }
}
