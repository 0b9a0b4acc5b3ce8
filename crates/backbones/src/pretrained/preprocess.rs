use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Mean and deviation of ImageNet's training pictures, by channel, of brightness in [0, 1].
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// The same of the pictures that CLIP was trained with.
const CLIP: [[f32; 3]; 2] = [[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.261_302_6, 0.275_777_1]];

/// SigLIP's.
const SIGLIP: [[f32; 3]; 2] = [[0.5; 3]; 2];

/// How a picture was made into pixels when the weights were trained (and judged): shorter side to `resize`, `size` x `size` cut
/// out of the middle, `(v - mean) / std` of brightness v in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Height and width of the pixels.
    pub size: u32,
    /// Shorter side of the picture before the cut.
    pub resize: u32,
    /// Kernel of the scaling.
    pub interpolation: Interpolation,
    /// What is subtracted, by channel.
    pub mean: Vec<f32>,
    /// What is divided by, by channel.
    pub std: Vec<f32>,
}

/// Kernel of a scaling, by torchvision's and timm's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Triangle.
    Bilinear,
    /// Cubic (a = -0.5).
    Bicubic,
    /// Windowed sinc.
    Lanczos,
}

/// What dlib takes off a face's pixels, by channel, of brightness up to 255.
const DLIB: [f32; 3] = [122.782, 117.001, 104.298];

/// dlib's face crops: 150 x 150, of which a mean is taken off.
fn dlib(usual: Preprocess) -> Preprocess {
    Preprocess { size: 150, resize: 150, mean: DLIB.map(|mean| mean / 255.).to_vec(), std: vec![1.; 3], ..usual }
}

impl Preprocess {
    /// That of torchvision's ImageNet weights: 224 of 256, bilinear. For its GoogLeNet mean and deviation are 0.5: it was ported
    /// with a transformation of the input (`transform_input`) that takes ImageNet's ones back.
    ///
    /// # Source
    /// torchvision 0.29, `models/googlenet.py` (`_transform_input`) and `transforms/_presets.py`.
    pub fn torchvision(architecture: &str) -> Self {
        let [mean, std] = if architecture == "googlenet" { [[0.5; 3]; 2] } else { IMAGENET };
        Self { size: 224, resize: 256, interpolation: Interpolation::Bilinear, mean: mean.to_vec(), std: std.to_vec() }
    }

    /// That of the weights that an architecture was published with: torchvision's, but for EfficientNet-Lite `(v - 127) / 128` of
    /// values up to 255, bicubic, and for CLIP and SigLIP the whole shorter side, bicubic, with their own mean and deviation;
    /// for dlib's faces 150 x 150 with a mean taken off.
    ///
    /// # Source
    /// TensorFlow's TPU repository, `efficientnet/lite/efficientnet_lite_builder.py` (`MEAN_RGB`, `STDDEV_RGB`); OpenAI's CLIP,
    /// `clip/clip.py` (`_transform`); `preprocessor_config.json` of google/siglip-base-patch16-224.
    pub(crate) fn published(architecture: &str) -> Self {
        let usual = Self::torchvision(architecture);
        let bicubic = |resize, [mean, std]: [[f32; 3]; 2]| Self {
            resize,
            interpolation: Interpolation::Bicubic,
            mean: mean.to_vec(),
            std: std.to_vec(),
            ..usual.clone()
        };
        match architecture.split('-').next() {
            Some("efficientnet") => bicubic(usual.resize, [[127. / 255.; 3], [128. / 255.; 3]]),
            Some("clip") => bicubic(usual.size, CLIP),
            Some("siglip") => bicubic(usual.size, SIGLIP),
            Some("dlib") => dlib(usual),
            _ => usual,
        }
    }

    /// What a Hub-style `config.json` says under `pretrained_cfg` (or `default_cfg`, or at its top, as timm's older files);
    /// what it leaves out is timm's default: bicubic, 0.875 of the picture, ImageNet's mean and deviation.
    pub(super) fn of_config(config: &Value) -> Option<Self> {
        let nests = ["pretrained_cfg", "default_cfg"];
        let nested = nests.iter().find_map(|key| config.get(key).filter(|v| v.is_object()));
        let described = nested.unwrap_or(config);
        let size = described.get("input_size")?.as_array()?.last()?.as_u64().and_then(|n| u32::try_from(n).ok())?;
        let part =
            described.get("crop_pct").and_then(Value::as_f64).filter(|p| (0.1..=1.).contains(p)).unwrap_or(0.875);
        let numbers = |key: &str, usual: [f32; 3]| -> Option<Vec<f32>> {
            let Some(list) = described.get(key) else { return Some(usual.to_vec()) };
            list.as_array()?.iter().map(|v| v.as_f64().map(|v| v as f32)).collect()
        };
        let interpolation = match described.get("interpolation").and_then(Value::as_str) {
            Some("bilinear") => Interpolation::Bilinear,
            Some("lanczos") => Interpolation::Lanczos,
            _ => Interpolation::Bicubic,
        };
        Some(Self {
            size,
            // As timm rounds it: down.
            resize: (f64::from(size) / part).floor() as u32,
            interpolation,
            mean: numbers("mean", IMAGENET[0])?,
            std: numbers("std", IMAGENET[1])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_timm_says_is_taken_over() {
        let config = json!({"architecture": "resnet50", "num_classes": 1000, "pretrained_cfg": {
            "input_size": [3, 224, 224], "crop_pct": 0.95, "interpolation": "bicubic",
            "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0], "pool_size": [7, 7]}});
        let got = Preprocess::of_config(&config).unwrap();
        let (mean, std) = (vec![0.5; 3], vec![0.25, 0.5, 1.]);
        // 224 / 0.95 = 235.8.
        assert_eq!(got, Preprocess { size: 224, resize: 235, interpolation: Interpolation::Bicubic, mean, std });
        let old = Preprocess::of_config(&json!({"input_size": [3, 299, 299], "interpolation": "bilinear"})).unwrap();
        assert_eq!((old.size, old.resize, &old.mean[..]), (299, 341, &IMAGENET[0][..]));
        assert_eq!(Preprocess::of_config(&json!({"hidden_size": 768})), None);
        assert_eq!(Preprocess::of_config(&json!({"input_size": [3, 8, 8], "mean": "x"})), None);
    }
}
