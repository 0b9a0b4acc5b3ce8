use super::{Inputs, Loader, PictureInputs, View};
use crate::Result;
use candle_core::Tensor;
use npair_data::{Dataset, Pipeline, Views};
use npair_types::{ClassId, ExampleId, Labels, Streams};
use std::sync::Arc;

/// Several views of every picture: what is learned from, and judged by, where pictures have no classes.
///
/// Evaluation sees the first view of a picture as it is, and the others changed as training changes pictures, each always in the
/// same way: recall is that of finding a picture by another view of it. Training sees every view changed anew in every batch.
///
/// # Shapes
/// (B, C, H, W) in f32.
///
/// # Examples
/// ```
/// # use npair_data::{GlyphConfig, GlyphSet, Pipeline, PipelineConfig, Unlabeled};
/// # use npair_evaluate::{Inputs, View, ViewInputs};
/// # use npair_types::{ExampleId, Streams};
/// # use std::sync::Arc;
/// let glyphs = GlyphSet::new(GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() })?;
/// let pipeline = Pipeline::new(PipelineConfig::strokes(28))?;
/// let views = ViewInputs::new(Arc::new(Unlabeled::new(Arc::new(glyphs))?), pipeline, (2, Streams::new(1)))?;
/// let [first, second] = [0, 1].map(|i| views.load(&[ExampleId(i)], View::PLAIN));
/// assert_eq!((views.len(), views.labels().get(1)), (12, views.labels().get(0)));
/// assert_ne!(first?.flatten_all()?.to_vec1::<f32>()?, second?.flatten_all()?.to_vec1::<f32>()?);
/// # Ok::<(), npair_evaluate::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ViewInputs {
    views: Arc<Views>,
    inputs: PictureInputs,
    streams: Streams,
}

impl ViewInputs {
    /// So many views of every picture of a data set; how evaluation sees the changed ones is drawn from `streams`.
    ///
    /// # Errors
    /// [`npair_data::Error::Setting`] for no view.
    pub fn new(pictures: Arc<dyn Dataset>, pipeline: Pipeline, (views, streams): (usize, Streams)) -> Result<Self> {
        let views = Arc::new(Views::new(pictures, views)?);
        Ok(Self { inputs: PictureInputs::new(views.clone(), pipeline), views, streams })
    }

    /// Examples as evaluation sees them, turned by some right angles.
    fn as_judged(&self, ids: &[ExampleId], quarter_turns: u32) -> Result<Tensor> {
        let is_changed = |id: &ExampleId| self.views.view(*id) > 0;
        let plain = View::Plain { quarter_turns };
        // The example alone tells its views apart: one number serves all of them.
        let changed = View::Augmented { quarter_turns, streams: self.streams, number: 0 };
        if !ids.iter().any(is_changed) {
            return self.inputs.load(ids, plain);
        }
        if ids.iter().all(is_changed) {
            return self.inputs.load(ids, changed);
        }
        let (later, first): (Vec<usize>, Vec<usize>) = (0..ids.len()).partition(|&row| is_changed(&ids[row]));
        let those = |rows: &[usize]| rows.iter().map(|&row| ids[row]).collect::<Vec<_>>();
        let loaded =
            Tensor::cat(&[self.inputs.load(&those(&first), plain)?, self.inputs.load(&those(&later), changed)?], 0)?;
        // The row of what was loaded that belongs to each place.
        let mut rows: Vec<(usize, u32)> = first.into_iter().chain(later).zip(0..).collect();
        rows.sort_unstable();
        let rows: Vec<u32> = rows.into_iter().map(|(_, row)| row).collect();
        Ok(loaded.index_select(&Tensor::new(rows, loaded.device())?, 0)?)
    }
}

impl Inputs for ViewInputs {
    fn labels(&self) -> &Labels {
        self.inputs.labels()
    }

    fn load(&self, ids: &[ExampleId], view: View) -> Result<Tensor> {
        match view {
            View::Plain { quarter_turns } => self.as_judged(ids, quarter_turns),
            other => self.inputs.load(ids, other),
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

    fn own_loader(&self, streams: Streams, threads: usize) -> Result<Option<Box<dyn Loader>>> {
        self.inputs.own_loader(streams, threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_data::{GlyphConfig, GlyphSet, PipelineConfig, Unlabeled};

    fn made() -> (PictureInputs, ViewInputs) {
        let config = GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() };
        let pictures: Arc<dyn Dataset> = Arc::new(Unlabeled::new(Arc::new(GlyphSet::new(config).unwrap())).unwrap());
        let pipeline = Pipeline::new(PipelineConfig::strokes(28)).unwrap();
        let views = ViewInputs::new(pictures.clone(), pipeline.clone(), (3, Streams::new(4))).unwrap();
        (PictureInputs::new(pictures, pipeline), views)
    }

    fn rows(t: &Tensor) -> Vec<Vec<f32>> {
        t.flatten_from(1).unwrap().to_vec2().unwrap()
    }

    /// Whatever stands beside it in a chunk, an example looks the same: the first view as the picture is, the others each in a way of
    /// their own.
    #[test]
    fn evaluation_sees_each_view_always_alike() {
        let (pictures, views) = made();
        let plain = rows(&pictures.load(&[0, 1, 2, 3, 4, 5].map(ExampleId), View::PLAIN).unwrap());
        let all: Vec<ExampleId> = (0..18).map(ExampleId).collect();
        let whole = rows(&views.load(&all, View::PLAIN).unwrap());
        for i in 0..18 {
            let alone = rows(&views.load(&[ExampleId(i)], View::PLAIN).unwrap());
            assert_eq!(alone[0], whole[i]);
            assert_eq!(whole[i] == plain[i / 3], i % 3 == 0, "{i}");
        }
        assert_ne!(whole[1], whole[2]);
        let mixed = [7, 0, 4, 3, 17].map(ExampleId);
        let want: Vec<_> = mixed.iter().map(|id| whole[id.0].clone()).collect();
        assert_eq!(rows(&views.load(&mixed, View::PLAIN).unwrap()), want);
    }

    #[test]
    fn training_changes_every_view_anew() {
        let (_, views) = made();
        let at = |batch: u64| {
            let view = View::Training { streams: Streams::new(1), batch, first_row: 0 };
            rows(&views.load(&[ExampleId(0), ExampleId(1)], view).unwrap())
        };
        assert_eq!(at(0), at(0));
        assert_ne!(at(0)[0], at(0)[1]);
        assert_ne!(at(0), at(1));
        let mut loader = views.own_loader(Streams::new(1), 1).unwrap().unwrap();
        loader.submit(0, 0, &[ExampleId(0), ExampleId(1)]);
        assert_eq!(rows(&loader.next().unwrap()), at(0));
    }
}
