use crate::{Candidates, Prototypes, Result};
use npair_types::{ChaCha8Rng, ClassIndex, ExampleId, Labels, Settings, TupleKind, Tuples};

/// The examples of one step, in the order of the batch's rows, and the tuples that they form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchPlan {
    /// Examples (B).
    pub ids: Vec<ExampleId>,
    /// Their classes (B).
    pub labels: Labels,
    /// The tuples that the rows form.
    pub tuples: Tuples,
}

/// Yields whole batches, for ever.
///
/// A sampler owns its seeded generator; [`save`](Self::save) and [`restore`](Self::restore) carry everything over a stop,
/// so that the batches after it are those of an uninterrupted run.
pub trait BatchSampler: Send {
    /// Its name in errors.
    fn name(&self) -> &str;

    /// The tuples that its plans carry, which the loss has to take.
    fn kind(&self) -> TupleKind;

    /// The next batch.
    ///
    /// # Errors
    /// [`Error::NoPrototypes`](crate::Error::NoPrototypes) from a mining sampler that waits for [`supply`](Self::supply).
    fn next_batch(&mut self) -> Result<BatchPlan>;

    /// Examples of a batch (B).
    fn batch_size(&self) -> usize;

    /// Batches after which every usable class has been visited (rounded up). With class mining: candidate sets, times the
    /// batches drawn from each, that visit every class. 0 where no number of batches does so for sure.
    fn batches_per_epoch(&self) -> usize;

    /// Classes that are left out because they have too few examples.
    fn left_out(&self) -> usize;

    /// What it draws examples by, one and many of them, for messages.
    fn draws_by(&self) -> [&'static str; 2] {
        ["class", "classes"]
    }

    /// Whether [`candidates`](Self::candidates) would ask for prototypes before the next batch. A trainer that plans ahead
    /// stops planning here until the model is as far.
    fn wants_prototypes(&self) -> bool {
        false
    }

    /// If this sampler mines and wants fresh prototypes before the next batch: the examples to embed.
    fn candidates(&mut self) -> Option<Candidates> {
        None
    }

    /// Takes the prototypes of the last [`candidates`](Self::candidates).
    ///
    /// # Errors
    /// If they are not of those candidates.
    fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        let _ = prototypes;
        Ok(())
    }

    /// Everything that changes from batch to batch.
    ///
    /// # Errors
    /// If the state cannot be written.
    fn save(&self) -> Result<serde_json::Value>;

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State) if it is no state of this sampler on this data.
    fn restore(&mut self, state: &serde_json::Value) -> Result<()>;
}

/// The settings of a sampler, which know how to make it.
pub trait SamplerSettings: Settings {
    /// The sampler of these settings over the classes of an index.
    ///
    /// # Errors
    /// Those of the sampler's `new`.
    fn build(&self, index: ClassIndex, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>>;
}

impl<S: BatchSampler + ?Sized> BatchSampler for Box<S> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn kind(&self) -> TupleKind {
        (**self).kind()
    }
    fn next_batch(&mut self) -> Result<BatchPlan> {
        (**self).next_batch()
    }
    fn batch_size(&self) -> usize {
        (**self).batch_size()
    }
    fn batches_per_epoch(&self) -> usize {
        (**self).batches_per_epoch()
    }
    fn left_out(&self) -> usize {
        (**self).left_out()
    }
    fn draws_by(&self) -> [&'static str; 2] {
        (**self).draws_by()
    }
    fn wants_prototypes(&self) -> bool {
        (**self).wants_prototypes()
    }
    fn candidates(&mut self) -> Option<Candidates> {
        (**self).candidates()
    }
    fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        (**self).supply(prototypes)
    }
    fn save(&self) -> Result<serde_json::Value> {
        (**self).save()
    }
    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        (**self).restore(state)
    }
}
