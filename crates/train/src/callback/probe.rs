use super::{Callback, Moment};
use crate::{Result, StepReport};
use npair_backbones::EmbeddingModel;
use npair_batch::{BatchPlan, BatchSampler, NPairSampler};
use npair_evaluate::{Inputs, embed_ids};
use npair_losses::{Batch, Loss, NPairMc};
use npair_types::{Purpose, Streams};
use serde_json::json;
use std::sync::Arc;

/// Fixed batches of pairs, held out if any are, on which the N-pair loss is measured while training with any loss: the paper's
/// yardstick of convergence (figure 3).
pub struct PairProbe {
    inputs: Arc<dyn Inputs>,
    /// The split whose pairs they are.
    pairs: String,
    plans: Vec<BatchPlan>,
    every: u64,
}

impl PairProbe {
    /// `batches` batches of up to `n` pairs of the inputs, measured every so many steps, before the first and after the last;
    /// `None` if there are no two classes with pairs. `pairs` is what the journal calls them.
    ///
    /// # Errors
    /// Those of drawing pairs.
    pub fn new(
        inputs: &Arc<dyn Inputs>,
        pairs: &str,
        (n, batches): (usize, usize),
        every: u64,
        streams: Streams,
    ) -> Result<Option<Self>> {
        let index = inputs.class_index();
        let n = n.min(index.with_at_least(2).len());
        if n < 2 {
            return Ok(None);
        }
        let mut sampler = NPairSampler::new(index, n, streams.open(Purpose::Evaluation, [1, 0]))?;
        let plans = (0..batches).map(|_| Ok(sampler.next_batch()?)).collect::<Result<_>>()?;
        Ok(Some(Self { inputs: inputs.clone(), pairs: pairs.to_owned(), plans, every }))
    }

    /// The N-pair-mc loss in nats, and the share of the queries whose own positive is nearest of the N. The model embeds where it
    /// is; what is made of that is little, and made on the CPU.
    fn measure(&self, model: &dyn EmbeddingModel) -> Result<(f64, f64)> {
        let (mut loss, mut right, mut queries) = (0., 0usize, 0usize);
        for plan in &self.plans {
            let x = embed_ids(model, self.inputs.as_ref(), &plan.ids, &mut |_| ())?;
            let batch = Batch::new(&x, &plan.labels)?.with_sampled(plan.tuples.clone())?;
            loss += NPairMc.forward(&batch)?.to_f64()? / self.plans.len() as f64;
            let n = plan.ids.len() / 2;
            // Rows of the plan are anchors, then positives.
            let scores = x.narrow(0, 0, n)?.matmul(&x.narrow(0, n, n)?.t()?)?.to_vec2::<f32>()?;
            right += scores.iter().enumerate().filter(|(i, row)| row.iter().all(|s| *s <= row[*i])).count();
            queries += n;
        }
        Ok((loss, right as f64 / queries.max(1) as f64))
    }

    fn report(&self, at: &mut Moment<'_>) -> Result<()> {
        let (n_pair_loss, n_way_accuracy) = self.measure(at.model)?;
        at.record("probe", json!({ "pairs": self.pairs, "n_pair_loss": n_pair_loss, "n_way_accuracy": n_way_accuracy }))
    }
}

impl Callback for PairProbe {
    fn name(&self) -> &str {
        "pair-probe"
    }

    fn begin(&mut self, at: &mut Moment<'_>) -> Result<()> {
        if at.step == 0 { self.report(at) } else { Ok(()) }
    }

    fn step(&mut self, at: &mut Moment<'_>, _: &StepReport) -> Result<()> {
        if at.is_due(self.every) { self.report(at) } else { Ok(()) }
    }
}
