use crate::dataset::expect_example;
use crate::{Dataset, OfficialSide, Picture, Pipeline, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What a kept picture takes beside its pixels, in bytes.
const OVERHEAD: u64 = 64;

/// A data set whose pictures are kept in memory as a pipeline [prepares](Pipeline::prepare) them (in the network's
/// colours and scale, in bytes), up to a budget; what does not fit is decoded anew each time.
///
/// Feeding it to the pipeline that it was made with gives the bits of feeding the original. Put it around everything
/// else (rotations, subsets), as the last wrapper before training.
#[derive(Debug)]
pub struct Cached {
    inner: Arc<dyn Dataset>,
    pipeline: Pipeline,
    slots: Vec<OnceLock<Picture>>,
    budget: u64,
    used: AtomicU64,
}

impl Cached {
    /// Keeps pictures of `inner`, as `pipeline` prepares them, in at most `budget` bytes.
    pub fn new(inner: Arc<dyn Dataset>, pipeline: &Pipeline, budget: u64) -> Self {
        let slots = (0..inner.len()).map(|_| OnceLock::new()).collect();
        Self { inner, pipeline: pipeline.clone(), slots, budget, used: AtomicU64::new(0) }
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn keep(&self, slot: &OnceLock<Picture>, picture: &Picture) {
        let bytes = picture.pixels().len() as u64 + OVERHEAD;
        let reserve = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= self.budget);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_err() {
            return;
        }
        if slot.set(picture.clone()).is_err() {
            // Another thread was faster with the same picture.
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Dataset for Cached {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn labels(&self) -> &Labels {
        self.inner.labels()
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inner.class_name(class)
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.inner.group(class)
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(example)
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(example)
    }

    fn describe(&self, example: ExampleId) -> String {
        self.inner.describe(example)
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.inner.file(example)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(self.name(), example, self.slots.len())?;
        let slot = &self.slots[example.0];
        if let Some(picture) = slot.get() {
            return Ok(picture.clone());
        }
        let picture = self.pipeline.prepare(&self.inner.load(example)?)?;
        self.keep(slot, &picture);
        Ok(picture)
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}
