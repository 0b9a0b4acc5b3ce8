//! What scores of a trained model are held against: guessing, and pixels as they are.

use crate::{EvaluationConfig, Inputs, Metric, Result, RetrievalScores, Score, View};
use npair_data::{Channels, Dataset, Pipeline, PipelineConfig, Resize};
use npair_metrics::Embeddings;
use npair_types::{ClassIndex, ExampleId, Labels, Measure, Streams};
use rayon::prelude::*;
use serde::Serialize;

/// Sides of the pictures whose pixels are compared.
const SIDES: [u32; 3] = [8, 16, 64];
/// Most values of all pictures of a side: 1 GiB in f32.
const MOST_VALUES: usize = 1 << 28;
/// Pairs that the equal error rate is of.
const PAIRS: usize = 200_000;

/// Scores that a model's are held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// What it compares.
    pub name: String,
    /// `recall@1`, `R-precision` and `EER`.
    pub scores: Vec<Score>,
}

impl Baseline {
    /// Names of the scores that a baseline has.
    pub const SCORES: [&str; 3] = ["recall@1", "R-precision", "EER"];

    /// Most examples that scores are held against others on; of more, [a sample](crate::SampledInputs::whole_classes) stands for all:
    /// their pixels would not be in memory, and each comparison takes the square of their number.
    pub const MOST_EXAMPLES: usize = 1 << 16;

    /// The value of a score.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores.iter().find(|score| score.name == name).map(|score| score.value)
    }

    /// Guessing: the chance that a random other example is of the query's class, in the mean over the queries that have another of
    /// theirs. Recall@1 and R-precision of guessing are equal to it, an equal error rate is one half.
    pub fn chance(labels: &Labels) -> Self {
        let index = ClassIndex::from_labels(labels);
        let sizes = (0..index.len()).map(|place| index.examples(place).len()).filter(|&n| n > 1);
        let (mut queries, mut sum) = (0., 0.);
        for n in sizes {
            queries += n as f64;
            sum += n as f64 * (n as f64 - 1.) / (labels.len() as f64 - 1.);
        }
        let chance = if queries > 0. { sum / queries } else { 0. };
        let scores = [chance, chance, 0.5];
        let scores = Self::SCORES.iter().zip(scores).map(|(name, value)| Score::plain(*name, value)).collect();
        Self { name: "chance".to_owned(), scores }
    }

    /// Embeddings of any origin, compared by cosine.
    ///
    /// # Errors
    /// Those of judging.
    pub fn of_embeddings(name: impl Into<String>, set: &Embeddings, streams: Streams) -> Result<Self> {
        Self::by(Measure::Cosine, name, set, streams)
    }

    /// Embeddings of any origin, compared by any measure.
    ///
    /// # Errors
    /// Those of judging.
    pub fn by(measure: Measure, name: impl Into<String>, set: &Embeddings, streams: Streams) -> Result<Self> {
        let settings = EvaluationConfig {
            measure,
            recall_at: vec![1],
            vrf: Vec::new(),
            pairs: PAIRS,
            ..EvaluationConfig::default()
        };
        let found = RetrievalScores { settings, pairs_per_batch: 2, streams }.scores(set)?;
        let wanted = |score: &Score| Self::SCORES.contains(&score.name.as_str());
        Ok(Self { name: name.into(), scores: found.scores.into_iter().filter(wanted).collect() })
    }

    /// The pixels of some pictures of a data set, scaled to squares of several sizes, the mean of each picture taken off, compared by
    /// cosine: what a network has to beat to have learned anything. Sizes that would not fit in a GiB are left out.
    ///
    /// # Errors
    /// The first picture that cannot be read, and those of judging.
    pub fn pixels(
        pictures: &dyn Dataset,
        examples: &[ExampleId],
        channels: Channels,
        streams: Streams,
    ) -> Result<Vec<Self>> {
        let values = |side: u32| examples.len().saturating_mul((side * side) as usize * channels.count());
        let fitting = SIDES.into_iter().filter(|&side| values(side) <= MOST_VALUES);
        fitting
            .map(|side| {
                let rows = pixel_rows(pictures, examples, channels, side)?;
                Self::of_embeddings(format!("pixels {side} x {side}"), &rows, streams)
            })
            .collect()
    }
}

impl Baseline {
    /// The values that a network sees, the mean of each example's taken off, compared by cosine: for examples that are several views
    /// of one picture, whose own pixels are the same. None if they would not fit in a GiB.
    ///
    /// # Errors
    /// The first example that cannot be loaded, and those of judging.
    pub fn pixels_as_seen(inputs: &dyn Inputs, streams: Streams) -> Result<Option<Self>> {
        let ids: Vec<ExampleId> = (0..inputs.len()).map(ExampleId).collect();
        let (mut values, mut width) = (Vec::new(), 0);
        for chunk in ids.chunks(inputs.chunk().max(1)) {
            for mut row in inputs.load(chunk, View::PLAIN)?.flatten_from(1)?.to_vec2::<f32>()? {
                if width == 0 && row.len().saturating_mul(ids.len()) > MOST_VALUES {
                    return Ok(None);
                }
                width = row.len();
                take_mean_off(&mut row);
                values.extend(row);
            }
        }
        let rows = Embeddings::owned(values, width, inputs.labels().clone())?;
        Self::of_embeddings("pixels as seen", &rows, streams).map(Some)
    }
}

fn take_mean_off(row: &mut [f32]) {
    let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len().max(1) as f64;
    row.iter_mut().for_each(|v| *v -= mean as f32);
}

/// A row of pixels for every picture, whose mean is 0.
fn pixel_rows(pictures: &dyn Dataset, examples: &[ExampleId], channels: Channels, side: u32) -> Result<Embeddings> {
    let config = PipelineConfig { channels, size: side.into(), resize: Resize::Exact, ..PipelineConfig::default() };
    let pipeline = Pipeline::new(config)?;
    let width = pipeline.num_values();
    let mut values = vec![0f32; width * examples.len()];
    values.par_chunks_mut(width).zip(examples).try_for_each(|(row, &example)| -> Result<()> {
        pipeline.evaluate(&pictures.load(example)?, row)?;
        take_mean_off(row);
        Ok(())
    })?;
    let labels = Labels::from_ids(examples.iter().map(|example| pictures.labels().get(example.0)).collect())?;
    Ok(Embeddings::owned(values, width, labels)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use npair_data::{GlyphConfig, GlyphSet};

    #[test]
    fn guessing_is_counted_and_pixels_are_better() {
        let labels = Labels::new([0, 0, 1, 1, 1, 2]).unwrap();
        // Two queries with one of five others, three with two of five; the last has none.
        let want = (2. * 0.2 + 3. * 0.4) / 5.;
        let chance = Baseline::chance(&labels);
        assert!((chance.get("recall@1").unwrap() - want).abs() < 1e-12);
        assert_eq!(chance.get("EER"), Some(0.5));
        let glyphs = GlyphSet::new(GlyphConfig { classes: 12, instances: 6, ..Default::default() }).unwrap();
        let chance = Baseline::chance(glyphs.labels()).get("recall@1").unwrap();
        let all: Vec<ExampleId> = (0..glyphs.len()).map(ExampleId).collect();
        let pixels = Baseline::pixels(&glyphs, &all, Channels::Grey, Streams::new(1)).unwrap();
        assert_eq!(
            pixels.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(),
            ["pixels 8 x 8", "pixels 16 x 16", "pixels 64 x 64"]
        );
        pixels.iter().for_each(|baseline| {
            assert_eq!(baseline.scores.len(), 3, "{baseline:?}");
            assert!(baseline.get("recall@1").unwrap() > 2. * chance, "{baseline:?}");
        });
        let half = Baseline::pixels(&glyphs, &all[..36], Channels::Grey, Streams::new(1)).unwrap();
        assert!(half.iter().zip(&pixels).any(|(half, whole)| half.scores != whole.scores));
    }
}
