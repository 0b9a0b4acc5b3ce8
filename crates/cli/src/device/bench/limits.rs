//! What the device can do at most: memory and matrix products.

use super::{Bench, Timed, Work};
use anyhow::Result;
use candle_core::cuda::{gemm_reduced_precision_f32, set_gemm_reduced_precision_f32};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

pub const BF16: &str = "product in bf16";
pub const TF32: &str = "product in tf32";
pub const F32: &str = "product in f32";

pub fn run<E: FnMut(&Timed)>(bench: &mut Bench<'_, E>) -> Result<()> {
    let mib: usize = bench.size(16, 256, 4096);
    let values = mib << 18;
    let name = format!("copy of {mib} MiB");
    let work = Work::Bytes(8. * values as f64);
    if bench.device.is_cpu() {
        // All threads, into memory that is there: candle's copy is of one thread.
        bench.time(name, work, None, |_| {
            let from = vec![1f32; values];
            let mut to = vec![0f32; values];
            Ok(move || {
                let part = values.div_ceil(4 * rayon::current_num_threads());
                to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
                std::hint::black_box(&mut to);
                Ok(())
            })
        })?;
    } else {
        bench.time(name, work, None, |device| {
            let from = Tensor::ones(values, DType::F32, device)?;
            Ok(move || Ok(from.copy().map(drop)?))
        })?;
    }
    let n: usize = bench.size(256, 2048, 8192);
    // The CPU computes in f32 alone.
    let kinds: &[(&str, DType)] = match bench.device {
        Device::Cpu => &[(F32, DType::F32)],
        Device::Cuda(_) => &[(BF16, DType::BF16), (TF32, DType::F32), (F32, DType::F32)],
        Device::Metal(_) => &[(BF16, DType::BF16), (F32, DType::F32)],
    };
    for &(kind, dtype) in kinds {
        let before = gemm_reduced_precision_f32();
        set_gemm_reduced_precision_f32(kind == TF32);
        let timed =
            bench.time(format!("{kind}, {n} x {n} x {n}"), Work::Operations(2. * (n as f64).powi(3)), None, |device| {
                let side = |seed| super::matrix::random(n, n, seed, dtype, device);
                let (a, b) = (side(1)?, side(2)?);
                Ok(move || Ok(a.matmul(&b).map(drop)?))
            });
        set_gemm_reduced_precision_f32(before);
        timed?;
    }
    Ok(())
}
