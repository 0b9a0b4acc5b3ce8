//! What a model is fed with.

mod ahead;
mod features;
mod pictures;
mod rows;
mod sampled;
mod views;

pub use ahead::{Loader, loader};
pub use features::FeatureInputs;
pub use pictures::PictureInputs;
pub use rows::VectorInputs;
pub use sampled::SampledInputs;
pub use views::ViewInputs;

use crate::Result;
use candle_core::Tensor;
use npair_data::Dataset;
use npair_types::{ClassId, ClassIndex, ExampleId, Labels, Streams};
use std::sync::Arc;

/// How an example is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// As evaluation sees it, turned counter-clockwise by some right angles where the inputs can be turned.
    Plain {
        /// Right angles; 0 for the example as it stands.
        quarter_turns: u32,
    },
    /// Changed at random as in training, for test-time augmentation: what it looks like depends on the seed, the number of the
    /// view and the example alone.
    Augmented {
        /// Right angles by which it is turned first.
        quarter_turns: u32,
        /// Where the changes are drawn from.
        streams: Streams,
        /// Number of the view.
        number: u64,
    },
    /// As a training step sees it: what row r of a batch looks like depends on the seed, the batch's number and r alone.
    Training {
        /// Where the changes are drawn from.
        streams: Streams,
        /// Number of the batch in the run.
        batch: u64,
        /// Place of the first example in the batch.
        first_row: usize,
    },
}

impl View {
    /// As evaluation sees it.
    pub const PLAIN: Self = Self::Plain { quarter_turns: 0 };

    /// Right angles by which an example is turned.
    pub fn quarter_turns(self) -> u32 {
        match self {
            Self::Plain { quarter_turns } | Self::Augmented { quarter_turns, .. } => quarter_turns,
            Self::Training { .. } => 0,
        }
    }
}

/// Labeled examples that a model can be fed with: ids to one tensor of any shape.
///
/// Pictures ([`PictureInputs`]) are one kind, the rows of a matrix ([`VectorInputs`]: text, audio, tables, cached features)
/// another. Loading is safe from many threads at once and gives the same values each time.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_evaluate::{Inputs, Result, View};
/// # use npair_types::{ExampleId, Labels};
/// /// Token ids of short texts.
/// struct Texts { tokens: Vec<[u32; 4]>, labels: Labels }
///
/// impl Inputs for Texts {
///     fn labels(&self) -> &Labels {
///         &self.labels
///     }
///     fn load(&self, ids: &[ExampleId], _: View) -> Result<Tensor> {
///         let tokens: Vec<u32> = ids.iter().flat_map(|id| self.tokens[id.0]).collect();
///         Ok(Tensor::from_vec(tokens, (ids.len(), 4), &Device::Cpu)?)
///     }
/// }
///
/// let texts = Texts { tokens: vec![[7, 2, 0, 0], [7, 3, 1, 0]], labels: Labels::new([0, 0])? };
/// assert_eq!(texts.load(&[ExampleId(1)], View::PLAIN)?.dims(), [1, 4]);
/// # Ok::<(), npair_evaluate::Error>(())
/// ```
pub trait Inputs: Send + Sync {
    /// The class of every example.
    fn labels(&self) -> &Labels;

    /// Examples as one tensor on the CPU, row i of which is `ids[i]`.
    ///
    /// # Shapes
    /// (ids, ...), the same extents behind the first for all examples.
    ///
    /// # Errors
    /// The first example that cannot be loaded.
    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor>;

    /// What messages call them.
    fn name(&self) -> &str {
        "inputs"
    }

    /// Number of examples.
    fn len(&self) -> usize {
        self.labels().len()
    }

    /// Whether there is no example.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What an example is called: a path, a row.
    fn describe(&self, example: ExampleId) -> String {
        format!("example {example}")
    }

    /// What people call a class.
    fn class_name(&self, class: ClassId) -> String {
        class.to_string()
    }

    /// The examples of every class.
    fn class_index(&self) -> ClassIndex {
        ClassIndex::from_labels(self.labels())
    }

    /// Examples that are embedded at a time.
    fn chunk(&self) -> usize {
        240
    }

    /// The pictures behind them, if they are pictures: to be shown, and for protocols that know groups and authors.
    fn pictures(&self) -> Option<&dyn Dataset> {
        None
    }

    /// What loads training batches ahead of the step, if there is something better than a thread that calls
    /// [`load`](Self::load) for one batch after the other.
    ///
    /// # Errors
    /// If the threads cannot be started.
    fn own_loader(&self, streams: Streams, threads: usize) -> Result<Option<Box<dyn Loader>>> {
        let _ = (streams, threads);
        Ok(None)
    }
}

impl<I: Inputs + ?Sized> Inputs for Arc<I> {
    fn labels(&self) -> &Labels {
        (**self).labels()
    }
    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        (**self).load(ids, view)
    }
    fn name(&self) -> &str {
        (**self).name()
    }
    fn describe(&self, example: ExampleId) -> String {
        (**self).describe(example)
    }
    fn class_name(&self, class: ClassId) -> String {
        (**self).class_name(class)
    }
    fn class_index(&self) -> ClassIndex {
        (**self).class_index()
    }
    fn chunk(&self) -> usize {
        (**self).chunk()
    }
    fn pictures(&self) -> Option<&dyn Dataset> {
        (**self).pictures()
    }
    fn own_loader(&self, streams: Streams, threads: usize) -> Result<Option<Box<dyn Loader>>> {
        (**self).own_loader(streams, threads)
    }
}

impl std::fmt::Debug for dyn Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inputs({}, {} examples)", self.name(), self.len())
    }
}
