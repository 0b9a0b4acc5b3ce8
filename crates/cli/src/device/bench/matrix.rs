//! The similarity matrix: N-pair-mc with both gradients, and exact search.

use super::{Bench, Timed, Work, limits};
use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::{Exclude, Mask, Precision, Similarity};
use npair_types::{Measure, Purpose, Streams};
use rand::Rng;
use rayon::prelude::*;

const WIDTH: usize = 512;

pub fn run<E: FnMut(&Timed)>(bench: &mut Bench<'_, E>) -> Result<()> {
    // Number type, how it is multiplied, what it is called, and what bounds it.
    let kinds: &[(DType, Precision, &str, &str)] = match bench.device {
        Device::Cpu => &[(DType::F32, Precision::Split, "f32", limits::F32)],
        Device::Cuda(_) => &[
            (DType::BF16, Precision::Split, "bf16", limits::BF16),
            (DType::F32, Precision::Tf32, "f32 as tf32", limits::TF32),
            (DType::F32, Precision::Split, "f32", limits::TF32),
        ],
        Device::Metal(_) => {
            &[(DType::BF16, Precision::Split, "bf16", limits::BF16), (DType::F32, Precision::Split, "f32", limits::F32)]
        }
    };
    let pairs: &[usize] = bench.size(&[256], &[1024, 4096], &[8192, 65_536, 262_144]);
    for &n in pairs {
        for &(dtype, precision, called, limit) in kinds {
            let name = format!("N-pair-mc, value and gradients, N = {n}, D = {WIDTH}, {called}");
            // The product that the value needs, and one for the gradient of each side.
            let work = Work::Operations(6. * (n as f64).powi(2) * WIDTH as f64);
            bench.time(name, work, Some(limit), |device| n_pair_mc(n, dtype, precision, device))?;
        }
    }
    let (queries, gallery, k) = bench.size((100, 2000, 10), (2000, 60_502, 100), (10_000, 1_000_000, 100));
    let name = format!("exact top {k} of {queries} queries in {gallery} x {WIDTH}, f32");
    let work = Work::Operations(2. * queries as f64 * gallery as f64 * WIDTH as f64);
    let limit = if bench.device.is_cuda() { limits::TF32 } else { limits::F32 };
    bench.time(name, work, Some(limit), |device| {
        let q = random(queries, WIDTH, 3, DType::F32, device)?;
        let g = random(gallery, WIDTH, 4, DType::F32, device)?;
        Ok(move || Ok(Similarity::new(&q, &g, Measure::Dot)?.top_k(k, Exclude::Nothing).map(drop)?))
    })
}

/// Logits within some units of each other, as of a network at the start of its training.
fn n_pair_mc(
    n: usize,
    dtype: DType,
    precision: Precision,
    device: &Device,
) -> Result<impl FnMut() -> Result<()> + use<>> {
    let side = |seed| -> Result<Var> { Ok(Var::from_tensor(&random(n, WIDTH, seed, dtype, device)?)?) };
    let (q, g) = (side(1)?, side(2)?);
    let step = move || -> Result<Tensor> {
        let s = Similarity::new(q.as_tensor(), g.as_tensor(), Measure::Dot)?.with_precision(precision);
        let value = s.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal)?;
        value.backward()?;
        Ok(value.detach())
    };
    let value = step()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
    // log N where all logits are alike; theirs are of standard deviation 1.
    if !((n as f32).ln() - 1. ..=(n as f32).ln() + 2.).contains(&value) {
        let what = format!("N-pair-mc of {n} random pairs is {value}, not about log N = {:.2}", (n as f32).ln());
        return Err(candle_core::Error::Msg(what).into());
    }
    Ok(move || step().map(drop))
}

/// Rows whose inner products have a standard deviation of 1, from seeded streams, a part of its own a stream.
pub fn random(rows: usize, width: usize, seed: u64, dtype: DType, device: &Device) -> Result<Tensor> {
    const PART: usize = 1 << 16;
    let mut values = vec![0f32; rows * width];
    // Uniform on [-h, h) has variance h^2 / 3; a product of two rows has width times that, squared.
    let half = 3f32.sqrt() / (width as f32).powf(0.25);
    values.par_chunks_mut(PART).enumerate().for_each(|(at, part)| {
        let mut rng = Streams::new(seed).open(Purpose::Synthesis, [at as u64, 0]);
        part.fill_with(|| half * (2. * rng.random::<f32>() - 1.));
    });
    Ok(Tensor::from_vec(values, (rows, width), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_rows_have_products_of_size_one() {
        let [a, b] = [1, 2].map(|seed| random(300, WIDTH, seed, DType::F32, &Device::Cpu).unwrap());
        let s = a.matmul(&b.t().unwrap()).unwrap();
        let variance = s.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
        // 90,000 products of variance 1.
        assert!((variance - 1.).abs() < 0.05, "{variance}");
    }
}
