use super::{Inputs, Loader, View};
use crate::Result;
use candle_core::{Device, Tensor};
use npair_data::{Dataset, LoadedBatch, Picture, Pipeline, Prefetch, load_batch, load_rows, load_view};
use npair_types::{ClassId, ExampleId, Labels, Streams};
use std::sync::Arc;
use std::time::Duration;

/// The pictures of a data set, made into pixels by a pipeline.
///
/// # Shapes
/// (B, C, H, W) in f32.
#[derive(Debug, Clone)]
pub struct PictureInputs {
    data: Arc<dyn Dataset>,
    pipeline: Pipeline,
}

impl PictureInputs {
    /// Of a data set.
    pub fn new(data: Arc<dyn Dataset>, pipeline: Pipeline) -> Self {
        Self { data, pipeline }
    }

    /// The data set.
    pub fn data(&self) -> &Arc<dyn Dataset> {
        &self.data
    }

    /// What makes its pictures into pixels.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    fn load_from(&self, data: &dyn Dataset, ids: &[ExampleId], view: View) -> Result<Tensor> {
        tensor(match view {
            View::Plain { .. } => load_batch(data, &self.pipeline, ids)?,
            View::Augmented { streams, number, .. } => load_view(data, &self.pipeline, streams, number, ids)?,
            View::Training { streams, batch, first_row } => {
                load_rows(data, &self.pipeline, streams, batch, first_row, ids)?
            }
        })
    }
}

impl Inputs for PictureInputs {
    fn labels(&self) -> &Labels {
        self.data.labels()
    }

    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        match view.quarter_turns() {
            0 => self.load_from(self.data.as_ref(), ids, view),
            turns => self.load_from(&Turned { data: self.data.as_ref(), turns }, ids, view),
        }
    }

    fn name(&self) -> &str {
        self.data.name()
    }

    fn describe(&self, example: ExampleId) -> String {
        self.data.describe(example)
    }

    fn class_name(&self, class: ClassId) -> String {
        self.data.class_name(class)
    }

    fn pictures(&self) -> Option<&dyn Dataset> {
        Some(self.data.as_ref())
    }

    fn own_loader(&self, streams: Streams, threads: usize) -> Result<Option<Box<dyn Loader>>> {
        let ahead = Prefetch::new(self.data.clone(), self.pipeline.clone(), streams, threads.clamp(1, 256))?;
        Ok(Some(Box::new(Ahead(ahead))))
    }
}

/// Decoding on several threads, picture by picture.
struct Ahead(Prefetch);

impl Loader for Ahead {
    fn submit(&mut self, batch: u64, first_row: usize, ids: &[ExampleId]) {
        self.0.submit_rows(batch, first_row, ids);
    }

    fn next(&mut self) -> Result<Tensor> {
        tensor(self.0.next()?)
    }

    fn waited(&self) -> Duration {
        self.0.waited()
    }
}

fn tensor(batch: LoadedBatch) -> Result<Tensor> {
    let [b, c, h, w] = batch.shape;
    Ok(Tensor::from_vec(batch.pixels, (b, c, h, w), &Device::Cpu)?)
}

/// A data set with every picture turned counter-clockwise by some right angles.
struct Turned<'a> {
    data: &'a dyn Dataset,
    turns: u32,
}

impl Dataset for Turned<'_> {
    fn name(&self) -> &str {
        self.data.name()
    }

    fn labels(&self) -> &Labels {
        self.data.labels()
    }

    fn class_name(&self, class: ClassId) -> String {
        self.data.class_name(class)
    }

    fn describe(&self, example: ExampleId) -> String {
        self.data.describe(example)
    }

    fn load(&self, example: ExampleId) -> npair_data::Result<Picture> {
        Ok(self.data.load(example)?.rotated(self.turns))
    }
}
