use crate::{Error, Inputs, Result, TtaConfig, Vectors, View};
use candle_core::{DType, Device, Tensor};
use npair_backbones::{EmbeddingModel, EmbeddingNet, Mode, VectorNet, is_vector_net};
use npair_data::{Pipeline, PipelineConfig};
use npair_types::{ExampleId, Streams};
use std::path::Path;

/// Test-time augmentation: how often every example is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestTimeAugmentation {
    views: usize,
    rotations: usize,
    streams: Streams,
}

impl TestTimeAugmentation {
    /// None: the example as evaluation sees it, once; the embedding is the model's.
    pub fn none() -> Self {
        Self { views: 1, rotations: 1, streams: Streams::new(0) }
    }

    /// The example as it is and `views - 1` views of it, changed at random as in training; the embedding is the mean of the
    /// views' unit embeddings, so that the inner product of two pictures is the mean cosine over all pairs of their views.
    ///
    /// # Errors
    /// [`Error::Setting`] if `views` is 0 or above 1,000.
    ///
    /// # Source
    /// Sohn, NIPS 2016, section 4 (cosines averaged over all pairs of views).
    pub fn new(views: usize, streams: Streams) -> Result<Self> {
        if !(1..=1000).contains(&views) {
            return Err(Error::Setting { setting: "tta.views", why: format!("is {views}; it may be 1 to 1000") });
        }
        Ok(Self { views, rotations: 1, streams })
    }

    /// All of that for the picture turned by each of four right angles (`rotations` = 4); 1 for the picture as it stands. The
    /// embedding has the rotations' embeddings side by side, each divided by the root of their number, so that an inner product
    /// is the mean over the rotations: pictures are compared turned alike. It helps a network that has learned turned classes
    /// ([`RotatedClasses`](npair_data::RotatedClasses)), to which these are different pictures.
    ///
    /// # Shapes
    /// Embeddings are `rotations` times as wide.
    ///
    /// # Errors
    /// [`Error::Setting`] for another number.
    pub fn rotated(self, rotations: usize) -> Result<Self> {
        if ![1, 4].contains(&rotations) {
            let why = format!("is {rotations}; it may be 1 or 4");
            return Err(Error::Setting { setting: "tta.rotations", why });
        }
        Ok(Self { rotations, ..self })
    }

    /// What the settings ask for.
    ///
    /// # Errors
    /// Those of [`Self::new`] and [`Self::rotated`].
    pub fn of(config: TtaConfig, streams: Streams) -> Result<Self> {
        Self::new(config.views, streams)?.rotated(config.rotations)
    }
}

/// Embeds examples as evaluation sees them; row i is `ids[i]`, on the CPU. `progress` hears how many are done.
///
/// The rows are fetched once, at the end: a device computes while the next examples are loaded.
///
/// # Errors
/// Those of the inputs and the model.
pub fn embed_ids(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    ids: &[ExampleId],
    progress: &mut dyn FnMut(usize),
) -> Result<Tensor> {
    in_chunks(inputs, ids, progress, &mut |chunk| one_view(model, inputs, chunk, View::PLAIN))
}

/// What `part` makes of some examples at a time, one under the other, on the CPU.
fn in_chunks(
    inputs: &dyn Inputs,
    ids: &[ExampleId],
    progress: &mut dyn FnMut(usize),
    part: &mut dyn FnMut(&[ExampleId]) -> Result<Tensor>,
) -> Result<Tensor> {
    let (size, mut parts) = (inputs.chunk().max(1), Vec::new());
    for (at, chunk) in ids.chunks(size).enumerate() {
        parts.push(part(chunk)?);
        progress(at * size + chunk.len());
    }
    Ok(Tensor::cat(&parts, 0)?.to_device(&Device::Cpu)?)
}

/// Embeddings of one view, where the model is.
fn one_view(model: &dyn EmbeddingModel, inputs: &dyn Inputs, ids: &[ExampleId], view: View) -> Result<Tensor> {
    let loaded = inputs.load(ids, view)?.to_device(&model.device())?;
    Ok(model.forward(&loaded, &Mode::Eval)?.detach())
}

/// Mean of the unit embeddings of all views, turned by some right angles.
fn mean_of_views(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    quarter_turns: u32,
    ids: &[ExampleId],
) -> Result<Tensor> {
    let mut sum = unit(&one_view(model, inputs, ids, View::Plain { quarter_turns })?)?;
    for number in 1..how.views as u64 {
        let view = View::Augmented { quarter_turns, streams: how.streams, number };
        sum = (sum + unit(&one_view(model, inputs, ids, view)?)?)?;
    }
    Ok((sum / how.views as f64)?)
}

/// Rows of length 1; a zero row stays.
fn unit(rows: &Tensor) -> Result<Tensor> {
    let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
    Ok(rows.broadcast_div(&norms.maximum(f64::from(f32::MIN_POSITIVE))?)?)
}

/// Embeds all examples of the inputs.
///
/// # Shapes
/// A row of width D for every example, in their order.
///
/// # Errors
/// Those of the inputs and the model, and [`Error::NotFinite`] that names the first example whose embedding is not finite.
pub fn embed(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    progress: &mut dyn FnMut(usize),
) -> Result<Vectors> {
    let ids: Vec<ExampleId> = (0..inputs.len()).map(ExampleId).collect();
    let rows = rows(model, inputs, how, &ids, progress)?;
    Vectors::of_inputs(inputs, &rows)
}

impl Vectors {
    /// The embeddings of all examples of the inputs, with what the inputs know of them.
    ///
    /// # Shapes
    /// `rows` (N, D), in the order of the inputs.
    ///
    /// # Errors
    /// [`Error::NotFinite`] that names the first example whose embedding is not finite.
    pub fn of_inputs(inputs: &dyn Inputs, rows: &Tensor) -> Result<Self> {
        let (_, width) = rows.dims2()?;
        let values = rows.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite {
                what: format!("the embedding of {}", inputs.describe(ExampleId(at / width))),
            });
        }
        let names = (0..inputs.len()).map(|i| inputs.describe(ExampleId(i))).collect();
        let classes = inputs.labels().as_slice().iter().map(|&c| inputs.class_name(c)).collect();
        Ok(Self { values, width, labels: Some(inputs.labels().clone()), names, classes })
    }
}

fn rows(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    ids: &[ExampleId],
    progress: &mut dyn FnMut(usize),
) -> Result<Tensor> {
    match how {
        TestTimeAugmentation { views: 1, rotations: 1, .. } => embed_ids(model, inputs, ids, progress),
        TestTimeAugmentation { rotations: 1, .. } => {
            in_chunks(inputs, ids, progress, &mut |chunk| mean_of_views(model, inputs, how, 0, chunk))
        }
        TestTimeAugmentation { rotations, .. } => {
            let mut parts = Vec::new();
            for turn in 0..rotations {
                let mut tell = |done: usize| progress((turn * ids.len() + done) / rotations);
                let turns = turn as u32;
                parts.push(in_chunks(inputs, ids, &mut tell, &mut |chunk| {
                    mean_of_views(model, inputs, how, turns, chunk)
                })?);
            }
            Ok((Tensor::cat(&parts, 1)? / (rotations as f64).sqrt())?)
        }
    }
}

/// A network of pictures and the image pipeline that belongs to it, from a model folder, on the CPU.
///
/// # Errors
/// Those of the folder; [`Error::File`] if its `config.json` does not say how images are prepared.
pub fn predictor(folder: &Path) -> Result<(EmbeddingNet, Pipeline)> {
    predictor_on(&Device::Cpu, folder)
}

/// The same on a device: embeddings come back to the CPU.
///
/// # Errors
/// Those of [`predictor`].
pub fn predictor_on(device: &Device, folder: &Path) -> Result<(EmbeddingNet, Pipeline)> {
    let net = EmbeddingNet::load(folder, DType::F32, device)?;
    let preprocess = net.config().map(|config| config.preprocess.clone()).unwrap_or_default();
    let config: PipelineConfig = serde_json::from_value(preprocess).map_err(|e| {
        let why = format!("`preprocess` is no image pipeline of npair: {e}; take a folder that npair wrote");
        Error::file(&folder.join("config.json"), why)
    })?;
    Ok((net, Pipeline::new(config)?))
}

/// A trained model, and what makes pictures into pixels for it if it is one of pictures.
pub struct Predictor {
    /// The model.
    pub model: Box<dyn EmbeddingModel>,
    /// The pipeline; none for a model of vectors.
    pub pipeline: Option<Pipeline>,
}

impl Predictor {
    /// Opens the model of a folder, of pictures or of vectors, on a device: embeddings come back to the CPU.
    ///
    /// # Errors
    /// Those of [`predictor`].
    pub fn open(device: &Device, folder: &Path) -> Result<Self> {
        crate::check_seal(folder)?;
        if is_vector_net(folder)? {
            let model = Box::new(VectorNet::open(folder, DType::F32, device)?);
            return Ok(Self { model, pipeline: None });
        }
        let (net, pipeline) = predictor_on(device, folder)?;
        Ok(Self { model: Box::new(net), pipeline: Some(pipeline) })
    }
}
