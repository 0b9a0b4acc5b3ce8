use super::{Cell, Rule, Whole};
use candle_core::{Result, Tensor};

/// Adam.
///
/// ```text
/// m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
/// x -= rate * m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon)
/// ```
/// # Source
/// Kingma and Ba, ICLR 2015, algorithm 1.
pub(super) struct Adam {
    pub(super) betas: [f64; 2],
    pub(super) epsilon: f64,
}

impl Rule for Adam {
    fn memory(&self) -> &'static [&'static str] {
        &["first", "second"]
    }

    fn update(&self, cell: Cell, rate: f64, step: u64) {
        let [b1, b2] = self.betas;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let (c1, c2) = (1. - b1.powi(t), 1. - b2.powi(t));
        let [first, second] = cell.memory else { return };
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((x, &g), (m, v)) in cell.value.iter_mut().zip(cell.grad).zip(moments) {
            let g = f64::from(g) * cell.scale;
            let (m1, v1) = (b1 * f64::from(*m) + (1. - b1) * g, b2 * f64::from(*v) + (1. - b2) * g * g);
            (*m, *v) = (m1 as f32, v1 as f32);
            *x = (f64::from(*x) * cell.keep - rate * (m1 / c1) / ((v1 / c2).sqrt() + self.epsilon)) as f32;
        }
    }

    fn update_whole(&self, whole: Whole, rate: f64, step: u64) -> Result<Tensor> {
        let [b1, b2] = self.betas;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let (c1, c2) = (1. - b1.powi(t), 1. - b2.powi(t));
        let [first, second] = whole.memory else { return Ok(whole.value.clone()) };
        let g = whole.grad.affine(whole.scale, 0.)?;
        *first = first.affine(b1, 0.)?.add(&g.affine(1. - b1, 0.)?)?;
        *second = second.affine(b2, 0.)?.add(&g.sqr()?.affine(1. - b2, 0.)?)?;
        let root = second.affine(1. / c2, 0.)?.sqrt()?.affine(1., self.epsilon)?;
        whole.value.affine(whole.keep, 0.)?.sub(&first.affine(rate / c1, 0.)?.div(&root)?)
    }
}
