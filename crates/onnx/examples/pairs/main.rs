//! Networks of every architecture with random weights, each as a folder with what a runtime is held against: `model.onnx`, the
//! inputs `input.npy`, what our network makes of them (`want.npy`), and what it makes of them in f64 (`exact.npy`).
//!
//! ```text
//! cargo run -p npair-onnx --example pairs -- DIR                    # all
//! cargo run -p npair-onnx --example pairs -- DIR vit-s16 resnet50   # of these architectures
//! python3 crates/onnx/tests/runtime/check.py DIR
//! ```
#![allow(clippy::print_stdout)] // an example prints

mod cases;
mod npy;
mod weights;

use candle_core::{DType, Device, Tensor};
use cases::Case;
use npair_backbones::{EmbeddingModel, EmbeddingNet, Mode, VectorNet, VectorNetConfig};
use npair_testkit::inputs;
use npair_types::Streams;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Enough for batches of one and of several.
const BATCH: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("a folder is needed: pairs DIR [ARCHITECTURE..]")?;
    let wanted: Vec<String> = arguments.collect();
    let is_wanted = |architecture: &str| wanted.is_empty() || wanted.iter().any(|name| name == architecture);
    for case in cases::all() {
        if is_wanted(case.config.backbone.architecture()) {
            println!("{}", case.name);
            write(&Path::new(&dir).join(&case.name), &case)?;
        }
    }
    if is_wanted("vector-net") {
        println!("vector-net");
        write_vectors(&Path::new(&dir).join("vector-net"))?;
    }
    Ok(())
}

fn net(case: &Case, dtype: DType) -> Result<EmbeddingNet, Box<dyn Error>> {
    Ok(EmbeddingNet::new(case.config.clone(), Streams::new(1), dtype, &Device::Cpu)?)
}

fn write(dir: &Path, case: &Case) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    let rough = net(case, DType::F32)?;
    let weights = weights::shaken(rough.varmap().tensors()?)?;
    rough.set_tensors(&weights)?;
    let [channels, height, width] = rough.input().dims();
    let facts = [("architecture".to_owned(), case.config.backbone.architecture().to_owned())];
    fs::write(dir.join("model.onnx"), npair_onnx::onnx(&rough, &facts)?)?;
    let pixels = inputs::normal(2, 1., (BATCH, channels, height, width), DType::F32)?;
    let want = rough.forward(&pixels, &Mode::Eval)?;
    drop(rough);
    let fine = net(case, DType::F64)?;
    fine.set_tensors(&weights)?;
    let exact = fine.forward(&pixels.to_dtype(DType::F64)?, &Mode::Eval)?;
    write_tensors(dir, &pixels, &want, &exact)
}

fn write_vectors(dir: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(dir)?;
    let config = VectorNetConfig { hidden: vec![40, 24], ..VectorNetConfig::linear(50, 12) };
    let net = |dtype| VectorNet::new(config.clone(), Streams::new(1), dtype, &Device::Cpu);
    let (rough, fine) = (net(DType::F32)?, net(DType::F64)?);
    let shaken = weights::shaken(rough.varmap().tensors()?)?;
    rough.set_tensors(&shaken)?;
    fine.set_tensors(&shaken)?;
    fs::write(dir.join("model.onnx"), npair_onnx::onnx_of_vectors(&rough, &[])?)?;
    let rows = inputs::normal(2, 1., (BATCH, 50), DType::F32)?;
    let want = EmbeddingModel::forward(&rough, &rows, &Mode::Eval)?;
    let exact = EmbeddingModel::forward(&fine, &rows.to_dtype(DType::F64)?, &Mode::Eval)?;
    write_tensors(dir, &rows, &want, &exact)
}

fn write_tensors(dir: &Path, input: &Tensor, want: &Tensor, exact: &Tensor) -> Result<(), Box<dyn Error>> {
    fs::write(dir.join("input.npy"), npy::f32(input)?)?;
    fs::write(dir.join("want.npy"), npy::f32(want)?)?;
    fs::write(dir.join("exact.npy"), npy::f64(exact)?)?;
    Ok(())
}
