use super::AugmentConfig;
use crate::{Error, Result};
use npair_types::ImageSize;
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

/// How a picture is scaled before `size` is cut out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Stretched to `size`; nothing is left to cut.
    #[default]
    Exact,
    /// The whole with its proportions kept, as large as fits into `size`; beside it stands the median colour of the picture's border.
    /// For things on a plain ground whose pictures have many shapes.
    Fit,
    /// Stretched to a square of this side.
    Square(u32),
    /// Shorter side to this length, proportions kept; of pictures longer than 8 : 1 the ends are cut off first. Where `size` is not a
    /// square, so that the picture covers a frame of its proportions with this shorter side.
    ShortSide(u32),
}

impl Resize {
    /// What a scaled picture is, or covers with its proportions kept.
    pub(crate) fn frame(self, size: ImageSize) -> ImageSize {
        match self {
            Self::Exact | Self::Fit => size,
            Self::Square(side) => side.into(),
            Self::ShortSide(side) => {
                let shorter = u64::from(size.shorter().max(1));
                size.map(|of| u32::try_from((u64::from(of) * u64::from(side)).div_ceil(shorter)).unwrap_or(u32::MAX))
            }
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

/// From picture to f32 (C, H, W): colours, scaling, cutting, and `(v - mean) / std` of brightness v in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Grey or RGB.
    pub channels: Channels,
    /// Height and width of the result in pixels, 1 to 4096: one number for a square, or `[height, width]`.
    pub size: ImageSize,
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

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            channels: Channels::Grey,
            size: ImageSize::square(28),
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

impl PipelineConfig {
    /// The same for another size, with the sides that pictures are scaled to in proportion.
    #[must_use]
    pub fn with_size(mut self, size: impl Into<ImageSize>) -> Self {
        let size = size.into();
        let scaled = |side: u32, old: u32, new: u32| {
            u32::try_from((u64::from(side) * u64::from(new)).div_ceil(u64::from(old.max(1)))).unwrap_or(u32::MAX)
        };
        self.resize = match self.resize {
            Resize::Exact | Resize::Fit => self.resize,
            Resize::Square(side) => Resize::Square(scaled(side, self.size.longer(), size.longer())),
            Resize::ShortSide(side) => Resize::ShortSide(scaled(side, self.size.shorter(), size.shorter())),
        };
        self.size = size;
        self
    }

    /// The same for other channels: of several means and deviations their mean for grey.
    #[must_use]
    pub fn with_channels(mut self, channels: Channels) -> Self {
        if channels == Channels::Grey && self.channels == Channels::Rgb {
            let mean = |values: &[f32]| vec![values.iter().sum::<f32>() / values.len().max(1) as f32];
            (self.mean, self.std) = (mean(&self.mean), mean(&self.std));
        }
        self.channels = channels;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        in_range("size", self.size.shorter() as f32, 1.0, 4096.0)?;
        in_range("size", self.size.longer() as f32, 1.0, 4096.0)?;
        in_range("supersample", self.supersample as f32, 1.0, 4.0)?;
        let (side, least) = match self.resize {
            Resize::Exact | Resize::Fit => (self.size.longer(), self.size.longer()),
            Resize::Square(side) => (side, self.size.longer()),
            Resize::ShortSide(side) => (side, self.size.shorter()),
        };
        if side < least || self.resize.frame(self.size).longer() > 8192 {
            let why = format!("it must be from size = {least} to 8192, or the cut does not fit");
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

/// NaN is in no range.
pub(crate) fn in_range(key: &str, value: f32, low: f32, high: f32) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::setting(key, value, format!("it must be from {low} to {high}")))
}
