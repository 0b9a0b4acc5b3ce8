//! Training steps and embedding of networks, in the precisions that the device has.

use super::{Bench, Timed, Work};
use anyhow::Result;
use candle_core::{DType, Device};
use npair_backbones::{
    BackboneConfig, ConvNetConfig, EmbeddingNet, EmbeddingNetConfig, GoogLeNetConfig, ResNetConfig, VitConfig,
};
use npair_losses::{Batch, Loss, NPairMc};
use npair_nn::{Mode, NetPrecision};
use npair_train::{Adam, AdamSettings, Updater};
use npair_types::{Labels, Streams};

const EMBEDDING: usize = 512;

pub fn run<E: FnMut(&Timed)>(bench: &mut Bench<'_, E>) -> Result<()> {
    let (few, batch) = (bench.size(4, 120, 120), bench.size(4, 16, 120));
    let size = bench.size(64, 224, 224);
    let google_net = GoogLeNetConfig { size: (size as u32).into(), ..GoogLeNetConfig::default() };
    let side = npair_types::ImageSize::from(size as u32);
    let residual = ResNetConfig { size: side, ..ResNetConfig::default() };
    let vit = VitConfig { size: side, ..VitConfig::default() };
    let nets = [
        ("ConvNet", BackboneConfig::ConvNet(ConvNetConfig::default()), [few, 1, 28, 28]),
        ("GoogLeNet", BackboneConfig::GoogLeNet(google_net), [batch, 3, size, size]),
        ("ResNet-50", BackboneConfig::ResNet50(residual), [batch, 3, size, size]),
        ("ViT-S/16", BackboneConfig::VitS16(vit), [batch, 3, size, size]),
    ];
    let ways: &[(NetPrecision, &str)] = match bench.device.is_cuda() {
        true => &[(NetPrecision::F32, ", f32"), (NetPrecision::Tf32, ", tf32"), (NetPrecision::Bf16, ", bf16")],
        false if bench.device.is_cpu() && npair_nn::sixteen_bit_products() => {
            &[(NetPrecision::F32, ""), (NetPrecision::Bf16, ", bf16")]
        }
        // Others have one way to multiply.
        false => &[(NetPrecision::F32, "")],
    };
    for (called, backbone, shape) in nets {
        let [pictures, channels, height, width] = shape;
        let what = format!("{called}, {pictures} x {channels} x {height} x {width}");
        let work = Work::Pictures(pictures as f64);
        for &(precision, way) in ways {
            precision.choose();
            bench.time(format!("training step of {what}{way}"), work, None, |device| step(backbone, shape, device))?;
            bench.time(format!("embedding of {what}{way}"), work, None, |device| embed(backbone, shape, device))?;
        }
    }
    NetPrecision::default().choose();
    Ok(())
}

type Shape = [usize; 4];

fn net(backbone: BackboneConfig, device: &Device) -> Result<EmbeddingNet> {
    Ok(EmbeddingNet::new(EmbeddingNetConfig::new(backbone, EMBEDDING), Streams::new(1), DType::F32, device)?)
}

fn pixels(shape: Shape, device: &Device) -> Result<candle_core::Tensor> {
    let [n, c, h, w] = shape;
    Ok(super::matrix::random(n, c * h * w, 5, DType::F32, device)?.reshape(&shape[..])?)
}

/// Forward, N-pair-mc of neighbouring rows, backward, Adam.
fn step(backbone: BackboneConfig, shape: Shape, device: &Device) -> Result<impl FnMut() -> Result<()> + use<>> {
    let (net, pixels) = (net(backbone, device)?, pixels(shape, device)?);
    let mut updater = Updater::new(net.varmap().trainable(), Adam::new(AdamSettings::default())?)?;
    let labels = Labels::new((0..shape[0] as u32).map(|row| row / 2))?;
    let mut steps = 0;
    Ok(move || {
        let embeddings = net.forward(&pixels, &Mode::train(Streams::new(1), steps))?;
        let loss = NPairMc.forward(&Batch::new(&embeddings, &labels)?)?;
        updater.add(&npair_nn::backward(&loss.value)?)?;
        updater.step(1.)?;
        steps += 1;
        Ok(())
    })
}

fn embed(backbone: BackboneConfig, shape: Shape, device: &Device) -> Result<impl FnMut() -> Result<()> + use<>> {
    let (net, pixels) = (net(backbone, device)?, pixels(shape, device)?);
    Ok(move || Ok(net.forward(&pixels, &Mode::Eval).map(drop)?))
}
