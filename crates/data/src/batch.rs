use crate::{Dataset, Pipeline, Result};
use npair_types::{ExampleId, Purpose, Streams};
use rayon::prelude::*;

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
    let [c, h, w] = pipeline.shape();
    let mut pixels = vec![0f32; ids.len() * c * h * w];
    let first = pixels
        .par_chunks_mut(c * h * w)
        .zip(ids)
        .enumerate()
        .filter_map(|(row, (out, &id))| {
            dataset.load(id).and_then(|picture| pipeline.evaluate(&picture, out)).err().map(|e| (row, e))
        })
        .min_by_key(|(row, _)| *row);
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
    [ticket, row]: [u64; 2],
    id: ExampleId,
    out: &mut [f32],
) -> Result<()> {
    let picture = dataset.load(id)?;
    pipeline.augment(&picture, &mut streams.open(Purpose::Augmentation, [ticket, row]), out)
}
