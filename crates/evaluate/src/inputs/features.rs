use super::{Inputs, View};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use npair_backbones::EmbeddingNet;
use npair_data::Dataset;
use npair_types::{ClassId, ExampleId, Labels, Purpose, Streams};
use rand::Rng;
use std::sync::Arc;

/// Features of pictures, computed once by the frozen backbone of a network and kept: what a
/// [`HeadOnFeatures`](npair_backbones::HeadOnFeatures) trains on.
///
/// Beside the picture as it is, each has some views that were changed at random as training changes pictures; a training step
/// draws one of them for every row of its batch.
///
/// # Shapes
/// (B, F) in f32.
pub struct FeatureInputs {
    inputs: Arc<dyn Inputs>,
    net: Arc<EmbeddingNet>,
    /// Changed views of every example that are kept.
    views: usize,
    /// Row `v * examples + i` is view v of example i; view 0 is the example as it is.
    values: Arc<[f32]>,
}

impl FeatureInputs {
    /// Computes the features of all examples, of each as it is and of `views` changed views. `progress` hears how many of the
    /// (`views` + 1) times all examples are done.
    ///
    /// # Errors
    /// Those of the inputs and the network, and [`Error::NotFinite`] that names the first example whose features are not.
    pub fn compute(
        inputs: Arc<dyn Inputs>,
        net: Arc<EmbeddingNet>,
        (views, streams): (usize, Streams),
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let ids: Vec<ExampleId> = (0..inputs.len()).map(ExampleId).collect();
        let mut values = Vec::with_capacity(ids.len() * (views + 1) * net.features());
        for number in 0..=views {
            let view = match number {
                0 => View::PLAIN,
                _ => View::Augmented { quarter_turns: 0, streams, number: number as u64 },
            };
            for chunk in ids.chunks(inputs.chunk().max(1)) {
                let rows = extract(&net, inputs.as_ref(), chunk, view)?.flatten_all()?.to_vec1::<f32>()?;
                if let Some(at) = rows.iter().position(|v| !v.is_finite()) {
                    let example = inputs.describe(chunk[at / net.features()]);
                    return Err(Error::NotFinite { what: format!("a feature of {example}") });
                }
                values.extend_from_slice(&rows);
                progress(values.len() / net.features());
            }
        }
        Ok(Self { inputs, net, views, values: values.into() })
    }

    /// Features that [`compute`](Self::compute) made, as [`values`](Self::values) has them.
    ///
    /// # Errors
    /// [`Error::Setting`] if they are not those of so many examples, views and features.
    pub fn of_values(inputs: Arc<dyn Inputs>, net: Arc<EmbeddingNet>, views: usize, values: Vec<f32>) -> Result<Self> {
        let (examples, width) = (inputs.len(), net.features());
        if values.len() != examples * (views + 1) * width {
            let why = format!("{} are not those of {} views of {examples} examples", values.len(), views + 1);
            return Err(Error::Setting { setting: "features", why });
        }
        Ok(Self { inputs, net, views, values: values.into() })
    }

    /// All features, row after row: every example as it is, then every example's first changed view, and so on.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Which view of an example a place in training sees.
    fn drawn(&self, streams: Streams, place: [u64; 2]) -> usize {
        match self.views {
            0 => 0,
            views => streams.open(Purpose::Augmentation, place).random_range(0..=views),
        }
    }

    fn kept(&self, ids: &[ExampleId], view: impl Fn(usize) -> usize) -> Result<Tensor> {
        let (examples, width) = (self.inputs.len(), self.net.features());
        let mut values = Vec::with_capacity(ids.len() * width);
        for (row, id) in ids.iter().enumerate() {
            if id.0 >= examples {
                let why = format!("example {id} of {examples} does not exist");
                return Err(Error::Setting { setting: "features", why });
            }
            values.extend_from_slice(&self.values[(view(row) * examples + id.0) * width..][..width]);
        }
        Ok(Tensor::from_vec(values, (ids.len(), width), &Device::Cpu)?)
    }
}

/// Features of examples, on the CPU.
fn extract(net: &EmbeddingNet, inputs: &dyn Inputs, ids: &[ExampleId], view: View) -> Result<Tensor> {
    let pixels = inputs.load(ids, view)?.to_device(net.varmap().device())?;
    Ok(net.extract(&pixels)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
}

impl Inputs for FeatureInputs {
    fn labels(&self) -> &Labels {
        self.inputs.labels()
    }

    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        match view {
            View::PLAIN => self.kept(ids, |_| 0),
            View::Training { streams, batch, first_row } => {
                self.kept(ids, |row| self.drawn(streams, [batch, (first_row + row) as u64]))
            }
            // Test-time augmentation asks for views that were not kept.
            other => extract(&self.net, self.inputs.as_ref(), ids, other),
        }
    }

    fn name(&self) -> &str {
        self.inputs.name()
    }

    fn describe(&self, example: ExampleId) -> String {
        self.inputs.describe(example)
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inputs.class_name(class)
    }

    fn pictures(&self) -> Option<&dyn Dataset> {
        self.inputs.pictures()
    }
}
