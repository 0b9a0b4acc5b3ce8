//! What is known of a data set before anything is chosen for it.

use npair_data::{Dataset, Picture, mirror_symmetry};
use npair_types::{ExampleId, Purpose, Streams};
use rayon::prelude::*;
use serde::Serialize;

/// Most pictures that are decoded to see what kind they are of.
const LOOKED_AT: usize = 256;
/// Pictures that are compared with mirror images.
const MIRRORED: usize = 1000;
/// Levels that a border's pixel may be from the border's median and still be background.
const NEAR: u8 = 16;
/// So much of a border has to be background for a picture to stand on a plain ground.
const PLAIN: f64 = 0.8;
/// Pictures have one shape if so many of them have about the same proportions.
const OF_ONE_SHAPE: f64 = 0.8;
/// Proportions are about the same if they differ by this factor at most: a picture squeezed by more shows something else.
const SAME_SHAPE: f64 = 1.2;
/// So many of the pictures decide what kind they are of.
const MOST: f64 = 0.7;

/// What a data set is like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Number of examples.
    pub examples: usize,
    /// Number of classes.
    pub classes: usize,
    /// Examples of the smallest, the median and the largest class.
    pub per_class: [usize; 3],
    /// None where no picture can be decoded.
    pub pictures: Option<PictureFacts>,
}

/// What pictures are like, by some of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PictureFacts {
    /// How many were looked at.
    pub looked_at: usize,
    /// Median width in pixels.
    pub width: u32,
    /// Median height in pixels.
    pub height: u32,
    /// Their proportions.
    pub shape: PictureShape,
    /// Whether no picture has a colour.
    pub grey: bool,
    /// What they show.
    pub kind: PictureKind,
    /// Whether a picture and its mirror image are of one class, by the pixels of some; none where that is not clear.
    pub mirrored: Option<bool>,
}

impl PictureFacts {
    /// The shorter of the median sides.
    pub fn short_side(&self) -> u32 {
        self.width.min(self.height)
    }
}

/// The proportions of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureShape {
    /// Nearly all are about as high as wide.
    Square,
    /// Nearly all have about this width over height.
    Oblong(f64),
    /// They differ.
    Mixed,
}

impl PictureShape {
    /// Of widths over heights, at least one.
    fn of(mut shapes: Vec<f64>) -> Option<Self> {
        shapes.sort_unstable_by(f64::total_cmp);
        let middle = shapes.get(shapes.len() / 2).copied()?;
        let near = |to: f64| {
            let alike = shapes.iter().filter(|&&shape| (shape / to).max(to / shape) <= SAME_SHAPE).count();
            alike as f64 >= OF_ONE_SHAPE * shapes.len() as f64
        };
        Some(match () {
            () if near(1.) => Self::Square,
            () if near(middle) => Self::Oblong(middle),
            () => Self::Mixed,
        })
    }
}

/// Kinds of pictures that are learned from in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PictureKind {
    /// Grey strokes of one tone on a plain ground of another: writing, symbols.
    Strokes {
        /// The ground is darker than the strokes.
        on_dark: bool,
    },
    /// One thing on a plain ground: drawings, icons, products cut free.
    PlainGround,
    /// Anything else: photographs.
    Photographs,
}

impl Facts {
    /// Counts the examples of a set of pictures, and decodes some. What cannot be decoded is passed over here.
    pub fn of(data: &dyn Dataset) -> Self {
        let index = data.class_index();
        let mut sizes: Vec<usize> = (0..index.len()).map(|place| index.examples(place).len()).collect();
        sizes.sort_unstable();
        let at = |part: usize| sizes.get((sizes.len().saturating_sub(1)) * part / 2).copied().unwrap_or(0);
        Self {
            examples: data.len(),
            classes: sizes.len(),
            per_class: [at(0), at(1), at(2)],
            pictures: PictureFacts::of(data),
        }
    }
}

impl PictureFacts {
    fn of(data: &dyn Dataset) -> Option<Self> {
        let every = data.len().div_ceil(LOOKED_AT).max(1);
        let some: Vec<usize> = (0..data.len()).step_by(every).collect();
        let seen: Vec<Look> = some
            .into_par_iter()
            .filter_map(|i| data.load(ExampleId(i)).ok())
            .map(|picture| Look::at(&picture))
            .collect();
        let share = |of: &dyn Fn(&Look) -> bool| seen.iter().filter(|look| of(look)).count() as f64 / seen.len() as f64;
        let median = |of: &dyn Fn(&Look) -> u32| {
            let mut sides: Vec<u32> = seen.iter().map(of).collect();
            sides.sort_unstable();
            sides.get(sides.len() / 2).copied()
        };
        let (width, height) = (median(&|look| look.width)?, median(&|look| look.height)?);
        let shape = PictureShape::of(seen.iter().map(Look::shape).collect())?;
        let grey = seen.iter().all(|look| look.grey);
        let strokes = share(&|look| look.grey && look.strokes.is_some());
        let kind = if strokes >= MOST {
            PictureKind::Strokes { on_dark: share(&|look| look.strokes == Some(true)) > strokes / 2. }
        } else if share(&|look| look.plain) >= MOST {
            PictureKind::PlainGround
        } else {
            PictureKind::Photographs
        };
        // What cannot be decoded is said elsewhere; here it leaves the question open.
        let mut rng = Streams::new(0).open(Purpose::Split, [u64::MAX, 0]);
        let mirrored = match kind {
            PictureKind::Strokes { .. } => Some(false),
            _ => mirror_symmetry(data, MIRRORED, &mut rng).ok().and_then(|found| found.keeps_classes()),
        };
        Some(Self { looked_at: seen.len(), width, height, shape, grey, kind, mirrored })
    }
}

/// What one picture is like.
struct Look {
    width: u32,
    height: u32,
    grey: bool,
    /// It stands on a plain ground.
    plain: bool,
    /// Strokes of one tone on a plain ground; whether that is the darker one.
    strokes: Option<bool>,
}

impl Look {
    /// Width over height.
    fn shape(&self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }

    fn at(picture: &Picture) -> Self {
        let grey = picture.channels() == 1 || picture.pixels().chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        let levels = picture.to_grey();
        let (width, height) = (levels.width(), levels.height());
        let mut border: Vec<u8> = Vec::new();
        for x in 0..width {
            border.extend([levels.pixel(x, 0)[0], levels.pixel(x, height - 1)[0]]);
        }
        for y in 0..height {
            border.extend([levels.pixel(0, y)[0], levels.pixel(width - 1, y)[0]]);
        }
        border.sort_unstable();
        let ground = border[border.len() / 2];
        let like_ground = border.iter().filter(|&&level| level.abs_diff(ground) <= NEAR).count();
        let plain = like_ground as f64 >= PLAIN * border.len() as f64;
        Self {
            width,
            height,
            grey,
            plain,
            strokes: (plain && grey).then(|| strokes(levels.pixels(), ground)).flatten(),
        }
    }
}

/// Whether a picture's levels are those of strokes on a ground, and whether the ground is dark: nearly all are close to the ground or
/// to the other end, and the ground is most of the picture.
fn strokes(levels: &[u8], ground: u8) -> Option<bool> {
    let on_dark = ground < 128;
    let other = if on_dark { 255 } else { 0 };
    let near = |level: u8, end: u8, by: u8| level.abs_diff(end) <= by;
    let count = |of: &dyn Fn(u8) -> bool| levels.iter().filter(|&&level| of(level)).count() as f64;
    let all = levels.len() as f64;
    let ground_share = count(&|level| near(level, ground, 48)) / all;
    let ink_share = count(&|level| near(level, other, 96)) / all;
    (ground_share > 0.4 && ink_share > 0.005 && ground_share + ink_share > 0.85).then_some(on_dark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(level: impl Fn(u32, u32) -> [u8; 3]) -> Look {
        let pixels: Vec<u8> =
            (0..32).flat_map(|y| (0..32).map(move |x| (x, y))).flat_map(|(x, y)| level(x, y)).collect();
        Look::at(&Picture::new(32, 32, 3, pixels).unwrap())
    }

    #[test]
    fn shapes_are_those_of_nearly_all() {
        let of = |shapes: &[f64]| PictureShape::of(shapes.to_vec());
        assert_eq!(of(&[1., 1.1, 0.9, 1.15, 3.]), Some(PictureShape::Square));
        assert_eq!(of(&[0.5, 0.45, 0.5, 0.55, 1.]), Some(PictureShape::Oblong(0.5)));
        assert_eq!(of(&[0.5, 1., 2., 1., 0.7]), Some(PictureShape::Mixed));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn kinds_of_pictures_are_told_apart() {
        let inside = |x: u32, y: u32| (10..14).contains(&x) && (4..28).contains(&y);
        let ink = of(|x, y| if inside(x, y) { [0; 3] } else { [255; 3] });
        assert_eq!((ink.grey, ink.plain, ink.strokes), (true, true, Some(false)));
        let chalk = of(|x, y| if inside(x, y) { [250; 3] } else { [9; 3] });
        assert_eq!(chalk.strokes, Some(true));
        let drawing = of(|x, y| if inside(x, y) { [200, 30, 30] } else { [255; 3] });
        assert_eq!((drawing.grey, drawing.plain, drawing.strokes), (false, true, None));
        let shades =
            of(|x, y| if (4..28).contains(&x) && (4..28).contains(&y) { [(x * 8) as u8; 3] } else { [255; 3] });
        assert_eq!((shades.grey, shades.plain, shades.strokes), (true, true, None));
        let photo = of(|x, y| [(x * 8) as u8, (y * 8) as u8, ((x * y) % 256) as u8]);
        assert_eq!((photo.grey, photo.plain), (false, false));
    }
}
