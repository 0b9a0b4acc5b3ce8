//! Whether a device computes what the CPU computes.

use crate::args::CheckPart;
use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use npair_backbones::{
    BackboneConfig, ConvNetConfig, ConvNextConfig, EfficientNetLiteConfig, EmbeddingNet, EmbeddingNetConfig,
    GoogLeNetOriginalConfig, MobileNetV3Config, ResNetConfig, VitConfig,
};
use npair_nn::{Mode, NetPrecision};
use npair_similarity::{Exclude, Mask, Precision, Similarity};
use npair_types::{ImageSize, Labels, Measure, Purpose, Streams};
use rand::Rng;

/// Something that was computed on a device and on the CPU.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What.
    pub name: String,
    /// `|device - CPU| / |CPU|`, Euclidean, over all values.
    pub apart: f64,
    /// What rounding may make of it.
    pub allowed: f64,
}

impl Check {
    /// Whether the device is right. A NaN is not.
    pub fn passes(&self) -> bool {
        self.apart <= self.allowed
    }
}

/// A loss, in the two ways that a reduction is asked for.
type Reduction = fn(&Similarity, &Mask) -> npair_similarity::Result<Tensor>;

/// Computes matrices, searches and networks on `device` and on the CPU, whose results are the oracle: reductions of all number
/// types with gradients, masks and odd sizes, top-k, extremes, and the gradients of networks; or a part of that. `each` hears of every check
/// as soon as it is done.
///
/// # Errors
/// Those of the device.
pub fn check_device(device: &Device, only: Option<CheckPart>, mut each: impl FnMut(&Check)) -> Result<Vec<Check>> {
    let mut all = Vec::new();
    let mut tell = |check: Check| {
        each(&check);
        all.push(check);
    };
    let takes = |part: CheckPart| only.is_none_or(|only| only == part);
    if takes(CheckPart::Matrices) {
        matrices(device, &mut tell)?;
    }
    if takes(CheckPart::Searches) {
        searches(device, &mut tell)?;
    }
    if takes(CheckPart::Networks) {
        networks(device, &mut tell)?;
    }
    Ok(all)
}

fn matrices(device: &Device, tell: &mut impl FnMut(Check)) -> Result<()> {
    let reductions: [(&str, Reduction); 3] = [
        ("N-pair-mc", |s, mask| s.mean_log1p_sum_exp_above_diagonal(mask)),
        ("N-pair-ovo", |s, mask| s.mean_softplus_sum_above_diagonal(mask)),
        ("log-sum-exp", |s, mask| Ok(s.log1p_sum_exp_above(&s.diagonal()?, mask)?.sqr()?.mean_all()?)),
    ];
    // The CPU takes f32; a GPU also 16 bits, and f32 in three ways. Weights and gradients are rounded to the type.
    let types: &[(DType, Precision, f64)] = match device.is_cpu() {
        true => &[(DType::F32, Precision::Split, 3e-5)],
        false => &[
            (DType::F32, Precision::Split, 3e-5),
            (DType::F32, Precision::Plain, 3e-5),
            (DType::F32, Precision::Tf32, 1e-2),
            (DType::F16, Precision::Split, 3e-3),
            (DType::BF16, Precision::Split, 2e-2),
        ],
    };
    for (n, d) in [(500, 70), (1030, 136), (260, 512)] {
        let labels = Labels::new((0..n).map(|i| (i % 37) as u32))?;
        let masks =
            [("off the diagonal", Mask::OffDiagonal), ("of other classes", Mask::other_class(&labels, &labels))];
        for &(dtype, precision, allowed) in types {
            let sides = [random(n, d, 1, dtype)?, random(n, d, 2, dtype)?];
            for (loss, reduce) in reductions {
                for (which, mask) in &masks {
                    let run = |device: &Device, dtype: DType| -> Result<Vec<f64>> {
                        let var = |t: &Tensor| Var::from_tensor(&t.to_dtype(dtype)?.to_device(device)?);
                        let (q, g) = (var(&sides[0])?, var(&sides[1])?);
                        let s = Similarity::new(q.as_tensor(), g.as_tensor(), Measure::Dot)?.with_precision(precision);
                        let value = reduce(&s, mask)?;
                        let gradients = value.backward()?;
                        let mut out = values(&value)?;
                        for side in [&q, &g] {
                            let gradient = gradients.get(side).map_or_else(|| side.zeros_like(), |t| Ok(t.clone()))?;
                            // Beside the value they would not be seen.
                            out.extend(values(&gradient)?.into_iter().map(|v| v * (n as f64)));
                        }
                        Ok(out)
                    };
                    let apart = distance(&run(device, dtype)?, &run(&Device::Cpu, DType::F64)?);
                    let how = if dtype == DType::F32 { format!(" {precision:?}") } else { String::new() };
                    let name = format!("{loss} {which}, {n} x {d}, {}{how}", dtype.as_str());
                    tell(Check { name, apart, allowed });
                }
            }
        }
    }
    Ok(())
}

fn searches(device: &Device, tell: &mut impl FnMut(Check)) -> Result<()> {
    let (n, d, k) = (6000, 72, 25);
    let x = random(n, d, 3, DType::F32)?;
    let labels = Labels::new((0..n).map(|i| (i % 400) as u32))?;
    let on = |device: &Device, measure: Measure| -> Result<Similarity> {
        let x = x.to_device(device)?;
        Ok(Similarity::new(&x, &x, measure)?)
    };
    for measure in [Measure::Dot, Measure::Cosine, Measure::SquaredEuclidean] {
        let near = |device: &Device| -> Result<Vec<f64>> {
            let found = on(device, measure)?.top_k(k, Exclude::SameRow)?;
            Ok((0..n).flat_map(|i| found.similarity(i).iter().map(|&v| f64::from(v)).collect::<Vec<_>>()).collect())
        };
        let apart = distance(&near(device)?, &near(&Device::Cpu)?);
        tell(Check { name: format!("top-{k} of {n} x {d} in itself, {measure}"), apart, allowed: 1e-5 });
        for (which, mask) in
            [("positives", Mask::positives(&labels)), ("negatives", Mask::other_class(&labels, &labels))]
        {
            let hardest = |device: &Device| -> Result<Vec<f64>> {
                let s = on(device, measure)?;
                let found = if which == "positives" { s.row_min(&mask)? } else { s.row_max(&mask)? };
                values(&found.similarity)
            };
            let apart = distance(&hardest(device)?, &hardest(&Device::Cpu)?);
            tell(Check { name: format!("hardest {which} of {n} x {d}, {measure}"), apart, allowed: 1e-5 });
        }
    }
    Ok(())
}

fn networks(device: &Device, tell: &mut impl FnMut(Check)) -> Result<()> {
    // Metal has no f64; in f32 a ReLU may fall on the other side.
    let (dtype, allowed) = if device.is_metal() { (DType::F32, 2e-2) } else { (DType::F64, 1e-8) };
    let nets = [
        ("ConvNet", BackboneConfig::ConvNet(ConvNetConfig::default()), [12, 1, 28, 28]),
        (
            "ResNet-18",
            BackboneConfig::ResNet18(ResNetConfig { size: 64.into(), ..ResNetConfig::default() }),
            [3, 3, 64, 64],
        ),
    ];
    for (name, backbone, shape) in nets {
        network(device, (name, backbone, shape), dtype, allowed, tell)?;
    }
    if device.is_cuda() {
        let before = NetPrecision::chosen();
        let checked = of_all_precisions(device, tell);
        before.choose();
        checked?;
    }
    Ok(())
}

/// In f32 and bf16 the layers have kernels of their own on CUDA.
fn of_all_precisions(device: &Device, tell: &mut impl FnMut(Check)) -> Result<()> {
    for (at, net) in of_all_layers().into_iter().enumerate() {
        // Norms over few values, as the deep networks have here, make much of what 8 bits leave out.
        let halves = if at < 6 { &[NetPrecision::Bf16][..] } else { &[] };
        let exact = pass(&Device::Cpu, net.1, net.2, DType::F64)?;
        let own = distance(&pass(&Device::Cpu, net.1, net.2, DType::F32)?, &exact);
        for &precision in [NetPrecision::F32].iter().chain(halves) {
            precision.choose();
            let apart = distance(&pass(device, net.1, net.2, DType::F32)?, &exact);
            let (called, allowed) = match precision {
                NetPrecision::Bf16 => ("bf16", OF_BF16),
                _ => ("f32", AS_FAR * own.max(1e-6)),
            };
            let name = format!("{}: embeddings and all gradients of a training pass, {called}", net.0);
            tell(Check { name, apart, allowed });
        }
    }
    Ok(())
}

/// How many times as far from f64 as the CPU's f32 a device's may be: sums have another order, and a maximum or a ReLU may fall on the
/// other side.
const AS_FAR: f64 = 4.;

/// What 8 bits may make of a network: 2^-8 of a value each time it is written, some 25 times in a row there and back.
const OF_BF16: f64 = 25. / 256.;

/// Embeddings and the gradients of all parameters.
fn pass(device: &Device, backbone: BackboneConfig, shape: [usize; 4], dtype: DType) -> Result<Vec<f64>> {
    // The same parameters for all types.
    let pixels = random(shape[0] * shape[1], shape[2] * shape[3], 4, DType::F32)?.reshape(&shape[..])?;
    let config = EmbeddingNetConfig::new(backbone, 32);
    let source = EmbeddingNet::new(config.clone(), Streams::new(1), DType::F32, &Device::Cpu)?;
    let net = EmbeddingNet::new(config, Streams::new(1), dtype, device)?;
    let weights = source.varmap().tensors()?.into_iter();
    let weights = weights.map(|(name, t)| Ok((name, t.to_dtype(dtype)?.to_device(device)?)));
    net.varmap().load(&weights.collect::<Result<_>>()?)?;
    let embeddings = net.forward(&pixels.to_dtype(dtype)?.to_device(device)?, &Mode::train(Streams::new(2), 0))?;
    let gradients = npair_nn::backward(&embeddings.sqr()?.mean_all()?)?;
    let mut out = values(&embeddings)?;
    for (_, var) in net.varmap().trainable() {
        out.extend(gradients.get(&var).map_or(Ok(Vec::new()), values)?);
    }
    Ok(out)
}

/// A network by name, with the shape of its pictures.
type Net = (&'static str, BackboneConfig, [usize; 4]);

/// Networks that have every kind of layer between them.
fn of_all_layers() -> Vec<Net> {
    let size = ImageSize::from(64);
    let residual = ResNetConfig { size, ..ResNetConfig::default() };
    let as_they_are = ResNetConfig { size, frozen_norms: true, ..ResNetConfig::default() };
    let vit = VitConfig { size, ..VitConfig::default() };
    let original = GoogLeNetOriginalConfig { size };
    let mobile = MobileNetV3Config { size, ..MobileNetV3Config::default() };
    let lite = EfficientNetLiteConfig { size, ..EfficientNetLiteConfig::default() };
    let next = ConvNextConfig { size, ..ConvNextConfig::default() };
    let colour = [4, 3, 64, 64];
    vec![
        ("ConvNet", BackboneConfig::ConvNet(ConvNetConfig::default()), [12, 1, 28, 28]),
        ("GoogLeNet of 2014", BackboneConfig::GoogLeNetOriginal(original), colour),
        ("ViT-S/16", BackboneConfig::VitS16(vit), colour),
        ("SigLIP-B/16", BackboneConfig::SigLipB16(vit), colour),
        ("ResNet-18 with its norms as they are", BackboneConfig::ResNet18(as_they_are), colour),
        ("ConvNeXt-T", BackboneConfig::ConvNextT(next), colour),
        ("ResNet-50", BackboneConfig::ResNet50(residual), colour),
        ("MobileNetV3", BackboneConfig::MobileNetV3Large(mobile), colour),
        ("EfficientNet-Lite0", BackboneConfig::EfficientNetLite0(lite), colour),
    ]
}

fn network(
    device: &Device,
    (name, backbone, shape): Net,
    dtype: DType,
    allowed: f64,
    tell: &mut impl FnMut(Check),
) -> Result<()> {
    let apart = distance(&pass(device, backbone, shape, dtype)?, &pass(&Device::Cpu, backbone, shape, dtype)?);
    let name = format!("{name}: embeddings and all gradients of a training pass, {}", dtype.as_str());
    tell(Check { name, apart, allowed });
    Ok(())
}

/// Rows whose inner products are of about 1, as the type holds them.
fn random(rows: usize, width: usize, seed: u64, dtype: DType) -> Result<Tensor> {
    let mut rng = Streams::new(seed).open(Purpose::Synthesis, [0, 0]);
    let size = 3.5 / (width as f64).powf(0.25);
    let values: Vec<f64> = (0..rows * width).map(|_| size * (rng.random::<f64>() - 0.5)).collect();
    Ok(Tensor::from_vec(values, (rows, width), &Device::Cpu)?.to_dtype(dtype)?)
}

fn values(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let apart = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let size = b.iter().map(|b| b * b).sum::<f64>();
    if apart == 0. { 0. } else { (apart / size).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself_and_a_wrong_value_does_not() {
        let mut heard = 0;
        let all = check_device(&Device::Cpu, None, |_| heard += 1).unwrap();
        assert_eq!((heard, all.len()), (all.len(), 18 + 9 + 2));
        for check in &all {
            assert!(check.passes(), "{check:?}");
        }
        assert!(!Check { name: String::new(), apart: f64::NAN, allowed: 1. }.passes());
        assert_eq!(distance(&[1., 2.], &[1.]), f64::INFINITY);
    }
}
