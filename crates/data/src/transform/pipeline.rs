use super::elastic::Elastic;
use super::warp::{Change, Warp};
use super::{Fill, PipelineConfig, prepare::prepare};
use crate::{Error, Picture, Result};
use npair_types::ChaCha8Rng;

/// A checked [`PipelineConfig`], ready to turn pictures into f32 values (C, size, size).
///
/// Training and evaluation see the same picture but for the random change: with all of
/// [`AugmentConfig`](crate::AugmentConfig) at its defaults, [`augment`](Self::augment) gives the bits of
/// [`evaluate`](Self::evaluate).
///
/// ```
/// # use npair_data::{Picture, Pipeline, PipelineConfig};
/// let config = PipelineConfig { size: 1, invert: true, mean: vec![0.5], std: vec![0.25], ..Default::default() };
/// let pipeline = Pipeline::new(config)?;
/// let mut value = [0.0];
/// pipeline.evaluate(&Picture::new(2, 2, 1, vec![0; 4])?, &mut value)?;
/// assert_eq!(value, [2.0]); // ink: (1 - 0 - 0.5) / 0.25
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    config: PipelineConfig,
    /// For each channel the factor and the summand that turn 0..255 into the normalised value.
    scale: Vec<[f32; 2]>,
}

impl Pipeline {
    /// A pipeline from its settings.
    ///
    /// # Errors
    /// [`Error::Setting`] naming what is outside its range, not finite, or does not fit.
    pub fn new(config: PipelineConfig) -> Result<Self> {
        config.check()?;
        let of = |values: &[f32], c: usize| values[c.min(values.len() - 1)];
        let scale = (0..config.channels.count())
            .map(|c| {
                let (mean, std) = (of(&config.mean, c), of(&config.std, c));
                match config.invert {
                    // (1 - v - mean) / std
                    true => [-1.0 / (255.0 * std), (1.0 - mean) / std],
                    false => [1.0 / (255.0 * std), -mean / std],
                }
            })
            .collect();
        Ok(Self { config, scale })
    }

    /// The settings.
    pub fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// C, height and width of the result.
    pub fn shape(&self) -> [usize; 3] {
        let size = self.config.size as usize;
        [self.config.channels.count(), size, size]
    }

    /// Number of values of the result.
    pub fn num_values(&self) -> usize {
        self.shape().iter().product()
    }

    /// The part that does not depend on chance and stays in bytes: colours and scaling. Preparing a prepared picture
    /// gives it back, so pictures may be kept in this form.
    ///
    /// # Errors
    /// [`Error::Picture`] if scaling fails.
    pub fn prepare(&self, picture: &Picture) -> Result<Picture> {
        prepare(picture, &self.config)
    }

    /// What a network sees in evaluation: the middle, nothing random.
    ///
    /// # Shapes
    /// `out`: C * size * size values, channel by channel.
    ///
    /// # Errors
    /// [`Error::Picture`] if `out` has another length or scaling fails.
    pub fn evaluate(&self, picture: &Picture, out: &mut [f32]) -> Result<()> {
        self.expect_len(out)?;
        let picture = self.prepare(picture)?;
        let warp = Warp::middle(&picture, self.cut());
        self.write(&picture, warp, None, Fill::Edge, out);
        Ok(())
    }

    /// What a network sees in training: changed at random, as `rng` has it.
    ///
    /// # Shapes
    /// As for [`evaluate`](Self::evaluate).
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate).
    pub fn augment(&self, picture: &Picture, rng: &mut ChaCha8Rng, out: &mut [f32]) -> Result<()> {
        self.expect_len(out)?;
        let picture = self.prepare(picture)?;
        let augment = &self.config.augment;
        let warp = Warp::changed(&Change::random(augment, rng), &picture, self.cut());
        // Drawn last, so that all else is as it would be without it.
        let elastic = (augment.elastic > 0.0).then(|| Elastic::random(augment.elastic, self.cut(), rng));
        self.write(&picture, warp, elastic, augment.fill, out);
        Ok(())
    }

    /// Side of the part cut out of a prepared picture.
    fn cut(&self) -> u32 {
        self.config.size * self.config.supersample
    }

    fn expect_len(&self, out: &[f32]) -> Result<()> {
        if out.len() != self.num_values() {
            let why = format!("room for {} values was given, the pipeline makes {:?}", out.len(), self.shape());
            return Err(Error::Picture { why });
        }
        Ok(())
    }

    fn write(&self, picture: &Picture, warp: Warp, elastic: Option<Elastic>, fill: Fill, out: &mut [f32]) {
        let (size, k) = (self.config.size, self.config.supersample);
        let plane = size as usize * size as usize;
        let put = |channel: usize, pixel: usize, value: f32| {
            let [factor, summand] = self.scale[channel];
            out[channel * plane + pixel] = value * factor + summand;
        };
        match elastic {
            None => warp.sample(picture, fill, size, k, put),
            Some(elastic) => warp.bend(&elastic, picture, fill, size, k, put),
        }
    }
}
