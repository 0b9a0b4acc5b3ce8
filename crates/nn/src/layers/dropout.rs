use crate::backend::upload;
use crate::varmap::VarBuilder;
use crate::{Error, Layer, Node, Result, Tape};
use candle_core::{DType, Tensor};
use rand::Rng;

/// Dropout: in training, every entry is 0 with probability p and else divided by 1 - p; in evaluation, the identity.
///
/// What is dropped of a row depends on (seed, step, name of the layer, row) alone, see [`crate::Mode`].
///
/// # Shapes
/// Any, rows first; the result has the input's.
///
/// # Gradient
/// Through the mask.
///
/// # Source
/// Srivastava et al., JMLR 2014.
#[derive(Debug, Clone)]
pub struct Dropout {
    probability: f64,
    key: u64,
}

impl Dropout {
    /// Dropout with probability `probability`, its mask keyed by the prefix of `vb`.
    ///
    /// # Errors
    /// [`Error::Setting`] unless the probability lies in [0, 1).
    pub fn new(vb: &VarBuilder, probability: f64) -> Result<Self> {
        if !(0. ..1.).contains(&probability) {
            let what = format!("dropout probability {probability} does not lie in [0, 1)");
            return Err(Error::Setting { layer: vb.prefix().to_owned(), what });
        }
        Ok(Self { probability, key: vb.key() })
    }
}

impl Layer for Dropout {
    fn record(&self, x: &Node, tape: &mut Tape) -> Result<Node> {
        let count = x.tensor().elem_count();
        let per_row = count / x.dims().first().copied().unwrap_or(1).max(1);
        let rng = tape.mode().dropout(self.key, per_row).filter(|_| self.probability > 0.);
        let Some(mut rng) = rng else { return Ok(x.clone()) };
        let kept = 1. / (1. - self.probability);
        let mask: Vec<f64> =
            (0..count).map(|_| if rng.random::<f64>() < self.probability { 0. } else { kept }).collect();
        // Drawn on the host, the same everywhere; it goes to the device while that computes.
        let dtype = match x.tensor().dtype() {
            // The factor is the same everywhere: rounded to 8 bits, it would move everything one way.
            DType::BF16 => DType::F32,
            own => own,
        };
        let mask = upload(mask, x.dims(), dtype, x.tensor().device())?;
        let masked = move |t: &Tensor| t.to_dtype(dtype)?.mul(&mask)?.to_dtype(t.dtype());
        let (out, id) = (masked(x.tensor())?, x.id());
        Ok(tape.push(out, &[x], &[], move |grad, grads| grads.add(id, || Ok(masked(&grad)?))))
    }
}
