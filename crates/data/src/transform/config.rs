use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Colours that a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel; colours are turned into luma.
    #[default]
    Grey,
    /// Three channels; grey is repeated.
    Rgb,
}

impl Channels {
    /// 1 or 3.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// How a picture is scaled before `size` x `size` pixels are cut out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Stretched to `size` x `size`; nothing is left to cut.
    #[default]
    Exact,
    /// Stretched to a square of this side.
    Square(u32),
    /// Shorter side to this length, proportions kept; of pictures longer than 8 : 1 the ends are cut off first.
    ShortSide(u32),
}

impl Resize {
    /// The shorter side after scaling.
    pub(crate) fn side(self, size: u32) -> u32 {
        match self {
            Self::Exact => size,
            Self::Square(side) | Self::ShortSide(side) => side,
        }
    }
}

/// Kernel of the scaling; when scaling down each is widened so that nothing aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Plain mean of what falls into a pixel.
    Box,
    /// Triangle.
    #[default]
    Bilinear,
    /// Cubic, a little sharper.
    CatmullRom,
    /// Windowed sinc, the sharpest; rings at hard edges.
    Lanczos3,
}

/// What stands beyond the border of a picture that was turned or shifted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// The nearest pixel of the border.
    #[default]
    Edge,
    /// This brightness: 0 black, 1 white, as in the file (before [`PipelineConfig::invert`]).
    Value(f32),
}

/// From picture to f32 (C, size, size): colours, scaling, cutting, and `(v - mean) / std` of brightness v in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Grey or RGB.
    pub channels: Channels,
    /// Height and width of the result in pixels, 1 to 4096.
    pub size: u32,
    /// Scaling before the cut.
    pub resize: Resize,
    /// Kernel of the scaling.
    pub filter: Filter,
    /// Samples per pixel and axis, 1 to 4: pictures are kept this many times larger, and every pixel of the result is
    /// the mean of `supersample` x `supersample` samples. 2 keeps thin strokes sharp when they are turned, if the files
    /// hold them finer than `size` (a glyph set of twice the size, say).
    pub supersample: u32,
    /// Takes `1 - v` first, so that dark ink on white paper becomes 1 on 0.
    pub invert: bool,
    /// What is subtracted, of `[0, 1]` after inverting: one value for all channels, or one for each.
    pub mean: Vec<f32>,
    /// What is divided by: one value for all channels, or one for each; from 1e-3 to 1e3.
    pub std: Vec<f32>,
    /// Random changes while training; none by default.
    pub augment: AugmentConfig,
}

/// Random changes of a picture in training, each drawn uniformly and independently for every picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Largest turn to either side, degrees, 0 to 180.
    pub rotate: f32,
    /// Smallest and largest scale, 0.1 to 10.
    pub scale: [f32; 2],
    /// Largest slant to either side, degrees, 0 to 60.
    pub shear: f32,
    /// Largest shift along either axis as a part of `size`, 0 to 1.
    pub shift: f32,
    /// Largest smooth shift of a part of the picture against the others, along either axis, as a part of `size`, 0 to 0.5.
    pub elastic: f32,
    /// Cuts out at a random place instead of the middle, where [`Resize`] leaves something to cut.
    pub crop: bool,
    /// Probability of mirroring left and right, 0 to 1.
    pub flip: f32,
    /// What stands beyond the border.
    pub fill: Fill,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            channels: Channels::Grey,
            size: 28,
            resize: Resize::Exact,
            filter: Filter::Bilinear,
            supersample: 1,
            invert: false,
            mean: vec![0.0],
            std: vec![1.0],
            augment: AugmentConfig::default(),
        }
    }
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            rotate: 0.0,
            scale: [1.0, 1.0],
            shear: 0.0,
            shift: 0.0,
            elastic: 0.0,
            crop: false,
            flip: 0.0,
            fill: Fill::Edge,
        }
    }
}

impl PipelineConfig {
    /// For dark pen strokes on white paper (Omniglot, the glyph set): ink is 1, paper 0; small turns, scalings, slants
    /// and shifts in training.
    pub fn strokes(size: u32) -> Self {
        let augment = AugmentConfig {
            rotate: 10.0,
            scale: [0.85, 1.15],
            shear: 8.0,
            shift: 0.08,
            fill: Fill::Value(1.0),
            ..AugmentConfig::default()
        };
        Self { size, supersample: 2, invert: true, augment, ..Self::default() }
    }

    /// For colour photographs: shorter side to 8/7 of `size`, cut out at random and mirrored in training; mean and
    /// deviation are those of ImageNet, as most pretrained weights expect.
    pub fn photos(size: u32) -> Self {
        Self {
            channels: Channels::Rgb,
            size,
            resize: Resize::ShortSide(size.saturating_mul(8).div_ceil(7)),
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            augment: AugmentConfig { crop: true, flip: 0.5, ..AugmentConfig::default() },
            ..Self::default()
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        in_range("size", self.size as f32, 1.0, 4096.0)?;
        in_range("supersample", self.supersample as f32, 1.0, 4.0)?;
        let side = self.resize.side(self.size);
        if side < self.size || side > 8192 {
            let why = format!("it must be from size = {} to 8192, or the cut does not fit", self.size);
            return Err(Error::setting("resize", side, why));
        }
        let channels = self.channels.count();
        for (key, values, low, high) in [("mean", &self.mean, -1e3, 1e3), ("std", &self.std, 1e-3, 1e3)] {
            if values.len() != 1 && values.len() != channels {
                let why = format!("give 1 value, or {channels} for {channels} channels");
                return Err(Error::setting(key, format!("{values:?}"), why));
            }
            for &value in values {
                in_range(key, value, low, high)?;
            }
        }
        self.augment.check()
    }
}

impl AugmentConfig {
    fn check(&self) -> Result<()> {
        in_range("augment.rotate", self.rotate, 0.0, 180.0)?;
        in_range("augment.shear", self.shear, 0.0, 60.0)?;
        in_range("augment.shift", self.shift, 0.0, 1.0)?;
        in_range("augment.elastic", self.elastic, 0.0, 0.5)?;
        in_range("augment.flip", self.flip, 0.0, 1.0)?;
        for scale in self.scale {
            in_range("augment.scale", scale, 0.1, 10.0)?;
        }
        if self.scale[0] > self.scale[1] {
            return Err(Error::setting("augment.scale", format!("{:?}", self.scale), "the smaller one comes first"));
        }
        match self.fill {
            Fill::Value(value) => in_range("augment.fill", value, 0.0, 1.0),
            Fill::Edge => Ok(()),
        }
    }
}

/// NaN is in no range.
fn in_range(key: &str, value: f32, low: f32, high: f32) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::setting(key, value, format!("it must be from {low} to {high}")))
}
