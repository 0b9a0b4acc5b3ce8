//! Made-up embeddings of the size of Stanford Online Products' test set, to the bit those of `benches/peers/products.py`.

use npair_types::Labels;
use rayon::prelude::*;

/// Classes.
pub const CLASSES: usize = 11_316;
/// Rows of all classes together.
pub const ROWS: usize = 60_502;

/// Length of the noise over that of the class's centre: recall@1 is about 0.6 at D = 512.
pub const NOISE: f64 = 2.35;

/// SplitMix64 of a place: the same on every machine, in any order.
fn hash(stream: u64, at: u64) -> u64 {
    let mut z = (stream << 40).wrapping_add(at).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From -1 to 1.
fn number(stream: u64, at: u64) -> f64 {
    (hash(stream, at) >> 11) as f64 * (2. / (1u64 << 53) as f64) - 1.
}

/// Pictures of every class: 2 to 12, small classes more often, `rows` of all.
fn sizes(classes: usize, rows: usize) -> Vec<usize> {
    let draw = |stream, class: usize| (hash(stream, class as u64) % 11) as usize;
    let mut sizes: Vec<usize> = (0..classes).map(|c| 2 + draw(1, c).min(draw(2, c))).collect();
    let mut missing = rows as i64 - sizes.iter().sum::<usize>() as i64;
    let mut at = 0;
    while missing != 0 {
        let size = &mut sizes[at % classes];
        if missing > 0 && *size < 12 {
            (*size, missing) = (*size + 1, missing - 1);
        } else if missing < 0 && *size > 2 {
            (*size, missing) = (*size - 1, missing + 1);
        }
        at += 1;
    }
    sizes
}

/// Rows of length 1 around their class's centre, with so much `noise`, and their classes. `rows` has to be from 2 to 12 times `classes`.
///
/// # Errors
/// If there are more classes than labels can number.
pub fn products(classes: usize, rows: usize, width: usize, noise: f64) -> crate::Result<(Vec<f32>, Labels)> {
    let sizes = sizes(classes, rows);
    let labels: Vec<u32> = sizes.iter().enumerate().flat_map(|(c, &n)| vec![c as u32; n]).collect();
    let mut values = vec![0f32; rows * width];
    values.par_chunks_mut(width).zip(&labels).enumerate().for_each(|(i, (row, &class))| {
        let entry = |d: usize| {
            number(3, u64::from(class) * width as u64 + d as u64) + noise * number(4, (i * width + d) as u64)
        };
        let length = (0..width).map(|d| entry(d) * entry(d)).sum::<f64>().sqrt();
        row.iter_mut().enumerate().for_each(|(d, v)| *v = (entry(d) / length) as f32);
    });
    Ok((values, Labels::new(labels)?))
}
