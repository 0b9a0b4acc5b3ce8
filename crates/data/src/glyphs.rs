//! The built-in data set: made-up characters drawn by a made-up hand.

mod config;
mod hand;
mod render;
mod shape;

pub use config::GlyphConfig;

use crate::dataset::expect_example;
use crate::{Dataset, Error, Picture, Result};
use hand::Hand;
use npair_types::{ClassId, ExampleId, Labels, Purpose, Streams};
use shape::Shape;

/// Procedural glyphs: a class is two to five pen strokes, smooth curves through a few control points; an instance is
/// drawn by a hand that misses the control points a little, presses more or less, slants, turns, scales, shifts and
/// trembles. Dark ink (0) on white paper (255), one channel, anti-aliased.
///
/// A picture depends on nothing but (seed, class, instance) and the size, and is made with additions,
/// multiplications, divisions and square roots only, which IEEE 754 defines to the last bit: it is the same on every
/// platform. A set with more classes or instances holds the smaller set's pictures unchanged.
///
/// Class ids are `first_class..first_class + classes`; example `i` is instance `i % instances` of class
/// `first_class + i / instances`.
///
/// ```
/// # use npair_data::{Dataset, GlyphConfig, GlyphSet};
/// # use npair_types::ExampleId;
/// let glyphs = GlyphSet::new(GlyphConfig { classes: 100, instances: 10, ..GlyphConfig::default() })?;
/// assert_eq!(glyphs.len(), 1000);
/// assert_eq!(glyphs.describe(ExampleId(173)), "glyph 17 instance 3");
/// assert_eq!(glyphs.load(ExampleId(173))?.width(), 28);
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GlyphSet {
    config: GlyphConfig,
    name: String,
    labels: Labels,
    shapes: Vec<Shape>,
}

impl GlyphSet {
    /// The set of a configuration; makes the classes' strokes, but draws nothing yet.
    ///
    /// # Errors
    /// [`Error::Setting`] naming what is outside its range.
    pub fn new(config: GlyphConfig) -> Result<Self> {
        config.check()?;
        let streams = Streams::new(config.seed);
        let ids = config.first_class..config.first_class + config.classes;
        let labels = Labels::new(ids.clone().flat_map(|c| std::iter::repeat_n(c, config.instances as usize)))
            .map_err(|e| Error::setting("classes", config.classes, e.to_string()))?;
        let shapes = ids.map(|c| Shape::random(&mut streams.open(Purpose::Synthesis, [u64::from(c), 0]))).collect();
        let name = format!("glyphs (seed {})", config.seed);
        Ok(Self { config, name, labels, shapes })
    }

    /// The configuration it was made of.
    pub fn config(&self) -> GlyphConfig {
        self.config
    }

    fn place(&self, example: ExampleId) -> (u32, u32) {
        let instances = self.config.instances as usize;
        // Both fit: the configuration's check bounds the product by 2^31.
        (self.config.first_class + (example.0 / instances) as u32, (example.0 % instances) as u32)
    }
}

impl Dataset for GlyphSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        format!("glyph {class}")
    }

    fn describe(&self, example: ExampleId) -> String {
        let (class, instance) = self.place(example);
        format!("glyph {class} instance {instance}")
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.labels.len())?;
        let (class, instance) = self.place(example);
        let place = [u64::from(class), u64::from(instance) + 1];
        let mut rng = Streams::new(self.config.seed).open(Purpose::Synthesis, place);
        let shape = &self.shapes[(class - self.config.first_class) as usize];
        let strokes = Hand::random(&mut rng).write(shape, &mut rng);
        let size = self.config.size;
        Picture::new(size, size, 1, render::render(&strokes, size))
    }
}

#[cfg(test)]
mod tests;
