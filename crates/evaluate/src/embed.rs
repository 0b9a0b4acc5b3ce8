use crate::{Error, Inputs, Result, TtaConfig, Vectors, View};
use candle_core::{DType, Device, Tensor};
use npair_backbones::{EmbeddingModel, EmbeddingNet, Mode, VectorNet, is_vector_net};
use npair_collective::{Collective, Tag, gather_values};
use npair_data::{Pipeline, PipelineConfig};
use npair_metrics::Embeddings;
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

    /// How often an example is looked at, and turned by how many right angles; and the seed of its changed views.
    pub(crate) fn facts(self) -> (usize, usize, u64) {
        (self.views, self.rotations, self.streams.seed())
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
    let (size, mut parts) = (inputs.chunk().max(1), Vec::new());
    for (at, chunk) in ids.chunks(size).enumerate() {
        parts.push(one_view(model, inputs, chunk, View::PLAIN)?);
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
    let (values, width) = values(model, inputs, how, progress)?;
    let names = (0..inputs.len()).map(|i| inputs.describe(ExampleId(i))).collect();
    let classes = inputs.labels().as_slice().iter().map(|&c| inputs.class_name(c)).collect();
    Ok(Vectors { values, width, labels: Some(inputs.labels().clone()), names, classes })
}

/// The same to be judged: the values once, and no names.
///
/// # Errors
/// Those of [`embed`].
pub fn embed_to_judge(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    progress: &mut dyn FnMut(usize),
) -> Result<Embeddings> {
    let (values, width) = values(model, inputs, how, progress)?;
    Ok(Embeddings::owned(values, width, inputs.labels().clone())?)
}

/// The values of all embeddings, row after row, and D.
fn values(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    progress: &mut dyn FnMut(usize),
) -> Result<(Vec<f32>, usize)> {
    let (mut values, mut of_a_row) = (Vec::new(), 0);
    in_pieces(model, inputs, how, 0, &mut |rows, width| {
        if values.is_empty() {
            // All at once: growing would hold them twice.
            values.reserve_exact(inputs.len() * width);
        }
        of_a_row = width;
        values.extend_from_slice(rows);
        progress(values.len() / width.max(1));
        Ok(())
    })?;
    Ok((values, of_a_row))
}

/// Chunks that a device other than the CPU computes before their rows are fetched: it goes on while the next examples are loaded.
const FETCHED_TOGETHER: usize = 16;

/// Takes the rows of one chunk, and their width.
pub(crate) type TakeRows<'a> = dyn FnMut(&[f32], usize) -> Result<()> + 'a;

/// Embeds the examples from `first` on, [`Inputs::chunk`] at a time, and hands over the rows of each chunk in their order. No more
/// than a few chunks are in memory.
pub(crate) fn in_pieces(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    first: usize,
    take: &mut TakeRows<'_>,
) -> Result<()> {
    let size = inputs.chunk().max(1);
    let together = if model.device().is_cpu() { 1 } else { FETCHED_TOGETHER };
    let mut ready = Vec::with_capacity(together);
    for start in (first..inputs.len()).step_by(size) {
        let end = inputs.len().min(start + size);
        let ids: Vec<ExampleId> = (start..end).map(ExampleId).collect();
        ready.push((start, all_views(model, inputs, how, &ids)?));
        if ready.len() < together && end < inputs.len() {
            continue;
        }
        for (start, rows) in ready.drain(..) {
            let (_, width) = rows.dims2()?;
            take(&finite(inputs, start, &rows)?, width)?;
        }
    }
    Ok(())
}

/// The same by several ranks, which take a chunk each in turn and all call this: every one of them hands over all rows.
pub(crate) fn in_pieces_on_ranks(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    (how, first): (TestTimeAugmentation, usize),
    ranks: &dyn Collective,
    take: &mut TakeRows<'_>,
) -> Result<()> {
    let size = inputs.chunk().max(1);
    let chunk = |round: usize, rank: usize| {
        let start = (round + rank * size).min(inputs.len());
        start..(start + size).min(inputs.len())
    };
    for round in (first..inputs.len()).step_by(size * ranks.ranks()) {
        let own = chunk(round, ranks.rank());
        let values = match own.len() {
            0 => Vec::new(),
            _ => {
                let ids: Vec<ExampleId> = own.clone().map(ExampleId).collect();
                finite(inputs, own.start, &all_views(model, inputs, how, &ids)?)?
            }
        };
        let all = gather_values(ranks, Tag { what: "embeddings from example", number: round as u64 }, &values)?;
        for (rank, values) in all.iter().enumerate().filter(|(_, values)| !values.is_empty()) {
            take(values, values.len() / chunk(round, rank).len().max(1))?;
        }
    }
    Ok(())
}

/// The values of embeddings of the examples from `start` on, or an error that names the first that is not finite.
fn finite(inputs: &dyn Inputs, start: usize, rows: &Tensor) -> Result<Vec<f32>> {
    let (_, width) = rows.dims2()?;
    let values = rows.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(values),
        Some(at) => {
            let example = inputs.describe(ExampleId(start + at / width));
            Err(Error::NotFinite { what: format!("the embedding of {example}") })
        }
    }
}

/// Embeddings of some examples as they are asked for, where the model is.
fn all_views(
    model: &dyn EmbeddingModel,
    inputs: &dyn Inputs,
    how: TestTimeAugmentation,
    ids: &[ExampleId],
) -> Result<Tensor> {
    match how {
        TestTimeAugmentation { views: 1, rotations: 1, .. } => one_view(model, inputs, ids, View::PLAIN),
        TestTimeAugmentation { rotations: 1, .. } => mean_of_views(model, inputs, how, 0, ids),
        TestTimeAugmentation { rotations, .. } => {
            let turned = (0..rotations as u32).map(|turns| mean_of_views(model, inputs, how, turns, ids));
            Ok((Tensor::cat(&turned.collect::<Result<Vec<_>>>()?, 1)? / (rotations as f64).sqrt())?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;
    use npair_types::Labels;

    /// Examples of three values that differ by turn and view, two at a time.
    struct Turning(Labels);

    impl Inputs for Turning {
        fn labels(&self) -> &Labels {
            &self.0
        }
        fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
            let number = if let View::Augmented { number, .. } = view { number as f32 } else { 0. };
            let turns = view.quarter_turns() as f32;
            let values = ids.iter().flat_map(|id| [1.3 + id.0 as f32, 0.7 * turns + 0.1, number - 0.45]).collect();
            Ok(Tensor::from_vec(values, (ids.len(), 3), &Device::Cpu)?)
        }
        fn chunk(&self) -> usize {
            2
        }
    }

    struct AsTheyAre;

    impl EmbeddingModel for AsTheyAre {
        fn forward(&self, inputs: &Tensor, _: &Mode) -> npair_backbones::Result<Tensor> {
            Ok(inputs.clone())
        }
        fn variables(&self) -> Vec<(String, Var)> {
            Vec::new()
        }
    }

    #[test]
    fn turns_chunk_by_chunk_have_the_bits_of_turns_one_after_the_other() {
        let inputs = Turning(Labels::new([0, 0, 1, 1, 2]).unwrap());
        let how = TestTimeAugmentation::new(3, Streams::new(1)).unwrap().rotated(4).unwrap();
        let all: Vec<ExampleId> = (0..5).map(ExampleId).collect();
        let turn = |turns: u32| {
            let parts: Vec<Tensor> =
                all.chunks(2).map(|ids| mean_of_views(&AsTheyAre, &inputs, how, turns, ids).unwrap()).collect();
            Tensor::cat(&parts, 0).unwrap()
        };
        let want = (Tensor::cat(&[turn(0), turn(1), turn(2), turn(3)], 1).unwrap() / 2.).unwrap();
        let mut heard = Vec::new();
        let found = embed(&AsTheyAre, &inputs, how, &mut |done| heard.push(done)).unwrap();
        assert_eq!((found.width, heard), (12, vec![2, 4, 5]));
        assert_eq!(found.values, want.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(found.values.len(), found.values.capacity());
        let plain = embed(&AsTheyAre, &inputs, TestTimeAugmentation::none(), &mut |_| ()).unwrap();
        let want = embed_ids(&AsTheyAre, &inputs, &all, &mut |_| ()).unwrap();
        assert_eq!(plain.values, want.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let judged = embed_to_judge(&AsTheyAre, &inputs, how, &mut |_| ()).unwrap();
        assert_eq!(judged.wide(), found.into_labeled().unwrap().wide());
    }
}
