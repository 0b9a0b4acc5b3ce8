use crate::embed::embed_ids;
use crate::{Result, Side};
use npair_backbones::EmbeddingNet;
use npair_batch::{BatchPlan, BatchSampler, NPairSampler, Roles};
use npair_data::Pipeline;
use npair_losses::{NPairMc, PairLoss};
use npair_types::{Purpose, Streams};
use serde::Serialize;

/// Fixed batches of pairs, held out if any are, on which the N-pair loss is measured while training with any loss: the paper's yardstick
/// of convergence (figure 3).
pub(crate) struct Probe {
    side: Side,
    pairs: &'static str,
    plans: Vec<BatchPlan>,
}

/// What a probe saw.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Probed {
    /// N-pair-mc loss, nats.
    pub(crate) n_pair_loss: f64,
    /// Share of the queries whose own positive is nearest of the N.
    pub(crate) n_way_accuracy: f64,
}

impl Probe {
    /// `batches` batches of up to `n` pairs of a side; `None` if it has no two classes with pairs.
    pub(crate) fn new(side: &Side, pairs: &'static str, n: usize, batches: usize, seed: u64) -> Result<Option<Self>> {
        let index = side.class_index();
        let n = n.min(index.with_at_least(2).len());
        if n < 2 {
            return Ok(None);
        }
        let mut sampler = NPairSampler::new(index, n, Streams::new(seed).open(Purpose::Evaluation, [1, 0]))?;
        let plans = (0..batches).map(|_| Ok(sampler.next_batch()?)).collect::<Result<_>>()?;
        Ok(Some(Self { side: side.clone(), pairs, plans }))
    }

    /// The split whose pairs they are.
    pub(crate) fn pairs(&self) -> &'static str {
        self.pairs
    }

    /// The network embeds where it is; what is made of that is little, and made on the CPU.
    pub(crate) fn measure(&self, net: &EmbeddingNet, pipeline: &Pipeline) -> Result<Probed> {
        let (mut loss, mut right, mut queries) = (0., 0usize, 0usize);
        for plan in &self.plans {
            let Roles::Pairs(pairs) = &plan.roles else { continue };
            let x = embed_ids(net, self.side.as_ref(), pipeline, &plan.ids, &mut |_| ())?;
            loss += NPairMc.of_pairs_in(&x, pairs)?.to_f64()? / self.plans.len() as f64;
            let n = pairs.len();
            // Rows of the plan are anchors, then positives.
            let scores = x.narrow(0, 0, n)?.matmul(&x.narrow(0, n, n)?.t()?)?.to_vec2::<f32>()?;
            right += scores.iter().enumerate().filter(|(i, row)| row.iter().all(|s| *s <= row[*i])).count();
            queries += n;
        }
        Ok(Probed { n_pair_loss: loss, n_way_accuracy: right as f64 / queries.max(1) as f64 })
    }
}
