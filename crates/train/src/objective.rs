use crate::config::{Config, LossConfig, RowsOf};
use crate::losses::{Maker, regulariser};
use crate::mined::Mined;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_batch::{BatchPlan, Roles};
use npair_losses::{
    CrossBatchMemory, Gallery, GalleryLoss, Loss, LossValue, MarginFreeTriplet, NPairMc, NPairOvo, NTuplet,
    NormPenalty, PairLoss, PartValue, Regulariser, SmoothTriplet, SymmetricNPairMc, TripletLoss, TripletMargin,
    WeightedSum,
};
use npair_types::{ClassId, Labels, Purpose, Streams};
use std::collections::HashMap;

/// What a run minimises: a loss, perhaps with a memory of the last batches, and the penalties.
pub(crate) struct Objective {
    form: Form,
    memory: Option<CrossBatchMemory>,
    penalty: Option<NormPenalty>,
    regularisers: Vec<Weighed>,
    streams: Streams,
    device: Device,
}

enum Form {
    Pairs(Box<dyn PairLoss>),
    Triplets(Box<dyn TripletLoss>),
    Tuplets(NTuplet),
    Labelled(Box<dyn Loss>),
    Sum(WeightedSum),
    Mined(Mined),
}

struct Weighed {
    weight: f64,
    of: RowsOf,
    regulariser: Box<dyn Regulariser>,
}

/// The objective of a batch.
pub(crate) struct Aim {
    pub(crate) loss: LossValue,
    /// The losses that `loss` is the sum of, if it is one.
    pub(crate) parts: Vec<PartValue>,
    /// With the penalties: what is to be minimised.
    pub(crate) total: Tensor,
}

impl Aim {
    /// Its values without what they were made of: to be read when the way back is under way, so that a device is not waited
    /// for in between.
    pub(crate) fn values(&self) -> Self {
        let of = |loss: &LossValue| LossValue { value: loss.value.detach(), ..loss.clone() };
        let parts = self.parts.iter().map(|part| PartValue { loss: of(&part.loss), ..part.clone() });
        Self { loss: of(&self.loss), parts: parts.collect(), total: self.total.detach() }
    }
}

impl Objective {
    /// The objective of a configuration on a device; `classes` are those of training.
    pub(crate) fn new(config: &Config, classes: &[ClassId], device: &Device) -> Result<Self> {
        let c = config.norm_penalty;
        let penalty = NormPenalty::new(c.weight, c.form.into())?;
        let penalty = (c.weight > 0.).then_some(penalty);
        let weighed = config.regulariser.iter().map(|c| {
            if !(c.weight.is_finite() && c.weight > 0.) {
                let why = format!("is {}, but has to be a finite number above 0", c.weight);
                return Err(Error::Setting { setting: "regulariser.weight", why });
            }
            Ok(Weighed { weight: c.weight, of: c.of, regulariser: regulariser(c.kind)? })
        });
        let regularisers = weighed.collect::<Result<Vec<_>>>()?;
        let memory = match config.memory.size {
            0 => None,
            // The memory counts batches, of which a step has several.
            size => Some(CrossBatchMemory::new(size, config.memory.start_step * config.optimiser.accumulate as u64)?),
        };
        let form = match config.miner {
            Some(_) if memory.is_some() => {
                let why = "chooses tuples of the batch alone; leave [memory] out".to_owned();
                return Err(Error::Setting { setting: "miner", why });
            }
            Some(miner) => Form::Mined(Mined::new(miner, &config.loss)?),
            None => form(config, classes, device)?,
        };
        let (streams, device) = (Streams::new(config.seed), device.clone());
        let made = Self { form, memory, penalty, regularisers, streams, device };
        if made.memory.is_some() && made.form.gallery_loss().is_none() {
            let why = format!("{} takes no memory: its terms are no queries'; leave [memory] out", config.loss.name());
            return Err(Error::Setting { setting: "memory.size", why });
        }
        if made.of_classes().is_empty() && made.regularisers.iter().any(|r| r.of == RowsOf::Classes) {
            let why = format!("{} has no rows for classes; write of = \"embeddings\"", config.loss.name());
            return Err(Error::Setting { setting: "regulariser.of", why });
        }
        Ok(made)
    }

    /// The objective of a batch by its number, which is remembered then, if there is a memory.
    pub(crate) fn of(&mut self, embeddings: &Tensor, plan: &BatchPlan, batch: u64) -> Result<Aim> {
        let (loss, parts) = self.loss(embeddings, plan, batch)?;
        if let Some(memory) = &mut self.memory {
            memory.remember(embeddings, &plan.labels)?;
        }
        let mut total = loss.value.clone();
        if let Some(penalty) = &self.penalty {
            total = (total + penalty.of(embeddings)?)?;
        }
        for Weighed { weight, of, regulariser } in &self.regularisers {
            let rows = match of {
                RowsOf::Embeddings => vec![embeddings.clone()],
                RowsOf::Classes => self.of_classes(),
            };
            for rows in rows {
                total = (total + (regulariser.of(&rows)? * *weight)?)?;
            }
        }
        Ok(Aim { loss, parts, total })
    }

    fn loss(&self, embeddings: &Tensor, plan: &BatchPlan, batch: u64) -> Result<(LossValue, Vec<PartValue>)> {
        let gallery = || -> Result<Gallery> {
            Ok(match &self.memory {
                Some(memory) => memory.gallery(embeddings, &plan.labels)?,
                None => Gallery::of(embeddings, &plan.labels)?,
            })
        };
        if let Form::Sum(sum) = &self.form {
            return Ok(sum.parts_of(&gallery()?)?);
        }
        let loss = match (&self.form, &plan.roles) {
            (form, _) if self.memory.is_some() => match form.gallery_loss() {
                Some(loss) => loss.against(&gallery()?)?,
                None => return Err(unfit()),
            },
            (Form::Pairs(loss), Roles::Pairs(pairs)) => loss.of_pairs_in(embeddings, pairs)?,
            (Form::Triplets(loss), Roles::Triplets(triplets)) => loss.of_triplets_in(embeddings, triplets)?,
            (Form::Tuplets(loss), Roles::Tuplets(tuplets)) => loss.of_tuplets_in(embeddings, tuplets)?,
            (Form::Labelled(loss), _) => loss.forward(embeddings, &plan.labels)?,
            (Form::Mined(mined), _) => {
                // Of the batch alone: a resumed run draws the same.
                let mut rng = self.streams.open(Purpose::Mining, [batch, 1]);
                mined.of(embeddings, &plan.labels, &mut rng)?
            }
            _ => return Err(unfit()),
        };
        Ok((loss, Vec::new()))
    }

    /// The loss's own variables.
    pub(crate) fn variables(&self) -> Vec<(String, Var)> {
        let own = match &self.form {
            Form::Labelled(loss) => loss.variables(),
            Form::Sum(sum) => sum.variables(),
            _ => Vec::new(),
        };
        own.into_iter().map(|(name, var)| (format!("loss.{name}"), var)).collect()
    }

    /// The rows that the loss has for every class.
    fn of_classes(&self) -> Vec<Tensor> {
        let matrices = self.variables().into_iter().filter(|(_, var)| var.rank() == 2);
        matrices.map(|(_, var)| var.as_tensor().clone()).collect()
    }

    /// What a checkpoint keeps: variables, and what is remembered.
    pub(crate) fn save(&self) -> Result<Vec<(String, Tensor)>> {
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
            let saved = get(&format!("variable/{name}"))?.to_device(&self.device);
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
}

/// Names of the memory's tensors in a checkpoint.
const ROWS: &str = "memory/rows";
const CLASSES: &str = "memory/classes";

fn unfit() -> Error {
    Error::Setting { setting: "loss.name", why: "does not fit the sampler's batches".to_owned() }
}

impl Form {
    fn gallery_loss(&self) -> Option<&dyn GalleryLoss> {
        match self {
            Self::Labelled(loss) => loss.as_gallery_loss(),
            Self::Sum(sum) => sum.as_gallery_loss(),
            _ => None,
        }
    }
}

/// The loss of a configuration.
fn form(config: &Config, classes: &[ClassId], device: &Device) -> Result<Form> {
    let mut maker = Maker::new(config, classes, device);
    Ok(match &config.loss {
        // With a memory a batch's labels say more than its pairs do.
        loss if config.memory.size > 0 && !loss.is_sum() => Form::Labelled(maker.loss(loss)?),
        LossConfig::WeightedSum { parts } => Form::Sum(maker.sum(parts)?),
        LossConfig::NPairMc {} => Form::Pairs(Box::new(NPairMc)),
        LossConfig::NPairMcSymmetric {} => Form::Pairs(Box::new(SymmetricNPairMc)),
        LossConfig::NPairOvo {} => Form::Pairs(Box::new(NPairOvo)),
        LossConfig::Triplet {} => Form::Triplets(Box::new(SmoothTriplet)),
        LossConfig::TripletMargin { margin } => Form::Triplets(Box::new(TripletMargin::new(*margin)?)),
        LossConfig::TripletMarginFree {} => Form::Triplets(Box::new(MarginFreeTriplet)),
        LossConfig::Tuplet {} => Form::Tuplets(NTuplet),
        loss => Form::Labelled(maker.loss(loss)?),
    })
}
