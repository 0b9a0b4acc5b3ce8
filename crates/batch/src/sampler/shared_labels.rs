use crate::{BalancedSampler, BatchPlan, BatchSampler, Result};
use npair_types::{ChaCha8Rng, ClassId, ClassIndex, ExampleId, LabelSets, Labels, TupleKind, Tuples};
use std::collections::{HashMap, HashSet};

/// Batches of examples that share labels, where classes are sets of labels: M examples that have each of N labels, label after label.
/// An example that was drawn for two of them stands in the batch once, so that a batch has N M examples at most. Labels that fewer than
/// M examples have are left out; their examples are drawn for the others that they have.
///
/// Drawn by class as [`BalancedSampler`] draws them there would hardly be a batch: few examples have exactly the same labels.
///
/// # Examples
/// ```
/// # use npair_batch::{BatchSampler, LabelSampler};
/// # use npair_types::{ClassId, ClassIndex, LabelSets, Labels, Purpose, Streams};
/// let names = ["red|dress", "red|car", "blue|car", "blue|dress"];
/// let sets = LabelSets::from_names((0..).map(ClassId).zip(names), "|");
/// let index = ClassIndex::from_labels(&Labels::new([0, 1, 2, 3])?);
/// let mut sampler = LabelSampler::new(&index, &sets, 2, 2, Streams::new(1).open(Purpose::Sampling, [0, 0]))?;
/// let batch = sampler.next_batch()?;
/// assert!((2..=4).contains(&batch.ids.len()));
/// // Every class is one example's here.
/// assert!(batch.ids.iter().zip(batch.labels.as_slice()).all(|(id, class)| id.0 as u32 == class.0));
/// # Ok::<(), npair_batch::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LabelSampler {
    by_label: BalancedSampler,
    class_of: HashMap<ExampleId, ClassId>,
}

impl LabelSampler {
    /// Batches of N = `labels` and M = `per_label`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if either is 0, [`Error::TooFewClasses`](crate::Error::TooFewClasses) if fewer than N
    /// labels have M examples.
    pub fn new(index: &ClassIndex, sets: &LabelSets, labels: usize, per_label: usize, rng: ChaCha8Rng) -> Result<Self> {
        let by_label = BalancedSampler::new(sets.by_label(index), labels, per_label, rng)?;
        let of_class = |place: usize| index.examples(place).iter().map(move |&id| (id, index.classes()[place]));
        Ok(Self { by_label, class_of: (0..index.len()).flat_map(of_class).collect() })
    }
}

impl BatchSampler for LabelSampler {
    fn name(&self) -> &str {
        "sampler of shared labels"
    }

    fn kind(&self) -> TupleKind {
        TupleKind::Labeled
    }

    fn next_batch(&mut self) -> Result<BatchPlan> {
        let mut ids = self.by_label.next_batch()?.ids;
        let mut seen = HashSet::new();
        ids.retain(|&id| seen.insert(id));
        let labels = Labels::from_ids(ids.iter().filter_map(|id| self.class_of.get(id).copied()).collect())?;
        Ok(BatchPlan { ids, labels, tuples: Tuples::Labeled })
    }

    /// The most examples of a batch.
    fn batch_size(&self) -> usize {
        self.by_label.batch_size()
    }

    /// Batches after which every label was drawn.
    fn batches_per_epoch(&self) -> usize {
        self.by_label.batches_per_epoch()
    }

    /// Labels that are left out because they have too few examples.
    fn left_out(&self) -> usize {
        self.by_label.left_out()
    }

    fn draws_by(&self) -> [&'static str; 2] {
        ["label", "labels"]
    }

    fn save(&self) -> Result<serde_json::Value> {
        self.by_label.save()
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        self.by_label.restore(state)
    }
}
