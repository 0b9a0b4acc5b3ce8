use super::*;

/// Numbers that look drawn, in [-1, 1).
fn drawn(seed: usize, count: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729 + i * i % 613) % 2003) as f64 / 1001.5 - 1.).collect()
}

/// Result and gradient by their formulas, sum by sum.
fn plain(heads: Heads, qkv: &[f64], grad: &[f64]) -> [Vec<f64>; 2] {
    let Heads { batch, tokens, heads: count, width } = heads;
    let (channels, scale) = (count * width, 1. / (width as f64).sqrt());
    let mut out = vec![0.; batch * tokens * channels];
    let mut dx = vec![0.; qkv.len()];
    for (image, head) in (0..batch).flat_map(|b| (0..count).map(move |h| (b, h))) {
        let at = |t: usize, part: usize| ((image * tokens + t) * 3 + part) * channels + head * width;
        let to = |t: usize| (image * tokens + t) * channels + head * width;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let row = |at: usize| &qkv[at..at + width];
        for i in 0..tokens {
            let logits: Vec<f64> = (0..tokens).map(|j| scale * dot(row(at(i, 0)), row(at(j, 1)))).collect();
            let total: f64 = logits.iter().map(|l| l.exp()).sum();
            let p: Vec<f64> = logits.iter().map(|l| l.exp() / total).collect();
            let g = &grad[to(i)..to(i) + width];
            let slopes: Vec<f64> = (0..tokens).map(|j| dot(g, row(at(j, 2)))).collect();
            let mean = dot(&p, &slopes);
            for j in 0..tokens {
                let s = p[j] * (slopes[j] - mean) * scale;
                for d in 0..width {
                    out[to(i) + d] += p[j] * qkv[at(j, 2) + d];
                    dx[at(j, 2) + d] += p[j] * g[d];
                    dx[at(i, 0) + d] += s * qkv[at(j, 1) + d];
                    dx[at(j, 1) + d] += s * qkv[at(i, 0) + d];
                }
            }
        }
    }
    [out, dx]
}

#[test]
fn attention_is_its_formula() {
    // One token; one block of rows; several, the last one shorter; widths that fill no register.
    for (tokens, width) in [(1, 4), (5, 7), (33, 64), (130, 8), (261, 20)] {
        let heads = Heads { batch: 2, tokens, heads: 3, width };
        let qkv: Vec<f64> = drawn(1, 2 * tokens * 9 * width).into_iter().map(|v| 3. * v).collect();
        let grad = drawn(2, 2 * tokens * 3 * width);
        let want = plain(heads, &qkv, &grad);
        let (out, rows) = heads.attend(&qkv);
        let found = [out.clone(), heads.attend_vjp(&qkv, &out, &rows, &grad)];
        let narrow = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let (out, rows) = heads.attend(&narrow(&qkv));
        let single = [out.clone(), heads.attend_vjp(&narrow(&qkv), &out, &rows, &narrow(&grad))];
        for ((want, found), single) in want.iter().zip(found).zip(single) {
            for ((want, found), single) in want.iter().zip(found).zip(single) {
                assert!((found - want).abs() < 1e-12 * (tokens as f64), "{heads:?}: {found} is not {want}");
                // Sums of `tokens` products, of logits up to `9 sqrt(width)` whose errors are those of the weights.
                let most = (tokens + 9 * width) as f64 * f64::from(f32::EPSILON);
                assert!((f64::from(single) - want).abs() < most * 2., "{heads:?}: {single} is not {want}");
            }
        }
    }
}

#[test]
fn a_value_that_is_no_number_is_seen_by_its_own_image_alone() {
    let heads = Heads { batch: 2, tokens: 5, heads: 1, width: 4 };
    let mut qkv = drawn(3, 2 * 5 * 12);
    qkv[0] = f64::NAN;
    let (out, _) = heads.attend(&qkv);
    assert!(out[..4].iter().all(|v| v.is_nan()) && out[4..].iter().all(|v| v.is_finite()));
}
