use super::canvas::Canvas;
use super::elastic::Elastic;
use super::looks::{Looks, happens};
use super::prepare::{fit, prepare, scale};
use super::rectangle::Rectangle;
use super::warp::{Change, Warp};
use super::{AugmentConfig, Fill, PipelineConfig};
use crate::{Error, Picture, Result};
use npair_types::{ChaCha8Rng, ImageSize};

/// A checked [`PipelineConfig`], ready to turn pictures into f32 values (C, H, W).
///
/// Training and evaluation see the same picture but for the random change: with all of
/// [`AugmentConfig`](crate::AugmentConfig) at its defaults, [`augment`](Self::augment) gives the bits of
/// [`evaluate`](Self::evaluate).
///
/// ```
/// # use npair_data::{Picture, Pipeline, PipelineConfig};
/// let config = PipelineConfig { size: 1.into(), invert: true, mean: vec![0.5], std: vec![0.25], ..Default::default() };
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
        let [height, width] = self.config.size.dims();
        [self.config.channels.count(), height, width]
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
    /// `out`: C H W values, channel by channel.
    ///
    /// # Errors
    /// [`Error::Picture`] if `out` has another length or scaling fails.
    pub fn evaluate(&self, picture: &Picture, out: &mut [f32]) -> Result<()> {
        self.expect_len(out)?;
        let picture = fit(&self.prepare(picture)?, &self.config)?;
        self.sample(&picture, Warp::middle(&picture, self.cut()), None, Fill::Edge, out);
        self.normalize(out);
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
        let (augment, cut) = (&self.config.augment, self.cut());
        let mut change = Change::random(augment, rng);
        // Each drawn only where it is on, after all that was there before it, so that all else is as it would be without it.
        let elastic = (augment.elastic > 0.0).then(|| Elastic::random(augment.elastic, cut, rng));
        let crop = augment.resized_crop.map(|area| Rectangle::random(area, rng));
        change.upside_down = happens(augment.flip_vertical, rng);
        let looks = Looks::random(augment, rng);

        let picture = self.prepare(picture)?;
        let picture = match crop {
            Some(crop) => {
                let proportion = f64::from(cut.width) / f64::from(cut.height);
                let aspect = AugmentConfig::CROP_ASPECT.map(|aspect| aspect * proportion);
                let part = crop.within(picture.width(), picture.height(), aspect);
                scale(&picture, part, [cut.width, cut.height], self.config.filter)?
            }
            None => fit(&picture, &self.config)?,
        };
        self.sample(&picture, Warp::changed(&change, &picture, cut), elastic, augment.fill, out);
        let size = self.config.size;
        looks.apply(&mut Canvas::new(out, size), augment.fill);
        self.normalize(out);
        looks.erase(&mut Canvas::new(out, size));
        Ok(())
    }

    /// Size of the part cut out of a prepared picture.
    fn cut(&self) -> ImageSize {
        self.config.size.map(|side| side * self.config.supersample)
    }

    fn expect_len(&self, out: &[f32]) -> Result<()> {
        if out.len() != self.num_values() {
            let why = format!("room for {} values was given, the pipeline makes {:?}", out.len(), self.shape());
            return Err(Error::Picture { why });
        }
        Ok(())
    }

    /// Channel values from 0 to 255.
    fn sample(&self, picture: &Picture, warp: Warp, elastic: Option<Elastic>, fill: Fill, out: &mut [f32]) {
        let (size, k) = (self.config.size, self.config.supersample);
        if elastic.is_none() && k == 1 && warp.copy(picture, size, out) {
            return;
        }
        let plane = size.area() as usize;
        let put = |channel: usize, pixel: usize, value: f32| out[channel * plane + pixel] = value;
        match elastic {
            None => warp.sample(picture, fill, (size, k), put),
            Some(elastic) => warp.bend(&elastic, picture, fill, (size, k), put),
        }
    }

    fn normalize(&self, out: &mut [f32]) {
        let plane = out.len() / self.scale.len();
        for (values, [factor, summand]) in out.chunks_exact_mut(plane).zip(&self.scale) {
            values.iter_mut().for_each(|value| *value = *value * factor + summand);
        }
    }
}
