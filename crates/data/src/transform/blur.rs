use super::canvas::Canvas;
use crate::power::decay;

/// A Gaussian blur of deviation `sigma` pixels, cut off at 3 sigma; beyond the border stands the nearest pixel.
///
/// ```text
/// v'(x) = sum_d w_d v(x + d) / sum_d w_d,  w_d = exp(-d^2 / (2 sigma^2)),  |d| <= ceil(3 sigma)
/// ```
/// along either axis.
///
/// # Source
/// As an augmentation: Chen et al., ICML 2020 (SimCLR), appendix A.
pub(crate) fn blur(canvas: &mut Canvas, sigma: f32) {
    let weights = weights(sigma);
    let (width, height, reach) = (canvas.width(), canvas.height(), weights.len() - 1);
    let mut rows = vec![0f32; width * height];
    let mut padded = vec![0f32; width + 2 * reach];
    for plane in canvas.planes() {
        for (y, row) in rows.chunks_exact_mut(width).enumerate() {
            add(row, &plane[y * width..][..width], weights[0], true);
            for (d, &weight) in weights.iter().enumerate().skip(1) {
                for near in [y.saturating_sub(d), (y + d).min(height - 1)] {
                    add(row, &plane[near * width..][..width], weight, false);
                }
            }
        }
        for (row, out) in rows.chunks_exact(width).zip(plane.chunks_exact_mut(width)) {
            padded[..reach].fill(row[0]);
            padded[reach..reach + width].copy_from_slice(row);
            padded[reach + width..].fill(row[width - 1]);
            add(out, &padded[reach..][..width], weights[0], true);
            for (d, &weight) in weights.iter().enumerate().skip(1) {
                add(out, &padded[reach - d..][..width], weight, false);
                add(out, &padded[reach + d..][..width], weight, false);
            }
        }
    }
}

/// `out = weight source`, or `out + weight source`.
fn add(out: &mut [f32], source: &[f32], weight: f32, first: bool) {
    match first {
        true => out.iter_mut().zip(source).for_each(|(out, v)| *out = weight * v),
        false => out.iter_mut().zip(source).for_each(|(out, v)| *out += weight * v),
    }
}

/// Of the middle, of its neighbours, and so on; both sides together sum up to 1.
fn weights(sigma: f32) -> Vec<f32> {
    let sigma = f64::from(sigma);
    let reach = (3.0 * sigma).ceil() as usize;
    let raw: Vec<f64> = (0..=reach).map(|d| decay((d * d) as f64 / (2.0 * sigma * sigma))).collect();
    let sum = raw[0] + 2.0 * raw[1..].iter().sum::<f64>();
    raw.iter().map(|weight| (weight / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum over the whole square at once, in f64.
    #[test]
    fn is_the_naive_sum() {
        let (size, sigma) = (12i32, 1.3f32);
        let before: Vec<f32> = (0..3 * 144u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as f32).collect();
        let mut values = before.clone();
        blur(&mut Canvas::new(&mut values, 12.into()), sigma);
        for (i, &got) in values.iter().enumerate() {
            let (plane, x, y) = (i / 144 * 144, i as i32 % size, i as i32 / size % size);
            let (mut sum, mut total) = (0f64, 0f64);
            for (dy, dx) in (-4..=4).flat_map(|dy| (-4..=4).map(move |dx| (dy, dx))) {
                let weight = f64::exp(-f64::from(dx * dx + dy * dy) / (2.0 * f64::from(sigma).powi(2)));
                let at = (y + dy).clamp(0, size - 1) * size + (x + dx).clamp(0, size - 1);
                sum += weight * f64::from(before[plane + at as usize]);
                total += weight;
            }
            // Some 20 roundings of values up to 255 in f32.
            assert!((f64::from(got) - sum / total).abs() < 1e-3, "{i}");
        }
    }

    #[test]
    fn one_colour_stays_and_a_tiny_blur_is_none() {
        let mut even = vec![77f32; 100];
        blur(&mut Canvas::new(&mut even, 10.into()), 30.0);
        assert!(even.iter().all(|v| (v - 77.0).abs() < 1e-3));
        let before: Vec<f32> = (0..100).map(|i| (i * 37 % 256) as f32).collect();
        let mut values = before.clone();
        blur(&mut Canvas::new(&mut values, 10.into()), 0.1);
        assert!(values.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-15)); // exp(-50) is next to nothing
    }
}
