use crate::rows::{accept, accept_any, dots, expect_like, pick};
use crate::stable::{log_sum_exp, softplus};
use crate::{Accepts, Batch, Error, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::{D, Tensor};
use npair_types::Tuples;

/// (N+1)-tuplet loss: a query, its positive, and N-1 negatives of its own. What the N-pair batch makes affordable: here a
/// batch of N queries costs N (N + 1) examples.
///
/// ```text
/// L = 1/B  sum_b  log(1 + sum_{j = 1..N-1} exp(f_b . n_bj - f_b . p_b))
/// ```
/// # Shapes
/// `anchors` f, `positives` p: (B, D); `negatives` n: (B, N-1, D), N >= 2; a scalar.
///
/// # Units
/// Nats; log N when all embeddings are equal.
///
/// # Source
/// Sohn, NIPS 2016, equation 3; with one negative it is equation 4.
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use npair_losses::NTuplet;
/// let f = Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?;
/// let n = Tensor::zeros((2, 4, 3), DType::F64, &Device::Cpu)?;
/// assert!((NTuplet.forward_tuplets(&f, &f, &n)?.to_f64()? - 5f64.ln()).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct NTuplet;

npair_types::settings! {
    /// (N+1)-tuplets with their own negatives, equation 3.
    pub struct NTupletSettings {}
}

impl LossSettings for NTupletSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(NTuplet))
    }
}

impl NTuplet {
    /// The loss of B tuplets.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit.
    pub fn forward_tuplets(&self, anchors: &Tensor, positives: &Tensor, negatives: &Tensor) -> Result<LossValue> {
        let anchors = accept("anchors", anchors)?;
        let (b, d) = anchors.dims2()?;
        expect_like("positives", positives, "anchors", &anchors)?;
        let positives = accept("positives", positives)?;
        match negatives.dims() {
            &[rows, n, width] if rows == b && width == d && n > 0 => {}
            got => {
                let want = format!("({b}, N-1, {d}) with N >= 2");
                return Err(Error::Shape { what: "negatives", got: got.to_vec(), want });
            }
        }
        let negatives = accept_any("negatives", negatives)?;
        let hits = negatives.broadcast_mul(&anchors.unsqueeze(1)?)?.sum(D::Minus1)?;
        let above = hits.broadcast_sub(&dots(&anchors, &positives)?.unsqueeze(1)?)?;
        // log(1 + sum exp z) = softplus(log sum exp z)
        Ok(LossValue::smooth(softplus(&log_sum_exp(&above)?)?.mean_all()?, b))
    }
}

impl Loss for NTuplet {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        let (x, Tuples::Tuplets(t)) = (batch.embeddings(), batch.tuples()) else {
            let why = "takes tuplets, and the batch has none: take the tuplet sampler".to_owned();
            return Err(Error::Unfit { loss: self.name().to_owned(), why });
        };
        let [a, p, n] = [t.anchors(), t.positives(), t.negatives()].map(|rows| pick(x, rows));
        self.forward_tuplets(&a?, &p?, &n?.reshape((t.len(), t.per_anchor(), x.dim(1)?))?)
    }

    fn accepts(&self) -> Accepts {
        Accepts::tuplets()
    }

    fn name(&self) -> &str {
        "tuplet loss"
    }
}
