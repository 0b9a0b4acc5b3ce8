//! Loading ahead of the step.

mod queue;

use crate::batch::load_row;
use crate::{Dataset, Error, LoadedBatch, Pipeline, Result};
use npair_types::{ExampleId, Streams};
use queue::{Queue, Task};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Decodes and augments batches on background threads, ahead of the training step, and hands them out strictly in
/// the order in which they were asked for.
///
/// The random stream of row `r` of ticket `t` is `streams.open(Purpose::Augmentation, [t, r])`, so that bits depend
/// neither on the number of threads nor on what else is loaded. At most [`AHEAD`](Self::AHEAD) batches are held in
/// memory; asking for more is free, the ids wait. [`submit`](Self::submit) never blocks.
///
/// ```
/// # use npair_data::*;
/// # use npair_types::{ExampleId, Streams};
/// # use std::sync::Arc;
/// let glyphs = Arc::new(GlyphSet::new(GlyphConfig { classes: 10, instances: 4, ..GlyphConfig::default() })?);
/// let pipeline = Pipeline::new(PipelineConfig::strokes(28))?;
/// let mut prefetch = Prefetch::new(glyphs, pipeline, Streams::new(1), 2)?;
/// for step in 0..3 {
///     prefetch.submit(step, &[ExampleId(0), ExampleId(1), ExampleId(9)]);
/// }
/// let batch = prefetch.next()?;
/// assert_eq!((batch.ticket, batch.shape), (0, [3, 1, 28, 28]));
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug)]
pub struct Prefetch {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
    num_values: usize,
    shape: [usize; 3],
    waited: Duration,
}

impl Prefetch {
    /// Most batches that are being loaded or lie ready.
    pub const AHEAD: usize = 4;

    /// Starts `workers` threads, 1 to 256; they end when the prefetcher is dropped.
    ///
    /// # Errors
    /// [`Error::Setting`] if the number of threads is outside its range or the system refuses a thread.
    pub fn new(dataset: Arc<dyn Dataset>, pipeline: Pipeline, streams: Streams, workers: usize) -> Result<Self> {
        if !(1..=256).contains(&workers) {
            return Err(Error::setting("workers", workers, "from 1 to 256 threads"));
        }
        let (num_values, shape) = (pipeline.num_values(), pipeline.shape());
        let queue = Arc::new(Queue::new(Self::AHEAD));
        let mut prefetch = Self { queue, workers: Vec::new(), num_values, shape, waited: Duration::ZERO };
        let loader = Arc::new(Loader { dataset, pipeline, streams });
        for number in 0..workers {
            let (queue, loader) = (prefetch.queue.clone(), loader.clone());
            let thread = std::thread::Builder::new().name(format!("npair-data {number}")).spawn(move || {
                while let Some(task) = queue.take() {
                    queue.finish(&task, loader.load(&task));
                }
            });
            prefetch.workers.push(thread.map_err(|e| Error::setting("workers", workers, e.to_string()))?);
        }
        Ok(prefetch)
    }

    /// Asks for a batch under a number of the caller's (the step).
    pub fn submit(&mut self, ticket: u64, ids: &[ExampleId]) {
        self.submit_rows(ticket, 0, ids);
    }

    /// Asks for a piece of a batch: its rows from `first_row` on, as they are in the whole. A piece counts as a batch to
    /// everything here.
    pub fn submit_rows(&mut self, ticket: u64, first_row: usize, ids: &[ExampleId]) {
        self.queue.submit(ticket, first_row, ids);
    }

    /// Number of batches asked for and not yet handed out.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// The next batch in the order of asking; waits until it is loaded.
    ///
    /// # Errors
    /// That of the batch's first row that cannot be loaded, [`Error::Panicked`] if loading it panicked; later batches
    /// are not touched by it. [`Error::Prefetch`] if nothing was asked for.
    #[allow(clippy::should_implement_trait)] // an iterator would end, this one asks for more
    pub fn next(&mut self) -> Result<LoadedBatch> {
        let start = Instant::now();
        let job = self.queue.next();
        self.waited += start.elapsed();
        let Some(job) = job else {
            return Err(Error::Prefetch { why: "no batch was asked for; submit one first".into() });
        };
        let rows = job.rows();
        let (ticket, parts) = (job.ticket(), job.into_parts()?);
        let mut pixels = Vec::with_capacity(rows * self.num_values);
        parts.iter().for_each(|part| pixels.extend_from_slice(part));
        let [c, h, w] = self.shape;
        Ok(LoadedBatch { ticket, pixels, shape: [rows, c, h, w] })
    }

    /// The time that [`next`](Self::next) has waited for batches so far: what loading costs the training.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.queue.close();
        for worker in self.workers.drain(..) {
            // Workers catch the panics of loading; there is nothing to do about any other here.
            let _ = worker.join();
        }
    }
}

struct Loader {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    streams: Streams,
}

impl Loader {
    /// The values of a task's rows, or its first bad row with the error.
    fn load(&self, task: &Task) -> std::result::Result<Vec<f32>, (usize, Error)> {
        let num_values = self.pipeline.num_values();
        let mut values = vec![0f32; task.ids.len() * num_values];
        for (i, (out, &id)) in values.chunks_exact_mut(num_values).zip(&task.ids).enumerate() {
            let row = task.first_row + i;
            load_row(self.dataset.as_ref(), &self.pipeline, self.streams, [task.ticket, row as u64], id, out)
                .map_err(|e| (row, e))?;
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests;
