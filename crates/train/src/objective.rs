use crate::config::{Config, LossConfig};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_batch::{BatchPlan, Roles};
use npair_losses::{
    Contrastive, Loss, LossValue, MarginFreeTriplet, MultiPositiveNPair, NPairMc, NPairOvo, NTuplet, NcaStyle,
    NormPenalty, PairLoss, SmoothTriplet, SoftmaxClassifier, SymmetricNPairMc, TripletLoss, TripletMargin,
};
use npair_types::{ClassId, Purpose, Streams};

/// What a run minimises: a loss, and the penalty of the norms.
pub(crate) struct Objective {
    form: Form,
    penalty: Option<NormPenalty>,
}

enum Form {
    Pairs(Box<dyn PairLoss>),
    Triplets(Box<dyn TripletLoss>),
    Tuplets(NTuplet),
    Labelled(Box<dyn Loss>),
}

impl Objective {
    /// The objective of a configuration; `classes` are those of training.
    pub(crate) fn new(config: &Config, classes: &[ClassId]) -> Result<Self> {
        let form = match config.loss {
            LossConfig::NPairMc {} => Form::Pairs(Box::new(NPairMc)),
            LossConfig::NPairMcSymmetric {} => Form::Pairs(Box::new(SymmetricNPairMc)),
            LossConfig::NPairOvo {} => Form::Pairs(Box::new(NPairOvo)),
            LossConfig::Triplet {} => Form::Triplets(Box::new(SmoothTriplet)),
            LossConfig::TripletMargin { margin } => Form::Triplets(Box::new(TripletMargin::new(margin)?)),
            LossConfig::TripletMarginFree {} => Form::Triplets(Box::new(MarginFreeTriplet)),
            LossConfig::Contrastive { margin } => Form::Labelled(Box::new(Contrastive::new(margin)?)),
            LossConfig::Tuplet {} => Form::Tuplets(NTuplet),
            LossConfig::NcaStyle {} => Form::Labelled(Box::new(NcaStyle)),
            LossConfig::MultiPositiveNPair {} => Form::Labelled(Box::new(MultiPositiveNPair)),
            LossConfig::Softmax {} => {
                let mut rng = Streams::new(config.seed).open(Purpose::Initialisation, [u64::MAX, 0]);
                let d = config.model.embedding;
                Form::Labelled(Box::new(SoftmaxClassifier::new(classes, d, &mut rng, DType::F32, &Device::Cpu)?))
            }
        };
        let c = config.norm_penalty;
        let penalty = NormPenalty::new(c.weight, c.form.into())?;
        Ok(Self { form, penalty: (c.weight > 0.).then_some(penalty) })
    }

    /// The loss of a batch, and with the penalty what is to be minimised.
    pub(crate) fn of(&self, embeddings: &Tensor, plan: &BatchPlan) -> Result<(LossValue, Tensor)> {
        let loss = match (&self.form, &plan.roles) {
            (Form::Pairs(loss), Roles::Pairs(pairs)) => loss.of_pairs_in(embeddings, pairs)?,
            (Form::Triplets(loss), Roles::Triplets(triplets)) => loss.of_triplets_in(embeddings, triplets)?,
            (Form::Tuplets(loss), Roles::Tuplets(tuplets)) => loss.of_tuplets_in(embeddings, tuplets)?,
            (Form::Labelled(loss), _) => loss.forward(embeddings, &plan.labels)?,
            _ => {
                return Err(Error::Setting {
                    setting: "loss.name",
                    why: "does not fit the sampler's batches".to_owned(),
                });
            }
        };
        let total = match &self.penalty {
            Some(penalty) => (&loss.value + penalty.of(embeddings)?)?,
            None => loss.value.clone(),
        };
        Ok((loss, total))
    }

    /// The loss's own variables.
    pub(crate) fn variables(&self) -> Vec<(String, Var)> {
        match &self.form {
            Form::Labelled(loss) => loss.variables().into_iter().map(|(n, v)| (format!("loss.{n}"), v)).collect(),
            _ => Vec::new(),
        }
    }
}
