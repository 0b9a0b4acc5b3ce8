//! What the benches share: made-up embeddings and pictures, the same in every run.
#![forbid(unsafe_code)]

pub mod products;

use candle_core::{DType, Device, Tensor};
use npair_types::{Purpose, Streams};
use rand::Rng;
use serde_json::{Value, json};
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

/// Whatever fails ends a bench.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The most that this process ever held, as Linux tells.
///
/// # Errors
/// On other systems.
pub fn peak_kib() -> Result<u64> {
    let status = format!("/proc/{}/status", std::process::id());
    let out = String::from_utf8(std::process::Command::new("grep").args(["VmHWM", &status]).output()?.stdout)?;
    Ok(out.split_whitespace().nth(1).ok_or("only Linux tells what a process held")?.parse()?)
}

/// `len` numbers between -1 and 1.
pub fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut rng = Streams::new(seed).open(Purpose::Synthesis, [0, 0]);
    (0..len).map(|_| rng.random_range(-1f32..1.)).collect()
}

/// The same as a tensor.
///
/// # Errors
/// Those of candle.
pub fn tensor(seed: u64, shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::from_vec(numbers(seed, shape.iter().product()), shape, &Device::Cpu)?.to_dtype(DType::F32)
}

/// One line of the conversation of `benches/peers/protocol.py`.
///
/// # Errors
/// If nobody listens.
pub fn say(what: &Value) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{what}")?;
    Ok(out.flush()?)
}

/// Says what was built and what is to be known `about` it (an object), then answers until there is nothing more to read with
/// the milliseconds that `request` takes; it gives `None` for what it does not know.
///
/// # Errors
/// If the conversation breaks off.
pub fn serve(name: &str, about: Value, mut request: impl FnMut(&str) -> Result<Option<()>>) -> Result<()> {
    let versions = json!({ "npair": env!("CARGO_PKG_VERSION") });
    let mut ready = json!({ "ready": name, "versions": versions, "threads": rayon::current_num_threads() });
    if let (Value::Object(ready), Value::Object(about)) = (&mut ready, about) {
        ready.extend(about);
    }
    say(&ready)?;
    for line in stdin().lock().lines() {
        let line = line?;
        let asked = line.trim();
        if asked == "quit" {
            break;
        }
        let start = Instant::now();
        let done = request(asked);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        say(&match done {
            Ok(Some(())) => json!({ "ms": ms }),
            Ok(None) => json!({ "error": format!("unknown request `{asked}`") }),
            Err(why) => json!({ "error": why.to_string() }),
        })?;
    }
    Ok(())
}
