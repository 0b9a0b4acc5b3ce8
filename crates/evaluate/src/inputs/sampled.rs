use super::{Inputs, View};
use crate::{Error, Result};
use candle_core::Tensor;
use npair_types::{ClassId, ClassIndex, ExampleId, Labels, Purpose, Streams};
use rand::seq::SliceRandom;
use std::sync::Arc;

/// Some of the examples of inputs: what stands for all of them where all are too many.
///
/// # Shapes
/// As the inputs have them.
#[derive(Debug, Clone)]
pub struct SampledInputs {
    inputs: Arc<dyn Inputs>,
    examples: Vec<ExampleId>,
    labels: Labels,
}

impl SampledInputs {
    /// These examples, in their order.
    ///
    /// # Errors
    /// [`Error::Setting`] if one is not there, [`Error::Types`] if there are none.
    pub fn new(inputs: Arc<dyn Inputs>, examples: Vec<ExampleId>) -> Result<Self> {
        if let Some(beyond) = examples.iter().find(|id| id.0 >= inputs.len()) {
            let why = format!("example {beyond} of {} does not exist", inputs.len());
            return Err(Error::Setting { setting: "sample", why });
        }
        let labels = Labels::from_ids(examples.iter().map(|id| inputs.labels().get(id.0)).collect())?;
        Ok(Self { inputs, examples, labels })
    }

    /// Whole classes, drawn by seed, of `most` examples or somewhat fewer; all examples if they are no more. A class of more than half
    /// of `most` gives its first ones, so that there are two classes wherever there were, and one of two examples is among them.
    ///
    /// # Errors
    /// [`Error::Types`] if `most` leaves none.
    pub fn whole_classes(inputs: Arc<dyn Inputs>, most: usize, streams: Streams) -> Result<Self> {
        let examples = match inputs.len() <= most {
            true => (0..inputs.len()).map(ExampleId).collect(),
            false => drawn(&inputs.class_index(), most, streams),
        };
        Self::new(inputs, examples)
    }

    /// Which examples of the inputs they are.
    pub fn examples(&self) -> &[ExampleId] {
        &self.examples
    }
}

fn drawn(index: &ClassIndex, most: usize, streams: Streams) -> Vec<ExampleId> {
    let mut order: Vec<usize> = (0..index.len()).collect();
    order.shuffle(&mut streams.open(Purpose::Evaluation, [22, 0]));
    if let Some(first) = order.iter().position(|&class| index.examples(class).len() > 1) {
        order.swap(0, first);
    }
    let mut examples = Vec::with_capacity(most);
    for class in order {
        let own = index.examples(class);
        let own = &own[..own.len().min((most / 2).max(1))];
        if examples.len() + own.len() <= most {
            examples.extend_from_slice(own);
        }
    }
    examples.sort_unstable();
    examples
}

impl Inputs for SampledInputs {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        let there = |id: &ExampleId| self.examples.get(id.0).copied();
        let Some(ids) = ids.iter().map(there).collect::<Option<Vec<_>>>() else {
            let why = format!("has {} examples, and another one was asked for", self.examples.len());
            return Err(Error::Setting { setting: "sample", why });
        };
        self.inputs.load(&ids, view)
    }

    fn name(&self) -> &str {
        self.inputs.name()
    }

    fn describe(&self, example: ExampleId) -> String {
        self.inputs.describe(self.examples.get(example.0).copied().unwrap_or(example))
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inputs.class_name(class)
    }

    fn chunk(&self) -> usize {
        self.inputs.chunk()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VectorInputs;
    use std::collections::BTreeSet;

    fn inputs(labels: Vec<u32>) -> Arc<dyn Inputs> {
        let values = (0..labels.len()).map(|row| row as f32).collect();
        Arc::new(VectorInputs::new("rows", values, 1, Labels::new(labels).unwrap()).unwrap())
    }

    #[test]
    fn a_sample_is_of_whole_classes_and_has_pairs() {
        // 100 classes of one example, 20 of four.
        let labels: Vec<u32> = (0..100).chain((100..120).flat_map(|class| [class; 4])).collect();
        let all = inputs(labels.clone());
        let sample = |seed| SampledInputs::whole_classes(all.clone(), 30, Streams::new(seed)).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..20 {
            let found = sample(seed);
            assert!((27..=30).contains(&found.len()), "{}", found.len());
            for (row, id) in found.examples().iter().enumerate() {
                let loaded = found.load(&[ExampleId(row)], View::PLAIN).unwrap();
                assert_eq!(loaded.to_vec2::<f32>().unwrap(), [[id.0 as f32]]);
                assert_eq!(found.labels().get(row).0, labels[id.0]);
            }
            let index = found.class_index();
            assert!(
                (0..index.len()).all(|at| index.examples(at).len() == if index.classes()[at].0 < 100 { 1 } else { 4 })
            );
            assert!(!index.with_at_least(2).is_empty());
            seen.insert(found.examples().to_vec());
        }
        assert!(seen.len() > 15 && sample(3).examples() == sample(3).examples());
        let all_of_them = SampledInputs::whole_classes(all.clone(), 180, Streams::new(0)).unwrap();
        assert_eq!(all_of_them.len(), 180);
        assert!(SampledInputs::new(all, vec![ExampleId(180)]).is_err());
    }

    #[test]
    fn large_classes_leave_room_for_another() {
        let labels: Vec<u32> = (0..1000).map(|row| row / 500).collect();
        let found = SampledInputs::whole_classes(inputs(labels), 21, Streams::new(0)).unwrap();
        assert_eq!((found.len(), found.class_index().len()), (20, 2));
    }
}
