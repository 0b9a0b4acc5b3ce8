use crate::{Error, Ranks, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_batch::{BatchPlan, BatchSampler, TupleMiner};
use npair_losses::{Batch, CrossBatchMemory, Loss, LossValue, PairLossOnRanks, Regularizer};
use npair_types::{Labels, Pairs, Purpose, Streams, Tuples};
use rand::Rng;
use std::collections::HashMap;

/// The rows that a regularizer is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowsOf {
    /// The embeddings of the batch.
    #[default]
    Embeddings,
    /// What the loss has for every class: weights, proxies, centers.
    Classes,
}

/// A regularizer, what it is multiplied by and what it is taken of.
pub(crate) struct Penalty {
    pub(crate) weight: f64,
    pub(crate) of: RowsOf,
    pub(crate) regularizer: Box<dyn Regularizer>,
}

/// What a run minimizes: a loss, of tuples that a miner chose or with a memory of the last batches, and the penalties.
pub(crate) struct Objective {
    pub(crate) loss: Box<dyn Loss>,
    pub(crate) miner: Option<Box<dyn TupleMiner>>,
    pub(crate) memory: Option<CrossBatchMemory>,
    pub(crate) penalties: Vec<Penalty>,
    pub(crate) streams: Streams,
    pub(crate) device: Device,
}

impl Objective {
    /// The loss of a batch by its number, and with the penalties what is to be minimized. The batch is remembered then, if there is a
    /// memory.
    pub(crate) fn of(&mut self, embeddings: &Tensor, plan: &BatchPlan, number: u64) -> Result<(Tensor, LossValue)> {
        let loss = self.loss(embeddings, plan, number)?;
        if let Some(memory) = &mut self.memory {
            memory.remember(embeddings, &plan.labels)?;
        }
        let mut total = loss.value.clone();
        for Penalty { weight, of, regularizer } in &self.penalties {
            let rows = match of {
                RowsOf::Embeddings => vec![embeddings.clone()],
                RowsOf::Classes => self.class_rows(),
            };
            for rows in rows {
                let penalty = regularizer.penalty(&rows)?;
                total = (total + if *weight == 1. { penalty } else { (penalty * *weight)? })?;
            }
        }
        Ok((total, loss))
    }

    /// The same, with a loss whose values are read when the way back is under way, so that a device is not waited for in between.
    pub(crate) fn detached(
        &mut self,
        embeddings: &Tensor,
        plan: &BatchPlan,
        number: u64,
    ) -> Result<(Tensor, LossValue)> {
        let (total, loss) = self.of(embeddings, plan, number)?;
        Ok((total, loss.detached()))
    }

    /// The loss and its pairs, where ranks share its rows: there are many, and nothing else looks at the whole batch.
    pub(crate) fn shared<'a>(&'a self, tuples: &'a Tuples) -> Option<(&'a dyn PairLossOnRanks, &'a Pairs)> {
        let Tuples::Pairs(pairs) = tuples else { return None };
        let alone = self.miner.is_none() && self.memory.is_none() && self.penalties.is_empty();
        let loss = self.loss.on_ranks().filter(|_| alone && pairs.len() >= Ranks::SHARED_FROM)?;
        Some((loss, pairs))
    }

    fn loss(&self, embeddings: &Tensor, plan: &BatchPlan, number: u64) -> Result<LossValue> {
        let batch = match &self.memory {
            Some(memory) => memory.batch(embeddings, &plan.labels)?,
            None => Batch::new(embeddings, &plan.labels)?,
        };
        let Some(miner) = &self.miner else {
            return Ok(self.loss.forward(&batch.with_sampled(plan.tuples.clone())?)?);
        };
        // Of the batch alone: a resumed run draws the same.
        let mut rng = self.streams.open(Purpose::Mining, [number, 1]);
        match miner.mine(&embeddings.detach(), &plan.labels, &mut rng)?.tuples {
            Some(tuples) => Ok(self.loss.forward(&batch.with_tuples(tuples)?)?),
            None => Ok(LossValue::nothing(embeddings)?),
        }
    }

    /// The loss's own variables.
    pub(crate) fn variables(&self) -> Vec<(String, Var)> {
        self.loss.variables().into_iter().map(|(name, var)| (format!("loss.{name}"), var)).collect()
    }

    /// The rows that the loss has for every class.
    pub(crate) fn class_rows(&self) -> Vec<Tensor> {
        let matrices = self.loss.variables().into_iter().filter(|(_, var)| var.rank() == 2);
        matrices.map(|(_, var)| var.as_tensor().clone()).collect()
    }

    /// What a checkpoint keeps: variables, and what is remembered.
    pub(crate) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let own = self.variables().into_iter();
        let mut out: Vec<_> = own.map(|(name, var)| (format!("variable/{name}"), var.as_tensor().clone())).collect();
        if let Some((memory, rows)) = self.memory.as_ref().and_then(|memory| Some((memory, memory.rows()?))) {
            let classes: Vec<u32> = memory.labels().iter().map(|class| class.0).collect();
            out.push((ROWS.to_owned(), rows.clone()));
            out.push((CLASSES.to_owned(), Tensor::from_slice(&classes, classes.len(), rows.device())?));
        }
        Ok(out)
    }

    /// Goes on from what a checkpoint kept after `batches` batches; the error says what is missing or does not fit.
    pub(crate) fn restore(
        &mut self,
        tensors: &HashMap<String, Tensor>,
        batches: u64,
    ) -> std::result::Result<(), String> {
        let get = |key: &str| tensors.get(key).ok_or(format!("{key} is missing"));
        for (name, var) in self.variables() {
            let key = format!("variable/{name}");
            // Earlier releases had centres.
            let saved = get(&key).or_else(|why| get(&key.replace("center", "centre")).map_err(|_| why))?;
            let saved = saved.to_device(&self.device);
            saved.and_then(|saved| var.set(&saved)).map_err(|e| e.to_string())?;
        }
        let Some(memory) = &mut self.memory else { return Ok(()) };
        let kept = match tensors.contains_key(ROWS) {
            true => {
                let classes = get(CLASSES)?.to_dtype(DType::U32).and_then(|t| t.to_vec1::<u32>());
                let labels = Labels::new(classes.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
                Some((get(ROWS)?.to_device(&self.device).map_err(|e| e.to_string())?, labels))
            }
            false => None,
        };
        memory.restore(batches, kept).map_err(|e| e.to_string())
    }

    /// What cannot work together, before anything is trained.
    pub(crate) fn check(&self, sampler: &dyn BatchSampler) -> Result<()> {
        let mined = self.miner.as_ref().map(|miner| miner.kind());
        self.loss.accepts().check(sampler.kind(), mined, self.memory.is_some()).map_err(|why| {
            let miner = self.miner.as_ref().map_or(String::new(), |miner| format!(", miner {}", miner.name()));
            let memory = if self.memory.is_some() { ", a memory" } else { "" };
            Error::Mismatch {
                parts: format!("loss {}, sampler {}{miner}{memory}", self.loss.name(), sampler.name()),
                why: why.to_string(),
            }
        })?;
        if self.class_rows().is_empty() && self.penalties.iter().any(|p| p.of == RowsOf::Classes) {
            let why = format!("{} has no rows for classes; write of = \"embeddings\"", self.loss.name());
            return Err(Error::Setting { setting: "regularizer.of", why });
        }
        Ok(())
    }
}

impl Objective {
    /// Tries the loss on the first batch with made-up embeddings of the width, and sets the sampler back: what cannot be worked
    /// out of such batches is said before anything is trained. A batch that would take seconds is not tried.
    pub(crate) fn try_out(&self, sampler: &mut dyn BatchSampler, width: usize) -> Result<()> {
        const LARGE: usize = 4096;
        if sampler.wants_prototypes() || sampler.batch_size() > LARGE {
            return Ok(());
        }
        let state = sampler.save()?;
        let plan = sampler.next_batch()?;
        sampler.restore(&state)?;
        let mut rng = self.streams.open(Purpose::Synthesis, [u64::MAX, 0]);
        let values: Vec<f32> = (0..plan.ids.len() * width).map(|_| rng.random_range(-0.1..0.1)).collect();
        let embeddings = Tensor::from_vec(values, (plan.ids.len(), width), &self.device)?;
        self.loss(&embeddings, &plan, 0).map(|_| ()).map_err(|error| {
            let parts = format!("loss {}, sampler {}", self.loss.name(), sampler.name());
            Error::Mismatch { parts, why: error.to_string() }
        })
    }
}

/// Names of the memory's tensors in a checkpoint.
const ROWS: &str = "memory/rows";
const CLASSES: &str = "memory/classes";
