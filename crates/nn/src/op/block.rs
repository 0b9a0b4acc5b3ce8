use super::Statistics;
use super::storage::{shaped, slice, store, with};
use crate::kernel::block::{Block, Trace};
use crate::kernel::norm::Affine;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

/// Convolution, batch norm, ReLU and 2 x 2 max-pooling of (input, weight, gamma and beta as two rows), in f32.
pub(crate) struct Fused {
    pub block: Block,
    pub statistics: Statistics,
    pub epsilon: f64,
    pub shape: Shape,
    pub trace: OnceLock<Trace>,
}

impl Fused {
    const NAME: &'static str = "npair conv2d, batch_norm, relu, max_pool2d";
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        rows: &CpuStorage,
        rl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, rows) = (slice(x, xl)?, slice(w, wl)?, slice::<f32>(rows, rl)?);
        let (gamma, beta) = rows.split_at(rows.len() / 2);
        let out = match &self.statistics {
            Statistics::Batch(cell) => {
                let (out, trace) = self.block.train(x, w, gamma, beta, self.epsilon);
                cell.get_or_init(|| trace.moments.clone());
                self.trace.get_or_init(|| trace);
                out
            }
            Statistics::Given(m) => self.block.evaluate(x, w, &Affine::new(m, self.epsilon, gamma, beta)),
        };
        Ok((store(out), self.shape.clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        rows: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = with(x, |values| {
            with(w, |weight| {
                with(rows, |rows: &[f32]| {
                    with(grad, |grad| {
                        let (gamma, beta) = rows.split_at(rows.len() / 2);
                        let trace = self.trace.get_or_init(|| match &self.statistics {
                            Statistics::Batch(_) => self.block.train(values, weight, gamma, beta, self.epsilon).1,
                            Statistics::Given(m) => {
                                let affine = Affine::new(m, self.epsilon, gamma, beta);
                                self.block.trace(values, weight, &affine, m.clone())
                            }
                        });
                        let of_batch = matches!(self.statistics, Statistics::Batch(_));
                        let arguments = (values, weight, gamma);
                        Ok(self.block.backward(arguments, self.epsilon, trace, grad, x.track_op(), of_batch))
                    })
                })
            })
        })?;
        let dx = g.x.map(|dx| shaped(dx, x)).transpose()?;
        let dw = w.track_op().then(|| shaped(g.weight, w)).transpose()?;
        let drows = rows.track_op().then(|| shaped([g.gamma, g.beta].concat(), rows)).transpose()?;
        Ok((dx, dw, drows))
    }
}
