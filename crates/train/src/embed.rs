use crate::{Error, Result, Vectors};
use candle_core::{DType, Device, Tensor};
use npair_backbones::EmbeddingNet;
use npair_data::{Dataset, LoadedBatch, Pipeline, PipelineConfig, load_batch};
use npair_nn::Mode;
use npair_types::ExampleId;
use std::path::Path;

/// Pictures per forward pass.
const CHUNK: usize = 240;

/// Embeds examples of a data set as evaluation sees them; row i is `ids[i]`. `progress` hears how many are done.
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
        let pixels = tensor(load_batch(data, pipeline, chunk)?)?;
        parts.push(net.forward(&pixels, &Mode::Eval)?.detach());
        progress(at * CHUNK + chunk.len());
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// Embeds a whole data set.
///
/// # Errors
/// Those of the data and the network, and an error that names the first picture whose embedding is not finite.
pub fn embed(
    net: &EmbeddingNet,
    data: &dyn Dataset,
    pipeline: &Pipeline,
    progress: &mut dyn FnMut(usize),
) -> Result<Vectors> {
    let ids: Vec<ExampleId> = (0..data.len()).map(ExampleId).collect();
    let rows = embed_ids(net, data, pipeline, &ids, progress)?;
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

pub(crate) fn tensor(batch: LoadedBatch) -> Result<Tensor> {
    let [b, c, h, w] = batch.shape;
    Ok(Tensor::from_vec(batch.pixels, (b, c, h, w), &Device::Cpu)?)
}

/// A network and the image pipeline that belongs to it, from a model folder.
///
/// # Errors
/// Those of the folder; [`Error::File`] if its `config.json` does not say how images are prepared.
pub fn predictor(folder: &Path) -> Result<(EmbeddingNet, Pipeline)> {
    let net = EmbeddingNet::load(folder, DType::F32, &Device::Cpu)?;
    let config: PipelineConfig = serde_json::from_value(net.config().preprocess.clone()).map_err(|e| {
        let why = format!("`preprocess` is no image pipeline of npair: {e}; take a folder that npair wrote");
        Error::file(&folder.join("config.json"), why)
    })?;
    Ok((net, Pipeline::new(config)?))
}
