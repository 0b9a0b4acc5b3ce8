//! How far features and gradients of a network are from those in f64: in candle's own products of f32, in npair's, and in products of
//! bf16. Prints one line of a table per architecture.
#![forbid(unsafe_code)]

use candle_core::{DType, Device, Tensor};
use clap::Parser;
use npair_backbones::{Backbone, BackboneConfig};
use npair_benches::Result;
use npair_nn::{
    Backend, Composed, Cpu, Mode, NetPrecision, Node, Tape, VarMap, backward, forward_no_grad_on, forward_on,
};
use npair_types::Streams;
use std::io::Write;

#[derive(Parser)]
struct Args {
    /// Pictures of the batch.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// As config.json names them; can be given several times.
    #[arg(long, default_values = ["conv-net", "casia-net", "googlenet", "resnet50", "vit-s16", "convnext-t", "efficientnet-lite0"])]
    network: Vec<String>,
}

/// A network with the weights that it begins with, of one number type.
struct Net {
    varmap: VarMap,
    backbone: Box<dyn Backbone>,
}

/// Features in evaluation, and the gradients of all parameters, one after the other.
struct Found {
    features: Vec<f64>,
    gradients: Vec<f64>,
}

impl Net {
    fn new(config: BackboneConfig, dtype: DType) -> Result<Self> {
        let varmap = VarMap::new(Streams::new(1), dtype, &Device::Cpu);
        let backbone = config.build(&varmap.root())?;
        Ok(Self { varmap, backbone })
    }

    /// Takes over another network's values.
    fn copy(&self, other: &Self) -> Result<()> {
        let all = |net: &Self| net.varmap.trainable().into_iter().chain(net.varmap.buffers());
        for ((_, var), (_, value)) in all(self).zip(all(other)) {
            var.set(&value.as_tensor().to_dtype(self.varmap.dtype())?)?;
        }
        Ok(())
    }

    /// With a loss whose gradient to the features is `slopes`.
    fn find(&self, backend: &'static dyn Backend, x: &Tensor, slopes: &[f64]) -> Result<Found> {
        let x = x.to_dtype(self.varmap.dtype())?;
        let run = |x: &Node, tape: &mut Tape| Ok(self.backbone.record(x, tape).map_err(candle_core::Error::from)?);
        let features = forward_no_grad_on(backend, &x, &Mode::Eval, run)?;
        let trained = forward_on(backend, &x, &Mode::train(Streams::new(2), 0), run)?;
        let slopes = Tensor::new(slopes, &Device::Cpu)?.to_dtype(x.dtype())?.reshape(trained.shape())?;
        let gradients = backward(&(trained * slopes)?.sum_all()?)?;
        let mut all = Vec::new();
        for (name, var) in self.varmap.trainable() {
            let gradient = gradients.get(&var).ok_or(format!("{name} has no gradient"))?;
            all.extend(wide(gradient)?);
        }
        Ok(Found { features: wide(&features)?, gradients: all })
    }
}

fn wide(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// The length of the difference over that of what it should be.
fn apart(values: &[f64], want: &[f64]) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    length(&mut values.iter().zip(want).map(|(a, b)| a - b)) / length(&mut want.iter().copied())
}

fn line(config: BackboneConfig, batch: usize) -> Result<()> {
    let input = config.input();
    let (height, width) = (input.size.height as usize, input.size.width as usize);
    let x = npair_benches::tensor(3, &[batch, height, width, input.channels])?;
    let double = Net::new(config, DType::F64)?;
    double.copy(&Net::new(config, DType::F32)?)?;
    let slopes: Vec<f64> =
        npair_benches::numbers(4, batch * double.backbone.features()).into_iter().map(f64::from).collect();
    let want = double.find(&Cpu, &x, &slopes)?;
    let mut cells = Vec::new();
    let ways: [(&'static dyn Backend, NetPrecision); 3] =
        [(&Composed, NetPrecision::F32), (&Cpu, NetPrecision::F32), (&Cpu, NetPrecision::Bf16)];
    for (backend, precision) in ways {
        precision.choose();
        // A pass in training moves running statistics: every way begins with those of a new network.
        let found = Net::new(config, DType::F32)?.find(backend, &x, &slopes)?;
        NetPrecision::F32.choose();
        cells.push(format!("{:.1e}", apart(&found.features, &want.features)));
        cells.push(format!("{:.1e}", apart(&found.gradients, &want.gradients)));
    }
    writeln!(std::io::stdout(), "| {} | {} |", config.architecture(), cells.join(" | "))?;
    Ok(())
}

fn main() -> Result<()> {
    let args = Args::parse();
    let ways = ["candle, f32", "npair, f32", "npair, bf16"].map(|way| format!("{way}: features | gradients"));
    writeln!(std::io::stdout(), "| network | {} |\n|---|---:|---:|---:|---:|---:|---:|", ways.join(" | "))?;
    for name in &args.network {
        let config = BackboneConfig::all().into_iter().find(|config| config.architecture() == name);
        line(config.ok_or(format!("there is no network {name}"))?, args.batch)?;
    }
    Ok(())
}
