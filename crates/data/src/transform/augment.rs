use super::config::in_range;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What stands beyond the border of a picture that was turned or shifted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// The nearest pixel of the border.
    #[default]
    Edge,
    /// This brightness: 0 black, 1 white, as in the file (before [`PipelineConfig::invert`](crate::PipelineConfig::invert)).
    Value(f32),
}

/// Random changes of a picture in training, each drawn uniformly and independently for every picture. All are off by default.
///
/// They are done in the order in which they stand here, but that [`resized_crop`](Self::resized_crop) comes first and both
/// flips come before [`rand_augment`](Self::rand_augment); from there on they work on the pixels of the result. What is off
/// draws no random numbers, and what came later in the history of this crate draws after what was there before, so that
/// turning one on leaves all that is drawn before it as it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Largest turn to either side, degrees, 0 to 180.
    pub rotate: f32,
    /// Smallest and largest scale, 0.1 to 10.
    pub scale: [f32; 2],
    /// Largest slant to either side, degrees, 0 to 60.
    pub shear: f32,
    /// Largest shift along either axis as a part of the result's side, 0 to 1.
    pub shift: f32,
    /// Largest smooth shift of a part of the picture against the others, along either axis, as a part of the result's side, 0 to 0.5.
    pub elastic: f32,
    /// Cuts out at a random place instead of the middle, where [`Resize`](crate::Resize) leaves something to cut.
    pub crop: bool,
    /// Probability of mirroring left and right, 0 to 1.
    pub flip: f32,
    /// What stands beyond the border.
    pub fill: Fill,
    /// Random resized crop: a rectangle of this smallest to largest part of the picture's area (0.01 to 1), width over height
    /// from 3/4 to 4/3 of that of the result, is scaled to the result's size in place of scaling the whole and [`crop`](Self::crop).
    /// 0.08 to 1 is usual for training on ImageNet from the beginning (Szegedy et al., CVPR 2015).
    ///
    /// Pictures larger than the smallest rectangle needs are scaled down first, in evaluation too, so that
    /// [`Cached`](crate::Cached) can keep them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resized_crop: Option<[f32; 2]>,
    /// Probability of mirroring top and bottom, 0 to 1.
    pub flip_vertical: f32,
    /// Some operations of a fixed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
    /// Colour jitter: brightness is multiplied by 1 - this to 1 + this, 0 to 1. This and the next three are done in random
    /// order.
    pub brightness: f32,
    /// Colour jitter: distances from the picture's mean luma are multiplied by 1 - this to 1 + this, 0 to 1.
    pub contrast: f32,
    /// Colour jitter: distances from each pixel's luma are multiplied by 1 - this to 1 + this, 0 to 1. Grey pictures stay.
    pub saturation: f32,
    /// Colour jitter: the hue is turned by this part of the circle to either side at most, 0 to 0.5. Grey pictures stay.
    pub hue: f32,
    /// Probability of taking all colours out, 0 to 1; the number of channels stays.
    pub grayscale: f32,
    /// Probability of a Gaussian blur, 0 to 1.
    pub blur: f32,
    /// Smallest and largest deviation of the blur in pixels of the result, 0.01 to 64.
    pub blur_sigma: [f32; 2],
    /// Probability of erasing a rectangle, 0 to 1: 2 % to 33 % of the area, width over height from 0.3 to 3.3, set to the mean
    /// (0 after normalising). Zhong et al., AAAI 2020.
    pub erasing: f32,
}

/// RandAugment: a number of operations of a fixed list, each drawn anew with equal chances, all of one magnitude.
///
/// | operation | at magnitude m of 30 |
/// |---|---|
/// | identity, auto-contrast, equalize | the same at all |
/// | rotate | m / 30 of 30 degrees, to either side |
/// | shear x, shear y | m / 30 of 0.3, to either side |
/// | translate x, translate y | m / 30 of 150/331 of the side, to either side |
/// | colour, contrast, brightness, sharpness | by the factor 1 - 0.9 m / 30 or 1 + 0.9 m / 30 |
/// | posterize | m / 30 of 4 bits less than 8 |
/// | solarize | what is brighter than 256 (1 - m / 30) inverted |
///
/// # Source
/// Cubuk et al., NeurIPS 2020; list and ranges are those of AutoAugment (Cubuk et al., CVPR 2019, table 6) without inversion,
/// cutout and sample pairing. Moves are interpolated, and what comes in from outside is [`AugmentConfig::fill`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// Operations for each picture, 1 to 10.
    pub operations: u32,
    /// 0 to 30.
    pub magnitude: f32,
}

impl RandAugment {
    /// The largest magnitude.
    pub(crate) const MOST: f32 = 30.0;
}

impl Default for RandAugment {
    /// What Cubuk et al. found for ResNet-50 on ImageNet.
    fn default() -> Self {
        Self { operations: 2, magnitude: 9.0 }
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
            resized_crop: None,
            flip_vertical: 0.0,
            rand_augment: None,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            grayscale: 0.0,
            blur: 0.0,
            blur_sigma: [0.1, 2.0],
            erasing: 0.0,
        }
    }
}

impl AugmentConfig {
    /// Width over height of random resized crops.
    pub(crate) const CROP_ASPECT: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
    /// Part of the area that is erased.
    pub(crate) const ERASED_AREA: [f32; 2] = [0.02, 0.33];
    /// Width over height of what is erased.
    pub(crate) const ERASED_ASPECT: [f64; 2] = [0.3, 3.3];

    pub(crate) fn check(&self) -> Result<()> {
        for (key, value, high) in [
            ("augment.rotate", self.rotate, 180.0),
            ("augment.shear", self.shear, 60.0),
            ("augment.shift", self.shift, 1.0),
            ("augment.elastic", self.elastic, 0.5),
            ("augment.flip", self.flip, 1.0),
            ("augment.flip_vertical", self.flip_vertical, 1.0),
            ("augment.brightness", self.brightness, 1.0),
            ("augment.contrast", self.contrast, 1.0),
            ("augment.saturation", self.saturation, 1.0),
            ("augment.hue", self.hue, 0.5),
            ("augment.grayscale", self.grayscale, 1.0),
            ("augment.blur", self.blur, 1.0),
            ("augment.erasing", self.erasing, 1.0),
        ] {
            in_range(key, value, 0.0, high)?;
        }
        ordered("augment.scale", self.scale, 0.1, 10.0)?;
        ordered("augment.blur_sigma", self.blur_sigma, 0.01, 64.0)?;
        if let Some(area) = self.resized_crop {
            ordered("augment.resized_crop", area, 0.01, 1.0)?;
        }
        if let Some(RandAugment { operations, magnitude }) = self.rand_augment {
            in_range("augment.rand_augment.operations", operations as f32, 1.0, 10.0)?;
            in_range("augment.rand_augment.magnitude", magnitude, 0.0, RandAugment::MOST)?;
        }
        match self.fill {
            Fill::Value(value) => in_range("augment.fill", value, 0.0, 1.0),
            Fill::Edge => Ok(()),
        }
    }
}

/// Both in range, the smaller one first.
fn ordered(key: &str, range: [f32; 2], low: f32, high: f32) -> Result<()> {
    for value in range {
        in_range(key, value, low, high)?;
    }
    if range[0] > range[1] {
        return Err(Error::setting(key, format!("{range:?}"), "the smaller one comes first"));
    }
    Ok(())
}
