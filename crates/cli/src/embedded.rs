//! Embeddings of inputs, with a bar.

use crate::progress;
use npair_backbones::EmbeddingModel;
use npair_collective::Collective;
use npair_evaluate::{
    EmbeddingJob, Error, Inputs, OtherPart, PartFile, Result, TestTimeAugmentation, Vectors, embed, embed_to_judge,
};
use npair_metrics::Embeddings;
use npair_recipe::Config;
use npair_types::Streams;
use std::path::Path;

/// To be judged, as the settings ask for.
pub fn as_asked(config: &Config, model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> Result<Embeddings> {
    let how = TestTimeAugmentation::of(config.tta, Streams::new(config.seed))?;
    shown(inputs, |progress| embed_to_judge(model, inputs, how, progress))
}

/// The same of the examples as evaluation sees them, once.
pub fn plain_to_judge(model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> Result<Embeddings> {
    shown(inputs, |progress| embed_to_judge(model, inputs, TestTimeAugmentation::none(), progress))
}

/// Of the examples as evaluation sees them, once, with their names.
pub fn plain(model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> Result<Vectors> {
    shown(inputs, |progress| embed(model, inputs, TestTimeAugmentation::none(), progress))
}

/// What is to be embedded, as the settings ask for, by a model that was read from a folder.
pub fn job<'a>(
    config: &Config,
    (folder, model): (&'a Path, &'a dyn EmbeddingModel),
    inputs: &'a dyn Inputs,
) -> Result<EmbeddingJob<'a>> {
    let how = TestTimeAugmentation::of(config.tta, Streams::new(config.seed))?;
    Ok(EmbeddingJob { folder, model, inputs, how })
}

/// Embeddings that are kept on the disk until they are judged are those of more examples than this: to make them takes a while.
const KEPT_FROM: usize = 50_000;

/// To be judged, as the settings ask for: those of a large set by way of a file in the run's folder, so that whoever is stopped goes
/// on. Where it cannot be written they are in memory alone. The file is to be removed when they have been judged.
pub fn kept<'a>(run: &Path, name: &str, job: EmbeddingJob<'a>) -> Result<(Embeddings, Option<PartFile<'a>>)> {
    let EmbeddingJob { model, inputs, how, .. } = job;
    let in_memory = || Ok((shown(inputs, |progress| embed_to_judge(model, inputs, how, progress))?, None));
    if inputs.len() < KEPT_FROM {
        return in_memory();
    }
    let filled =
        PartFile::open(&run.join(format!("eval-{name}.npy")), job, OtherPart::BeginAnew).and_then(|mut part| {
            match fill(&mut part, inputs, None) {
                // Nothing is lost yet.
                Err(Error::Write { path, why }) if part.rows() == 0 => Err(Error::Write { path, why }),
                filled => Ok((part, filled)),
            }
        });
    match filled {
        Ok((mut part, filled)) => {
            filled?;
            Ok((part.embeddings()?, Some(part)))
        }
        Err(error) => {
            warn!("note: embeddings are not kept while they are judged: {error}");
            in_memory()
        }
    }
}

/// Embeds what is not in a file yet, with other ranks where there are some, and says what was there.
pub fn fill(part: &mut PartFile<'_>, inputs: &dyn Inputs, ranks: Option<&dyn Collective>) -> Result<()> {
    let (there, all) = (part.rows(), inputs.len());
    if there > 0 {
        warn!("note: goes on behind {there} of {all} embeddings that are in {}", part.path().display());
    }
    if let Some(what) = part.begun_anew() {
        warn!("note: begins anew: {} held a part of the embeddings of {what}", part.path().display());
    }
    shown(inputs, |progress| match ranks {
        None => part.fill(progress),
        Some(ranks) => part.fill_on(ranks, progress),
    })
}

fn shown<T>(inputs: &dyn Inputs, work: impl FnOnce(&mut dyn FnMut(usize)) -> Result<T>) -> Result<T> {
    let bar = progress::bar(inputs.len() as u64, "embed");
    let done = work(&mut |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor};
    use npair_backbones::{VectorNet, VectorNetConfig};
    use npair_evaluate::{VectorInputs, View};
    use npair_types::{ExampleId, Labels};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Rows, a thousand at a time, that can be loaded so often and then no more.
    struct Stopping(VectorInputs, AtomicUsize);

    impl Inputs for Stopping {
        fn labels(&self) -> &Labels {
            self.0.labels()
        }
        fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
            let left = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map_err(|_| Error::Loader { why: "stopped".to_owned() })?;
            self.0.load(ids, view)
        }
        fn chunk(&self) -> usize {
            1000
        }
    }

    #[test]
    fn embeddings_of_a_large_set_are_kept_until_they_are_judged() {
        let (model_folder, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = serde_json::json!({ "format": 1, "input": 1, "embedding": 2 });
        let config: VectorNetConfig = serde_json::from_value(config).unwrap();
        let net = VectorNet::new(config, Streams::new(1), DType::F32, &Device::Cpu).unwrap();
        net.save(model_folder.path()).unwrap();
        let values = (0..KEPT_FROM).map(|row| (row as f32).sin()).collect();
        let labels = Labels::new((0..KEPT_FROM as u32).map(|row| row / 5)).unwrap();
        let rows = VectorInputs::new("rows", values, 1, labels).unwrap();
        let inputs = |loads| Stopping(rows.clone(), AtomicUsize::new(loads));
        let config = Config::default();
        let model = (model_folder.path(), &net as &dyn EmbeddingModel);
        let (stopped, whole, again) = (inputs(20), inputs(30), inputs(51));
        kept(run.path(), "test", job(&config, model, &stopped).unwrap()).map(|_| ()).unwrap_err();
        let (set, part) = kept(run.path(), "test", job(&config, model, &whole).unwrap()).unwrap();
        let want = as_asked(&config, &net, &inputs(50)).unwrap();
        assert_eq!((set.wide(), whole.1.load(Ordering::Relaxed)), (want.wide(), 0));
        part.unwrap().remove().unwrap();
        assert_eq!(std::fs::read_dir(run.path()).unwrap().count(), 0);
        let (set, part) = kept(&run.path().join("none"), "test", job(&config, model, &again).unwrap()).unwrap();
        assert!(part.is_none() && set.wide() == want.wide());
    }
}
