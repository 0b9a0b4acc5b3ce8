use crate::{Dataset, Error, Pipeline, Result};
use npair_types::{ExampleId, Purpose, Streams};
use rayon::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Pixels of a batch, ready to become a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedBatch {
    /// What it was asked for under (the step); 0 from [`load_batch`].
    pub ticket: u64,
    /// All values, row-major in [`shape`](Self::shape).
    pub pixels: Vec<f32>,
    /// B, C, H, W.
    pub shape: [usize; 4],
}

/// Loads examples as evaluation sees them, on all threads of the current rayon pool; rows stand in the order of `ids`.
///
/// # Errors
/// The error of the first row that cannot be loaded.
pub fn load_batch(dataset: &dyn Dataset, pipeline: &Pipeline, ids: &[ExampleId]) -> Result<LoadedBatch> {
    load(pipeline, ids, |_, id, out| guarded(dataset, id, || pipeline.evaluate(&dataset.load(id)?, out)))
}

/// The same examples changed at random as in training, for embeddings that are means over several views. What a view of an
/// example looks like depends on the seed, the number of the view and the example alone.
///
/// # Errors
/// As [`load_batch`].
pub fn load_view(
    dataset: &dyn Dataset,
    pipeline: &Pipeline,
    streams: Streams,
    view: u64,
    ids: &[ExampleId],
) -> Result<LoadedBatch> {
    load(pipeline, ids, |_, id, out| {
        let mut rng = streams.open(Purpose::View, [view, id.0 as u64]);
        guarded(dataset, id, || pipeline.augment(&dataset.load(id)?, &mut rng, out))
    })
}

/// Rows of a training batch from `first_row` on, as [`Prefetch`](crate::Prefetch) loads them ahead.
///
/// # Errors
/// As [`load_batch`].
pub fn load_rows(
    dataset: &dyn Dataset,
    pipeline: &Pipeline,
    streams: Streams,
    batch: u64,
    first_row: usize,
    ids: &[ExampleId],
) -> Result<LoadedBatch> {
    let place = |at: usize| [batch, (first_row + at) as u64];
    load(pipeline, ids, |at, id, out| load_row(dataset, pipeline, streams, place(at), id, out))
}

fn load(
    pipeline: &Pipeline,
    ids: &[ExampleId],
    row: impl Fn(usize, ExampleId, &mut [f32]) -> Result<()> + Sync,
) -> Result<LoadedBatch> {
    let [c, h, w] = pipeline.shape();
    let mut pixels = vec![0f32; ids.len() * c * h * w];
    let first = pixels
        .par_chunks_mut(c * h * w)
        .zip(ids)
        .enumerate()
        .filter_map(|(at, (out, &id))| row(at, id, out).err().map(|e| (at, e)))
        .min_by_key(|(at, _)| *at);
    match first {
        Some((_, error)) => Err(error),
        None => Ok(LoadedBatch { ticket: 0, pixels, shape: [ids.len(), c, h, w] }),
    }
}

/// One row as training sees it: its random stream depends on its ticket and place alone.
pub(crate) fn load_row(
    dataset: &dyn Dataset,
    pipeline: &Pipeline,
    streams: Streams,
    place: [u64; 2],
    id: ExampleId,
    out: &mut [f32],
) -> Result<()> {
    guarded(dataset, id, || {
        let picture = dataset.load(id)?;
        pipeline.augment(&picture, &mut streams.open(Purpose::Augmentation, place), out)
    })
}

/// What `load` gives for an example; a panic (of a decoder on hostile bytes, say) becomes an error that names the file.
pub(crate) fn guarded<T>(dataset: &dyn Dataset, id: ExampleId, load: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let why = why.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Panicked { file: dataset.describe(id), why: why.unwrap_or_else(|| "no message".into()) })
    })
}
