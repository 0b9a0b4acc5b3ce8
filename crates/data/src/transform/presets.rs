use super::{AugmentConfig, Channels, Fill, PipelineConfig, Resize};
use npair_types::ImageSize;

/// Mean and deviation of red, green and blue in ImageNet, as most pretrained weights expect.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

impl PipelineConfig {
    /// For dark pen strokes on white paper (Omniglot, the glyph set): ink is 1, paper 0; small turns, scalings, slants
    /// and shifts in training.
    pub fn strokes(size: impl Into<ImageSize>) -> Self {
        let augment = AugmentConfig {
            rotate: 10.0,
            scale: [0.85, 1.15],
            shear: 8.0,
            shift: 0.08,
            fill: Fill::Value(1.0),
            ..AugmentConfig::default()
        };
        Self { size: size.into(), supersample: 2, invert: true, augment, ..Self::default() }
    }

    /// For colour photographs: shorter side to 8/7 of `size`, cut out at random and mirrored in training; mean and
    /// deviation are those of ImageNet, as most pretrained weights expect.
    pub fn photos(size: impl Into<ImageSize>) -> Self {
        let size = size.into();
        Self {
            channels: Channels::Rgb,
            size,
            resize: Resize::ShortSide(size.shorter().saturating_mul(8).div_ceil(7)),
            mean: IMAGENET[0].to_vec(),
            std: IMAGENET[1].to_vec(),
            augment: AugmentConfig { crop: true, flip: 0.5, ..AugmentConfig::default() },
            ..Self::default()
        }
    }

    /// As [`photos`](Self::photos), changed more strongly in training: random resized crops of 30 % to all of the area, mirrored,
    /// colours jittered, one in ten grey. For small sets of photographs, whose pictures a network would know by heart.
    pub fn photos_strong(size: impl Into<ImageSize>) -> Self {
        let augment = AugmentConfig {
            resized_crop: Some([0.3, 1.0]),
            flip: 0.5,
            brightness: 0.3,
            contrast: 0.3,
            saturation: 0.3,
            hue: 0.05,
            grayscale: 0.1,
            ..AugmentConfig::default()
        };
        Self { augment, ..Self::photos(size) }
    }

    /// For drawings in colour (emoji, icons, logos, signs): stretched to `size`, so that nothing is cut off; small
    /// turns, scalings and shifts and slightly jittered colours in training. Not mirrored, for that may make another drawing of
    /// it ([`mirror_symmetry`](crate::mirror_symmetry) tells), and the hue hardly moves, for it may be all that sets two apart.
    pub fn drawings(size: impl Into<ImageSize>) -> Self {
        let augment = AugmentConfig {
            rotate: 8.0,
            scale: [0.9, 1.1],
            shift: 0.05,
            brightness: 0.15,
            contrast: 0.15,
            saturation: 0.15,
            hue: 0.02,
            ..AugmentConfig::default()
        };
        Self { resize: Resize::Exact, augment, ..Self::photos(size) }
    }
}
