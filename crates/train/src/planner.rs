use crate::{GradCache, Ranks, Result};
use npair_batch::{BatchPlan, BatchSampler, Candidates, Prototypes};
use npair_evaluate::Loader;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Plans batches ahead of the step, so that their examples are loaded while the model works.
///
/// Plans never run past a point where the sampler waits for prototypes, and the sampler's state is noted right after the
/// batch before each checkpoint: what is planned ahead changes neither batches nor checkpoints.
pub(crate) struct Planner {
    sampler: Box<dyn BatchSampler>,
    /// How batches are cut into pieces, if they are.
    pieces: Option<GradCache>,
    /// Who shares the batches, if somebody does.
    ranks: Option<Ranks>,
    ahead: VecDeque<BatchPlan>,
    /// Number of the next batch to plan.
    next: u64,
    end: u64,
    notes: BTreeMap<u64, Value>,
}

/// Batches planned beyond the one that is due.
const AHEAD: usize = 2;

impl Planner {
    /// Plans batches `next..end`.
    pub(crate) fn new(sampler: Box<dyn BatchSampler>, pieces: Option<GradCache>, next: u64, end: u64) -> Self {
        Self { sampler, pieces, ranks: None, ahead: VecDeque::new(), next, end, notes: BTreeMap::new() }
    }

    /// The same, with this rank's part of every batch loaded.
    pub(crate) fn shared(self, ranks: Option<Ranks>) -> Self {
        Self { ranks, ..self }
    }

    /// Goes on from a saved state of the sampler.
    pub(crate) fn restore(&mut self, state: &Value) -> Result<()> {
        Ok(self.sampler.restore(state)?)
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.sampler.batch_size()
    }

    pub(crate) fn draws_by(&self) -> [&'static str; 2] {
        self.sampler.draws_by()
    }

    pub(crate) fn left_out(&self) -> usize {
        self.sampler.left_out()
    }

    pub(crate) fn batches_per_epoch(&self) -> usize {
        self.sampler.batches_per_epoch()
    }

    /// Plans as far ahead as may be; `noted(b)` says whether the state after batch b will be asked for.
    pub(crate) fn fill(&mut self, loader: &mut dyn Loader, noted: &dyn Fn(u64) -> bool) -> Result<()> {
        while self.ahead.len() <= AHEAD && self.next < self.end && !self.sampler.wants_prototypes() {
            let plan = self.sampler.next_batch()?;
            self.order(loader, &plan);
            self.ahead.push_back(plan);
            if noted(self.next) {
                self.notes.insert(self.next, self.sampler.save()?);
            }
            self.next += 1;
        }
        Ok(())
    }

    /// Asks for the examples of batch `next`: as a whole, or by pieces and twice, so that no more than some pieces are ever in
    /// memory.
    fn order(&self, loader: &mut dyn Loader, plan: &BatchPlan) {
        if let Some(ranks) = &self.ranks {
            for rows in ranks.asks(plan.ids.len(), self.pieces) {
                loader.submit(self.next, rows.start, &plan.ids[rows]);
            }
            return;
        }
        match self.pieces {
            None => loader.submit(self.next, 0, &plan.ids),
            Some(cache) => {
                for rows in [(); 2].iter().flat_map(|()| cache.pieces(plan.ids.len())) {
                    loader.submit(self.next, rows.start, &plan.ids[rows]);
                }
            }
        }
    }

    /// Plans no further than the step of `accumulate` batches that is under way.
    pub(crate) fn stop(&mut self, accumulate: u64) {
        self.end = self.next.next_multiple_of(accumulate).min(self.end);
    }

    /// Number of the batch behind the last one that will be planned.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The candidates to embed, if the due batch waits for prototypes.
    pub(crate) fn candidates(&mut self) -> Option<Candidates> {
        if self.ahead.is_empty() && self.next < self.end { self.sampler.candidates() } else { None }
    }

    pub(crate) fn supply(&mut self, prototypes: Prototypes) -> Result<()> {
        Ok(self.sampler.supply(prototypes)?)
    }

    /// The batch that is due.
    pub(crate) fn due(&mut self) -> Option<BatchPlan> {
        self.ahead.pop_front()
    }

    /// The sampler's state right after batch `batch`: the noted one, or the present one if nothing is planned ahead.
    pub(crate) fn state_after(&mut self, batch: u64) -> Result<Value> {
        // Kept until a later one is asked for: a checkpoint may be written twice, before and after a validation.
        self.notes.retain(|&b, _| b >= batch);
        let noted = self.notes.get(&batch).cloned();
        match noted {
            Some(state) => Ok(state),
            None => Ok(self.sampler.save()?),
        }
    }
}
