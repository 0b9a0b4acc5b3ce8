//! A logistic curve through scores, of two numbers.

/// Rounds of Newton's method.
const ROUNDS: usize = 100;

/// `1 / (1 + exp(-(slope score + offset)))` of the greatest likelihood, each kind of pair weighing as much as the other, with Platt's
/// targets: (n + 1) / (n + 2) instead of 1, which keep the slope finite where a threshold tells the kinds apart.
///
/// # Source
/// Platt, Probabilistic outputs for support vector machines, 1999; Lin, Lin and Weng, Machine Learning 68, 2007 (the damped steps).
pub(super) fn fit(pairs: &[(f64, bool)]) -> (f64, f64) {
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|pair| pair.0).sum::<f64>() / n;
    let deviation = (pairs.iter().map(|pair| (pair.0 - mean).powi(2)).sum::<f64>() / n).sqrt().max(1e-300);
    let same = pairs.iter().filter(|pair| pair.1).count() as f64;
    let rows: Vec<Row> = pairs.iter().map(|&(score, is)| row((score - mean) / deviation, is, same, n - same)).collect();
    let (mut slope, mut offset, mut loss) = (0., 0., loss_of(&rows, 0., 0.));
    for _ in 0..ROUNDS {
        let Some((along, up)) = newton(&rows, slope, offset) else { break };
        let mut step = 1.;
        let better = loop {
            let next = loss_of(&rows, slope - step * along, offset - step * up);
            if next < loss {
                break Some(next);
            }
            step /= 2.;
            if step < 1e-10 {
                break None;
            }
        };
        let Some(next) = better else { break };
        (slope, offset) = (slope - step * along, offset - step * up);
        let gain = loss - next;
        loss = next;
        if gain < 1e-12 {
            break;
        }
    }
    (slope / deviation, offset - slope * mean / deviation)
}

/// A pair: its score, what the curve should say, and its weight.
struct Row {
    score: f64,
    target: f64,
    weight: f64,
}

fn row(score: f64, is: bool, same: f64, other: f64) -> Row {
    match is {
        true => Row { score, target: (same + 1.) / (same + 2.), weight: 0.5 / same },
        false => Row { score, target: 1. / (other + 2.), weight: 0.5 / other },
    }
}

pub(super) fn curve(z: f64) -> f64 {
    match z >= 0. {
        true => 1. / (1. + (-z).exp()),
        false => z.exp() / (1. + z.exp()),
    }
}

fn loss_of(rows: &[Row], slope: f64, offset: f64) -> f64 {
    let one = |row: &Row| {
        let z = slope * row.score + offset;
        // log(1 + e^z) - target z
        row.weight * (z.max(0.) + (-z.abs()).exp().ln_1p() - row.target * z)
    };
    rows.iter().map(one).sum()
}

/// Newton's step; none where the curve is flat.
fn newton(rows: &[Row], slope: f64, offset: f64) -> Option<(f64, f64)> {
    let (mut gradient, mut hessian) = ([0.; 2], [1e-12, 0., 1e-12]);
    for row in rows {
        let p = curve(slope * row.score + offset);
        let (off, bend) = (row.weight * (p - row.target), row.weight * p * (1. - p));
        gradient[0] += off * row.score;
        gradient[1] += off;
        hessian[0] += bend * row.score * row.score;
        hessian[1] += bend * row.score;
        hessian[2] += bend;
    }
    let determinant = hessian[0] * hessian[2] - hessian[1] * hessian[1];
    (determinant > 0.).then(|| {
        let along = (hessian[2] * gradient[0] - hessian[1] * gradient[1]) / determinant;
        let up = (hessian[0] * gradient[1] - hessian[1] * gradient[0]) / determinant;
        (along, up)
    })
}
