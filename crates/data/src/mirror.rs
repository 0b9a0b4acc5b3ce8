//! Whether a picture and its mirror image are of one class.

use crate::draw::shuffle;
use crate::{Channels, Dataset, Error, Pipeline, PipelineConfig, Result, load_batch};
use npair_types::{ChaCha8Rng, ClassId, ExampleId};
use rayon::prelude::*;

/// Side of the small pictures that are compared.
const SMALL: usize = 16;
/// Pictures of a class, where the sample has room for so many.
const OF_A_CLASS: usize = 4;
/// What has to be kept of the recognition for flips to count as harmless.
const ENOUGH: f64 = 0.7;
/// Standard errors that a verdict has to be clear by.
const CLEAR: f64 = 1.0;

/// How well small pictures are recognised by their nearest neighbour, as they are and mirrored left and right: what
/// [`mirror_symmetry`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MirrorSymmetry {
    /// Pictures compared, each with all others.
    pub pictures: usize,
    /// Share of the pictures whose nearest other one is of their class.
    pub plain: f64,
    /// Share of the pictures whose mirror image's nearest other one is of their class.
    pub mirrored: f64,
    /// The share that guessing gives.
    pub chance: f64,
    /// Share of the pictures that are recognised in one way and not in the other.
    pub different: f64,
}

impl MirrorSymmetry {
    /// How much of the recognition beyond chance is left in the mirror, and its standard error; None if too little is
    /// recognised by pixels to tell.
    ///
    /// ```text
    /// kept = (mirrored - chance) / (plain - chance)
    /// ```
    /// 1 where pictures and their mirror images are equally typical of the class, 0 where mirror images look like any class,
    /// less where they look like a certain other one (b and d).
    pub fn kept(&self) -> Option<(f64, f64)> {
        let (n, above) = (self.pictures as f64, self.plain - self.chance);
        if above <= 4.0 * (self.plain * (1.0 - self.plain) / n).sqrt() || above < 0.01 {
            return None;
        }
        // Both shares are of the same pictures: only those that count once and not twice make the difference uncertain.
        Some(((self.mirrored - self.chance) / above, (self.different / n).sqrt() / above))
    }

    /// Whether [`flip`](crate::AugmentConfig::flip) leaves classes as they are: whether what is [kept](Self::kept) is more
    /// than 0.7, by more than its standard error. None if that is not clear.
    pub fn keeps_classes(&self) -> Option<bool> {
        let (kept, error) = self.kept()?;
        ((kept - ENOUGH).abs() > CLEAR * error).then_some(kept > ENOUGH)
    }
}

/// Looks whether mirroring pictures left and right changes their class, on about `sample` pictures (at least 4; 500 to 2,000 are
/// good) of a data set: up to four of each class, of classes that have two at least, or more where there are few classes.
///
/// Pictures are compared in colour at 16 x 16 by the cosine of their pixels less their mean. The nearest other picture of a
/// picture and that of its mirror image are looked up among the same pictures, so that both find their class equally often
/// exactly if it holds both alike. Letters and characters fail that; faces, products and birds pass. It is a cautious test: of
/// cars that were all photographed from one side it says no, though nothing would be wrong with flipping them.
///
/// Takes the time of loading the sample and about 1,500 multiplications for each pair of it.
///
/// # Errors
/// [`Error::Setting`] if `sample` is below 4, [`Error::Dataset`] if fewer than two classes have two pictures, and those of
/// loading.
///
/// # Examples
/// ```
/// # use npair_data::{GlyphConfig, GlyphSet, mirror_symmetry};
/// # use npair_types::{Purpose, Streams};
/// let glyphs = GlyphSet::new(GlyphConfig { classes: 60, instances: 4, ..GlyphConfig::default() })?;
/// let found = mirror_symmetry(&glyphs, 240, &mut Streams::new(1).open(Purpose::Evaluation, [0, 0]))?;
/// assert_eq!(found.keeps_classes(), Some(false)); // the mirror image of a character is another one
/// # Ok::<(), npair_data::Error>(())
/// ```
pub fn mirror_symmetry(dataset: &dyn Dataset, sample: usize, rng: &mut ChaCha8Rng) -> Result<MirrorSymmetry> {
    if sample < 4 {
        return Err(Error::setting("sample", sample, "at least 4 pictures are needed: two classes of two"));
    }
    let (ids, classes) = chosen(dataset, sample, rng)?;
    let config = PipelineConfig { channels: Channels::Rgb, size: (SMALL as u32).into(), ..PipelineConfig::default() };
    let batch = load_batch(dataset, &Pipeline::new(config)?, &ids)?;
    let plain: Vec<Vec<f32>> = batch.pixels.chunks_exact(3 * SMALL * SMALL).map(centred).collect();
    let right: Vec<[bool; 2]> = (0..plain.len())
        .into_par_iter()
        .map(|i| {
            let of = |query: &[f32]| classes[nearest(query, &plain, i)] == classes[i];
            [of(&plain[i]), of(&mirrored(&plain[i]))]
        })
        .collect();

    let n = ids.len() as f64;
    let share = |of: &dyn Fn(&[bool; 2]) -> bool| right.iter().filter(|right| of(right)).count() as f64 / n;
    let own: usize = classes.chunk_by(|a, b| a == b).map(|class| class.len() * (class.len() - 1)).sum();
    Ok(MirrorSymmetry {
        pictures: ids.len(),
        plain: share(&|right| right[0]),
        mirrored: share(&|right| right[1]),
        chance: own as f64 / (n * (n - 1.0)),
        different: share(&|right| right[0] != right[1]),
    })
}

/// Examples of classes drawn, class by class, and their classes.
fn chosen(dataset: &dyn Dataset, sample: usize, rng: &mut ChaCha8Rng) -> Result<(Vec<ExampleId>, Vec<ClassId>)> {
    let index = dataset.class_index();
    let mut places: Vec<usize> = (0..index.len()).filter(|&place| index.examples(place).len() >= 2).collect();
    if places.len() < 2 {
        let cure = "give a data set with more pictures of a class";
        return Err(Error::dataset(dataset.name(), "has fewer than two classes of two pictures", cure));
    }
    shuffle(rng, &mut places);
    let each = (sample / places.len()).max(OF_A_CLASS.min(sample / 2));
    places.truncate((sample / each).max(2));
    let (mut ids, mut classes) = (Vec::new(), Vec::new());
    for place in places {
        let mut examples = index.examples(place).to_vec();
        shuffle(rng, &mut examples);
        examples.truncate(each);
        classes.extend(examples.iter().map(|_| index.classes()[place]));
        ids.extend(examples);
    }
    Ok((ids, classes))
}

/// Without their mean and of length 1; a picture of one colour is all 0.
fn centred(values: &[f32]) -> Vec<f32> {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    let values: Vec<f32> = values.iter().map(|v| v - mean).collect();
    let length = dot(&values, &values).sqrt();
    values.iter().map(|v| if length > 1e-6 { v / length } else { 0.0 }).collect()
}

fn mirrored(values: &[f32]) -> Vec<f32> {
    values.chunks_exact(SMALL).flat_map(|row| row.iter().rev().copied()).collect()
}

/// The picture that is nearest to `query`, but for picture `own`; the first of several.
fn nearest(query: &[f32], pictures: &[Vec<f32>], own: usize) -> usize {
    let mut best = (f32::NEG_INFINITY, own);
    for (i, picture) in pictures.iter().enumerate().filter(|(i, _)| *i != own) {
        let likeness = dot(query, picture);
        if likeness > best.0 {
            best = (likeness, i);
        }
    }
    best.1
}

/// Sixteen sums side by side, so that the order of adding is fixed and the compiler may use vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    for (a, b) in a.chunks_exact(16).zip(b.chunks_exact(16)) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests;
