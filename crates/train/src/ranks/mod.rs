mod pace;
mod pair_rows;

use crate::{Error, GradCache, Result, Updater};
use candle_core::{DType, Tensor, Var};
use npair_backbones::{EmbeddingModel, Mode};
use npair_collective::{Collective, Shards, Tag, TreeSum, broadcast_values, gather_values, sum_over_ranks};
use npair_evaluate::{Inputs, embed_ids};
use npair_losses::{LossValue, PairLossOnRanks};
use npair_nn::backward;
use npair_types::{ExampleId, Pairs};
use pace::Paced;
use pair_rows::PairRows;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// One batch on several ranks: every rank embeds its part, all see the loss of the whole.
///
/// ```text
/// 1. the batch is cut into shards, and every rank embeds its own
/// 2. the embeddings E of all are gathered; the loss L(E) and dL/dE are worked out by every rank, to the same bits;
///    N-pair-mc of 4,096 pairs or more is shared: every rank works out its own anchors' rows, in O(N D / ranks) memory
/// 3. dL/dE of a shard's rows is led back into the network; the shards' gradients are added in one order, whoever has them
/// ```
/// So the loss meets all pairs of the batch, with exact gradients, whatever the loss; and as many steps are the same bits on any number of ranks,
/// as long as the number of shards is the same. Only rank 0 writes: journal, checkpoints, curves. The folder has to be one that all ranks see.
///
/// # Gradient
/// That of the whole batch up to the order of sums, dropout included. Batch norm is the exception: its statistics are those of a shard, and
/// the running ones move to the mean of what the shards' own steps would make of them.
#[derive(Debug, Clone)]
pub struct Ranks {
    collective: Paced,
    shards: Shards,
}

/// A batch that is to be learned from.
pub(crate) struct Work<'a> {
    pub(crate) model: &'a dyn EmbeddingModel,
    pub(crate) mode: &'a Mode,
    /// Examples of the whole batch.
    pub(crate) batch: usize,
    /// Its number in the run.
    pub(crate) number: u64,
    pub(crate) pieces: Option<GradCache>,
}

impl Ranks {
    /// From how many pairs on the rows of a loss are shared: below, every rank works out all of them sooner than they could tell each other.
    pub const SHARED_FROM: usize = 4096;

    /// These ranks, each with its part of the shards.
    ///
    /// # Errors
    /// [`Error::Ranks`](crate::Error::Ranks) for more ranks than shards.
    pub fn new(collective: Arc<dyn Collective>, shards: Shards) -> Result<Self> {
        shards.check(collective.ranks())?;
        Ok(Self { collective: Paced::new(collective), shards })
    }

    /// Whether this rank writes.
    pub(crate) fn leads(&self) -> bool {
        self.collective.rank() == 0
    }

    /// An error unless every shard of a batch has examples.
    pub(crate) fn check(&self, batch: usize) -> Result<()> {
        let shards = self.shards.count();
        if shards > batch {
            let why = format!("are {shards}, but a batch has {batch} examples: take fewer");
            return Err(Error::Setting { setting: "shards", why });
        }
        Ok(())
    }

    /// Waits for all; `what` is what was done before.
    pub(crate) fn wait(&self, what: &'static str) -> Result<()> {
        Ok(self.collective.barrier(Tag { what, number: 0 })?)
    }

    /// Whether any rank wants to stop after a step, and a word about a rank that the others wait for.
    pub(crate) fn end_step(&self, stop: bool, step: u64) -> Result<(bool, Option<String>)> {
        let (all, slow) = self.collective.end_step(Tag { what: "stop after step", number: step }, u8::from(stop))?;
        Ok((all.contains(&1), slow))
    }

    /// How many parts a batch has.
    pub(crate) fn shards(&self) -> usize {
        self.shards.count()
    }

    /// Every rank begins with what the first one has: the model, and the loss's own variables.
    pub(crate) fn align(&self, model: &dyn EmbeddingModel, updater: &Updater) -> Result<()> {
        let mut held = Vec::new();
        let own: Vec<(String, Tensor)> = model.tensors()?.into_iter().collect();
        let vars = updater.variables().iter().map(|(_, var)| var.as_tensor());
        for tensor in own.iter().map(|(_, tensor)| tensor).chain(vars) {
            held.extend(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
        }
        let tag = Tag { what: "first weights", number: held.len() as u64 };
        let first: Vec<f32> = broadcast_values(&self.collective, tag, 0, &held)?;
        if self.leads() {
            return Ok(());
        }
        let mut rest = first.as_slice();
        let mut next = |like: &Tensor| {
            let values;
            (values, rest) = rest.split_at(like.elem_count().min(rest.len()));
            Ok::<_, Error>(Tensor::from_slice(values, like.shape(), like.device())?.to_dtype(like.dtype())?)
        };
        let theirs = own.into_iter().map(|(name, tensor)| Ok((name, next(&tensor)?))).collect::<Result<_>>()?;
        model.set_tensors(&theirs)?;
        for (_, var) in updater.variables() {
            var.set(&next(var)?)?;
        }
        Ok(())
    }

    /// The embeddings of examples as [`embed_ids`] makes them, in the same pieces, of which every rank makes some.
    pub(crate) fn embed_ids(
        &self,
        model: &dyn EmbeddingModel,
        inputs: &dyn Inputs,
        ids: &[ExampleId],
    ) -> Result<Tensor> {
        let chunk = inputs.chunk().max(1);
        let chunks = Shards::new(ids.len().div_ceil(chunk).max(1))?;
        let (rank, ranks) = (self.collective.rank(), self.collective.ranks());
        let own = chunks.of_rank(rank, ranks);
        let own = &ids[(own.start * chunk).min(ids.len())..(own.end * chunk).min(ids.len())];
        let values = match own {
            [] => Vec::new(),
            own => embed_ids(model, inputs, own, &mut |_| ())?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?,
        };
        let tag = Tag { what: "embeddings of examples", number: ids.len() as u64 };
        let all = gather_values(&self.collective, tag, &values)?.concat();
        let width = all.len() / ids.len().max(1);
        Ok(Tensor::from_vec(all, (ids.len(), width), &candle_core::Device::Cpu)?)
    }

    /// This rank's shards.
    fn own(&self) -> Range<usize> {
        self.shards.of_rank(self.collective.rank(), self.collective.ranks())
    }

    /// The rows of a shard, piece by piece.
    fn pieces(&self, shard: usize, batch: usize, pieces: Option<GradCache>) -> Vec<Range<usize>> {
        let rows = self.shards.rows(shard, batch);
        match pieces {
            None => vec![rows],
            Some(cache) => cache.pieces(rows.len()).map(|p| rows.start + p.start..rows.start + p.end).collect(),
        }
    }

    /// The rows that this rank asks its loader for, in order.
    pub(crate) fn asks(&self, batch: usize, pieces: Option<GradCache>) -> Vec<Range<usize>> {
        let once: Vec<_> = self.own().flat_map(|shard| self.pieces(shard, batch, pieces)).collect();
        // Pieces are embedded twice.
        if pieces.is_some() { [once.clone(), once].concat() } else { once }
    }

    /// Takes the gradients of a batch: `examples` gives the rows of [`asks`](Self::asks) in order, `loss` the scalar to differentiate for the
    /// embeddings of the whole batch (B, D).
    pub(crate) fn learn(
        &self,
        work: &Work<'_>,
        examples: impl FnMut() -> Result<Tensor>,
        loss: impl FnOnce(&Tensor) -> Result<(Tensor, LossValue)>,
        updater: &mut Updater,
    ) -> Result<LossValue> {
        self.teach(work, examples, updater, |own, updater| self.whole_loss(work, loss, own, updater))
    }

    /// The same of a loss of pairs whose rows the ranks share.
    pub(crate) fn learn_shared(
        &self,
        work: &Work<'_>,
        examples: impl FnMut() -> Result<Tensor>,
        shared: (&dyn PairLossOnRanks, &Pairs),
        updater: &mut Updater,
    ) -> Result<LossValue> {
        self.teach(work, examples, updater, |own, _| self.shared_loss(work, shared, own))
    }

    /// Embeds this rank's rows, and leads back into the network what `loss` makes of them: its gradient by them.
    fn teach(
        &self,
        work: &Work<'_>,
        mut examples: impl FnMut() -> Result<Tensor>,
        updater: &mut Updater,
        loss: impl FnOnce(&[Tensor], &mut Updater) -> Result<(Tensor, LossValue)>,
    ) -> Result<LossValue> {
        let mut buffers = Buffers::of(work.model)?;
        let own = self.embed(work, &mut examples, &mut buffers)?;
        let (by_row, told) = loss(&own, updater)?;
        // Pieces are embedded again.
        let kept = if work.pieces.is_some() { Vec::new() } else { own };
        let taught = Taught::of(work.model, updater);
        let sum = self.lead_back(work, (&by_row, kept), &mut examples, (&taught, &mut buffers))?;
        let sum = sum_over_ranks(&self.collective, self.shards, sum)?;
        updater.add_tensors(&taught.tensors(&sum)?)?;
        buffers.settle(self, work.model)?;
        Ok(told)
    }

    /// The loss of the whole batch, and its gradient by this rank's rows; that by the loss's own variables goes to the updater.
    fn whole_loss(
        &self,
        work: &Work<'_>,
        loss: impl FnOnce(&Tensor) -> Result<(Tensor, LossValue)>,
        own: &[Tensor],
        updater: &mut Updater,
    ) -> Result<(Tensor, LossValue)> {
        let embeddings = Var::from_tensor(&self.gather(work, own)?)?;
        let (scalar, told) = loss(embeddings.as_tensor())?;
        let grads = backward(&scalar)?;
        // Those of the loss's own variables: every rank has worked out all of them.
        updater.add_part(&grads)?;
        // No gradient at all is one of zeros: a loss may be constant.
        let by_row = grads.get(&embeddings).cloned().map_or_else(|| embeddings.zeros_like(), Ok)?.detach();
        let rows = self.own_rows(work.batch);
        Ok((by_row.narrow(0, rows.start, rows.len())?, told))
    }

    /// The same where every rank works out its own pairs' rows.
    fn shared_loss(
        &self,
        work: &Work<'_>,
        (loss, pairs): (&dyn PairLossOnRanks, &Pairs),
        own: &[Tensor],
    ) -> Result<(Tensor, LossValue)> {
        let own = Tensor::cat(&own.iter().map(Tensor::detach).collect::<Vec<_>>(), 0)?;
        let rows = PairRows::new(&self.collective, self.shards, pairs, (work.batch, own.dim(1)?));
        let (value, by_row) = rows.learn(loss, &own)?;
        let value = Tensor::new(value as f32, &work.model.device())?;
        Ok((by_row, LossValue::smooth(value, pairs.len())))
    }

    /// The rows of a batch that this rank has.
    fn own_rows(&self, batch: usize) -> Range<usize> {
        self.shards.rows_of_rank(self.collective.rank(), self.collective.ranks(), batch)
    }

    /// The embeddings of this rank's rows, piece by piece: with a graph unless they will be embedded again.
    fn embed(
        &self,
        work: &Work<'_>,
        examples: &mut impl FnMut() -> Result<Tensor>,
        buffers: &mut Buffers,
    ) -> Result<Vec<Tensor>> {
        let mut own = Vec::new();
        for shard in self.own() {
            buffers.begin(work.model)?;
            for rows in self.pieces(shard, work.batch, work.pieces) {
                let (inputs, mode) = (examples()?, work.mode.from_row(rows.start));
                own.push(match work.pieces {
                    None => work.model.forward(&inputs, &mode)?,
                    Some(_) => work.model.forward_no_grad(&inputs, &mode)?,
                });
            }
            if work.pieces.is_none() {
                buffers.end(work.model, shard)?;
            }
        }
        Ok(own)
    }

    /// The embeddings of the whole batch (B, D), of which this rank has made some.
    fn gather(&self, work: &Work<'_>, own: &[Tensor]) -> Result<Tensor> {
        let mut values = Vec::new();
        for rows in own {
            values.extend(rows.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
        }
        let tag = Tag { what: "embeddings of batch", number: work.number };
        let all = gather_values(&self.collective, tag, &values)?.concat();
        let width = all.len() / work.batch.max(1);
        let embeddings = Tensor::from_vec(all, (work.batch, width), &work.model.device())?;
        Ok(own.first().map_or_else(|| Ok(embeddings.clone()), |rows| embeddings.to_dtype(rows.dtype()))?)
    }

    /// The gradients of this rank's shards, of embeddings that are there or are made again.
    fn lead_back(
        &self,
        work: &Work<'_>,
        (by_row, kept): (&Tensor, Vec<Tensor>),
        examples: &mut impl FnMut() -> Result<Tensor>,
        (taught, buffers): (&Taught, &mut Buffers),
    ) -> Result<TreeSum<f32>> {
        let (mut kept, mut sum) = (kept.into_iter(), TreeSum::new());
        let first = self.own_rows(work.batch).start;
        for shard in self.own() {
            let mut found = taught.nothing();
            if work.pieces.is_some() {
                buffers.begin(work.model)?;
            }
            for rows in self.pieces(shard, work.batch, work.pieces) {
                let by_row = by_row.narrow(0, rows.start - first, rows.len())?;
                let own = match kept.next() {
                    Some(own) => own,
                    None => work.model.forward(&examples()?, &work.mode.from_row(rows.start))?,
                };
                taught.add(&backward(&(own * by_row)?.sum_all()?)?, &mut found)?;
            }
            if work.pieces.is_some() {
                buffers.end(work.model, shard)?;
            }
            sum.add(shard, found);
        }
        Ok(sum)
    }
}

/// The model's variables that train, and how their gradients lie in one list: a variable's values, then whether it had a gradient at all.
struct Taught {
    vars: Vec<Var>,
}

impl Taught {
    fn of(model: &dyn EmbeddingModel, updater: &Updater) -> Self {
        let own: HashSet<_> = model.variables().iter().map(|(_, var)| var.id()).collect();
        Self {
            vars: updater
                .variables()
                .iter()
                .map(|(_, var)| var.clone())
                .filter(|var| own.contains(&var.id()))
                .collect(),
        }
    }

    fn nothing(&self) -> Vec<f32> {
        vec![0.; self.vars.iter().map(|var| var.elem_count() + 1).sum()]
    }

    fn add(&self, grads: &candle_core::backprop::GradStore, to: &mut [f32]) -> Result<()> {
        let mut at = 0;
        for var in &self.vars {
            let count = var.elem_count();
            if let Some(grad) = grads.get(var) {
                let values = grad.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
                to[at..at + count].iter_mut().zip(&values).for_each(|(to, value)| *to += value);
                to[at + count] = 1.;
            }
            at += count + 1;
        }
        Ok(())
    }

    /// The gradients of those that had one.
    fn tensors(&self, sum: &[f32]) -> Result<Vec<(Var, Tensor)>> {
        let (mut at, mut found) = (0, Vec::new());
        for var in &self.vars {
            let count = var.elem_count();
            if sum[at + count] > 0. {
                found.push((var.clone(), Tensor::from_slice(&sum[at..at + count], var.shape(), var.device())?));
            }
            at += count + 1;
        }
        Ok(found)
    }
}

/// What a model has beside its variables, running statistics: every shard begins with the same, and the mean of what they make of it stays.
struct Buffers {
    /// By name, ascending.
    start: Vec<(String, Tensor)>,
    sum: TreeSum<f32>,
}

impl Buffers {
    fn of(model: &dyn EmbeddingModel) -> Result<Self> {
        let variables: HashSet<String> = model.variables().into_iter().map(|(name, _)| name).collect();
        let start = model.tensors()?.into_iter().filter(|(name, _)| !variables.contains(name)).collect();
        Ok(Self { start, sum: TreeSum::new() })
    }

    fn begin(&self, model: &dyn EmbeddingModel) -> Result<()> {
        self.set(model, self.start.iter().cloned())
    }

    /// Keeps what a shard has made of them.
    fn end(&mut self, model: &dyn EmbeddingModel, shard: usize) -> Result<()> {
        if self.start.is_empty() {
            return Ok(());
        }
        let now = model.tensors()?;
        let mut values = Vec::new();
        for tensor in self.start.iter().filter_map(|(name, _)| now.get(name)) {
            values.extend(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
        }
        self.sum.add(shard, values);
        Ok(())
    }

    /// The model goes on with the mean over all shards.
    fn settle(self, ranks: &Ranks, model: &dyn EmbeddingModel) -> Result<()> {
        if self.start.is_empty() {
            return Ok(());
        }
        let Self { start, sum } = self;
        let sum = sum_over_ranks(&ranks.collective, ranks.shards, sum)?;
        let share = 1. / ranks.shards.count() as f32;
        let (mut at, mut mean) = (0, Vec::new());
        for (name, tensor) in &start {
            let values: Vec<f32> = sum[at..at + tensor.elem_count()].iter().map(|value| value * share).collect();
            at += values.len();
            mean.push((
                name.clone(),
                Tensor::from_vec(values, tensor.shape(), tensor.device())?.to_dtype(tensor.dtype())?,
            ));
        }
        Self { start, sum: TreeSum::new() }.set(model, mean.into_iter())
    }

    fn set(&self, model: &dyn EmbeddingModel, buffers: impl Iterator<Item = (String, Tensor)>) -> Result<()> {
        if self.start.is_empty() {
            return Ok(());
        }
        let mut all: HashMap<String, Tensor> = model.tensors()?.into_iter().collect();
        all.extend(buffers);
        Ok(model.set_tensors(&all)?)
    }
}
