use crate::{Accepts, Batch, PairLossOnRanks, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_types::{ClassId, LabelSets, Settings};
use rand_chacha::ChaCha8Rng;

/// A loss and what it was taken over.
#[derive(Debug, Clone)]
pub struct LossValue {
    /// The scalar, the mean over the terms; backward starts here.
    pub value: Tensor,
    /// Number of terms in the mean.
    pub terms: usize,
    /// Terms with a gradient: fewer than `terms` where a hinge is satisfied. At 0 the batch has nothing to teach. A loss with
    /// hinges reads their number from a device, which it waits for.
    pub active: usize,
    /// The losses that this is the sum of, if it is one.
    pub parts: Vec<PartValue>,
}

/// The value of a part of a sum of losses.
#[derive(Debug, Clone)]
pub struct PartValue {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its loss, not weighed.
    pub loss: LossValue,
}

impl LossValue {
    /// A mean of terms, so many of which have a gradient.
    pub fn new(value: Tensor, terms: usize, active: usize) -> Self {
        Self { value, terms, active, parts: Vec::new() }
    }

    /// A mean of terms that all have a gradient.
    pub fn smooth(value: Tensor, terms: usize) -> Self {
        Self::new(value, terms, terms)
    }

    /// The mean of hinged terms, where 0 means satisfied.
    ///
    /// # Errors
    /// Those of candle.
    pub fn hinged(terms: &Tensor) -> Result<Self> {
        let active = terms.detach().gt(0f64)?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()? as usize;
        Ok(Self::new(terms.mean_all()?, terms.elem_count(), active))
    }

    /// The value 0 of embeddings without a term, where a miner has found nothing, with a gradient of zeros.
    ///
    /// # Errors
    /// Those of candle.
    pub fn nothing(embeddings: &Tensor) -> Result<Self> {
        let sum = embeddings.sum_all()?;
        // Times a tensor: a plain factor of 0 takes the gradient out of candle's graph.
        Ok(Self::new((&sum * sum.zeros_like()?)?, 0, 0))
    }

    /// The value as a number.
    ///
    /// # Errors
    /// Those of candle when the value is fetched.
    pub fn to_f64(&self) -> Result<f64> {
        Ok(self.value.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?)
    }

    /// The values without what they were made of: to be read when the backward pass is under way, so that a device is not waited
    /// for in between.
    pub fn detached(&self) -> Self {
        let part = |part: &PartValue| PartValue { loss: part.loss.detached(), ..part.clone() };
        Self { value: self.value.detach(), parts: self.parts.iter().map(part).collect(), ..self.clone() }
    }
}

/// A loss of a [`Batch`]: its labels, the tuples that were chosen from it, and a reference.
pub trait Loss: Send + Sync {
    /// The loss of a batch. It uses the tuples that were chosen for it and meets the batch's reference, or says that it does not:
    /// [`Batch::check`].
    ///
    /// # Errors
    /// If labels, tuples or shapes do not fit the loss.
    fn forward(&self, batch: &Batch) -> Result<LossValue>;

    /// The batches that it can be taken of, so that a sampler or a miner that does not fit is known before the first batch.
    fn accepts(&self) -> Accepts;

    /// Its name in errors.
    fn name(&self) -> &str;

    /// The loss's own trainable variables, by name.
    fn variables(&self) -> Vec<(String, Var)> {
        Vec::new()
    }

    /// The loss as ranks share its rows, where they can.
    fn on_ranks(&self) -> Option<&dyn PairLossOnRanks> {
        None
    }
}

impl Loss for Box<dyn Loss> {
    fn on_ranks(&self) -> Option<&dyn PairLossOnRanks> {
        (**self).on_ranks()
    }

    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        (**self).forward(batch)
    }

    fn accepts(&self) -> Accepts {
        (**self).accepts()
    }

    fn name(&self) -> &str {
        (**self).name()
    }

    fn variables(&self) -> Vec<(String, Var)> {
        (**self).variables()
    }
}

/// The settings of a loss, which know how to make it: all that a list of losses has to know of one.
pub trait LossSettings: Settings {
    /// The loss of these settings.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range; what the loss's `new` says.
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>>;
}

/// Where a loss is to be used: what losses with variables of their own, most of them rows for every class, are made for.
pub struct LossContext<'a> {
    /// The classes of training (C), at least two.
    pub classes: &'a [ClassId],
    /// How many examples each of them has (C); empty where that is not known, so that nothing can go by it.
    pub sizes: &'a [usize],
    /// The labels of each class, where classes are sets of labels.
    pub sets: Option<&'a LabelSets>,
    /// Width of the embeddings (D).
    pub width: usize,
    /// Draws the first values of the variables.
    pub rng: &'a mut ChaCha8Rng,
    /// Number type of the variables.
    pub dtype: DType,
    /// Where they lie.
    pub device: &'a Device,
}
