use crate::config::EvaluationConfig;
use crate::{Device, Error, Result, Vectors};
use candle_core::{DType, Tensor};
use npair_backbones::EmbeddingNet;
use npair_data::{Dataset, LoadedBatch, Picture, Pipeline, PipelineConfig, load_batch, load_view};
use npair_nn::Mode;
use npair_types::{ClassId, ExampleId, Labels, Streams};
use std::path::Path;

/// Pictures per forward pass.
const CHUNK: usize = 240;

/// How often every picture is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    count: usize,
    turns: usize,
    streams: Streams,
}

impl Views {
    /// The picture as evaluation sees it, once; the embedding is the network's.
    pub fn one() -> Self {
        Self { count: 1, turns: 1, streams: Streams::new(0) }
    }

    /// The picture as it is and `count - 1` views of it, changed at random as in training; the embedding is the mean of the
    /// views' unit embeddings, so that the inner product of two pictures is the mean cosine over all pairs of their views.
    ///
    /// # Errors
    /// [`Error::Setting`] if `count` is 0 or above 1,000.
    ///
    /// # Source
    /// Sohn, NIPS 2016, section 4 (cosines averaged over all pairs of views).
    pub fn new(count: usize, streams: Streams) -> Result<Self> {
        if !(1..=1000).contains(&count) {
            return Err(Error::Setting {
                setting: "evaluation.views",
                why: format!("is {count}; it may be 1 to 1000"),
            });
        }
        Ok(Self { count, turns: 1, streams })
    }

    /// All of that for the picture turned by each of four right angles (`turns` = 4); 1 for the picture as it stands. The
    /// embedding has the turns' embeddings side by side, each divided by the root of their number, so that an inner product is
    /// the mean over the turns: pictures are compared turned alike. It helps a network that has learned turned classes
    /// ([`RotatedClasses`](npair_data::RotatedClasses)), to which these are different pictures.
    ///
    /// # Shapes
    /// Embeddings are `turns` times as wide.
    ///
    /// # Errors
    /// [`Error::Setting`] for another number.
    pub fn turned(self, turns: usize) -> Result<Self> {
        if ![1, 4].contains(&turns) {
            return Err(Error::Setting { setting: "evaluation.turns", why: format!("is {turns}; it may be 1 or 4") });
        }
        Ok(Self { turns, ..self })
    }

    /// What the settings of an evaluation ask for.
    ///
    /// # Errors
    /// Those of [`Self::new`] and [`Self::turned`].
    pub fn of(config: &EvaluationConfig, streams: Streams) -> Result<Self> {
        Self::new(config.views, streams)?.turned(config.turns)
    }
}

/// Embeds examples of a data set as evaluation sees them; row i is `ids[i]`, on the CPU. `progress` hears how many are done.
///
/// The rows are fetched once, at the end: a device computes while the next pictures are decoded.
///
/// # Errors
/// Those of the data and the network; [`Error::Diverged`] if an embedding is not finite.
pub(crate) fn embed_ids(
    net: &EmbeddingNet,
    data: &dyn Dataset,
    pipeline: &Pipeline,
    ids: &[ExampleId],
    progress: &mut dyn FnMut(usize),
) -> Result<Tensor> {
    let mut parts = Vec::new();
    for (at, chunk) in ids.chunks(CHUNK).enumerate() {
        let pixels = tensor(load_batch(data, pipeline, chunk)?, net)?;
        parts.push(net.forward(&pixels, &Mode::Eval)?.detach());
        progress(at * CHUNK + chunk.len());
    }
    Ok(Tensor::cat(&parts, 0)?.to_device(&candle_core::Device::Cpu)?)
}

/// Mean of the unit embeddings of all views.
fn embed_views(
    net: &EmbeddingNet,
    data: &dyn Dataset,
    pipeline: &Pipeline,
    views: Views,
    ids: &[ExampleId],
    progress: &mut dyn FnMut(usize),
) -> Result<Tensor> {
    let mut parts = Vec::new();
    for (at, chunk) in ids.chunks(CHUNK).enumerate() {
        let first = tensor(load_batch(data, pipeline, chunk)?, net)?;
        let mut sum = unit(&net.forward(&first, &Mode::Eval)?.detach())?;
        for view in 1..views.count as u64 {
            let pixels = tensor(load_view(data, pipeline, views.streams, view, chunk)?, net)?;
            sum = (sum + unit(&net.forward(&pixels, &Mode::Eval)?.detach())?)?;
        }
        parts.push((sum / views.count as f64)?);
        progress(at * CHUNK + chunk.len());
    }
    Ok(Tensor::cat(&parts, 0)?.to_device(&candle_core::Device::Cpu)?)
}

/// A data set with every picture turned counter-clockwise by some right angles.
struct Turned<'a> {
    data: &'a dyn Dataset,
    turn: u32,
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
        Ok(self.data.load(example)?.rotated(self.turn))
    }
}

/// Rows of length 1; a zero row stays.
fn unit(rows: &Tensor) -> Result<Tensor> {
    let norms = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
    Ok(rows.broadcast_div(&norms.maximum(f64::from(f32::MIN_POSITIVE))?)?)
}

/// Embeds a whole data set.
///
/// # Errors
/// Those of the data and the network, and an error that names the first picture whose embedding is not finite.
pub fn embed(
    net: &EmbeddingNet,
    data: &dyn Dataset,
    pipeline: &Pipeline,
    views: Views,
    progress: &mut dyn FnMut(usize),
) -> Result<Vectors> {
    let ids: Vec<ExampleId> = (0..data.len()).map(ExampleId).collect();
    let rows = match views {
        Views { count: 1, turns: 1, .. } => embed_ids(net, data, pipeline, &ids, progress)?,
        Views { turns: 1, .. } => embed_views(net, data, pipeline, views, &ids, progress)?,
        Views { turns, .. } => {
            let mut parts = Vec::new();
            for turn in 0..turns {
                let mut tell = |done: usize| progress((turn * ids.len() + done) / turns);
                parts.push(embed_views(net, &Turned { data, turn: turn as u32 }, pipeline, views, &ids, &mut tell)?);
            }
            (Tensor::cat(&parts, 1)? / (turns as f64).sqrt())?
        }
    };
    let (_, width) = rows.dims2()?;
    let values = rows.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        let what = format!("the embedding of {}", data.describe(ExampleId(at / width)));
        return Err(Error::Diverged { step: 0, what });
    }
    let names = ids.iter().map(|&id| data.describe(id)).collect();
    let classes = data.labels().as_slice().iter().map(|&c| data.class_name(c)).collect();
    Ok(Vectors { values, width, labels: Some(data.labels().clone()), names, classes })
}

/// The pixels of a batch where the network is.
pub(crate) fn tensor(batch: LoadedBatch, net: &EmbeddingNet) -> Result<Tensor> {
    let [b, c, h, w] = batch.shape;
    Ok(Tensor::from_vec(batch.pixels, (b, c, h, w), net.params().device())?)
}

/// A network and the image pipeline that belongs to it, from a model folder.
///
/// # Errors
/// Those of the folder; [`Error::File`] if its `config.json` does not say how images are prepared.
pub fn predictor(folder: &Path) -> Result<(EmbeddingNet, Pipeline)> {
    predictor_on(Device::Cpu, folder)
}

/// The same on a device: embeddings come back to the CPU.
///
/// # Errors
/// Those of [`predictor`], and [`Error::Device`].
pub fn predictor_on(device: Device, folder: &Path) -> Result<(EmbeddingNet, Pipeline)> {
    let net = EmbeddingNet::load(folder, DType::F32, &device.open()?)?;
    let config: PipelineConfig = serde_json::from_value(net.config().preprocess.clone()).map_err(|e| {
        let why = format!("`preprocess` is no image pipeline of npair: {e}; take a folder that npair wrote");
        Error::file(&folder.join("config.json"), why)
    })?;
    Ok((net, Pipeline::new(config)?))
}
