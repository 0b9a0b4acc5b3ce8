use crate::config::{Config, LossConfig};
use crate::mined::Mined;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_batch::{BatchPlan, Roles};
use npair_losses::{
    Angular, ArcFace, Circle, Contrastive, ContrastiveAll, CosFace, FastAp, GeneralisedLiftedStructure, Histogram,
    LiftedStructure, Loss, LossValue, MarginFreeTriplet, MarginLoss, MultiPositiveNPair, MultiSimilarity, NPairMc,
    NPairOvo, NTuplet, NcaStyle, NormPenalty, NormalisedSoftmax, NtXent, PairLoss, ProxyAnchor, ProxyNca, RankedList,
    Regulariser, SigLip, SmoothAp, SmoothTriplet, SoftTriple, SoftmaxClassifier, SphereFace, SubCentreArcFace, SupCon,
    SymmetricNPairMc, TripletBatchHard, TripletLoss, TripletMargin, TripletMarginAll, TupletMargin,
};
use npair_types::{ClassId, Purpose, Streams};

/// What a run minimises: a loss, and the penalty of the norms.
pub(crate) struct Objective {
    form: Form,
    penalty: Option<NormPenalty>,
    streams: Streams,
}

enum Form {
    Pairs(Box<dyn PairLoss>),
    Triplets(Box<dyn TripletLoss>),
    Tuplets(NTuplet),
    Labelled(Box<dyn Loss>),
    Mined(Mined),
}

impl Objective {
    /// The objective of a configuration; `classes` are those of training.
    pub(crate) fn new(config: &Config, classes: &[ClassId]) -> Result<Self> {
        let form = match config.miner {
            Some(miner) => Form::Mined(Mined::new(miner, config.loss)?),
            None => form(config, classes)?,
        };
        let c = config.norm_penalty;
        let penalty = NormPenalty::new(c.weight, c.form.into())?;
        Ok(Self { form, penalty: (c.weight > 0.).then_some(penalty), streams: Streams::new(config.seed) })
    }

    /// The loss of a batch by its number, and with the penalty what is to be minimised.
    pub(crate) fn of(&self, embeddings: &Tensor, plan: &BatchPlan, batch: u64) -> Result<(LossValue, Tensor)> {
        let loss = match (&self.form, &plan.roles) {
            (Form::Pairs(loss), Roles::Pairs(pairs)) => loss.of_pairs_in(embeddings, pairs)?,
            (Form::Triplets(loss), Roles::Triplets(triplets)) => loss.of_triplets_in(embeddings, triplets)?,
            (Form::Tuplets(loss), Roles::Tuplets(tuplets)) => loss.of_tuplets_in(embeddings, tuplets)?,
            (Form::Labelled(loss), _) => loss.forward(embeddings, &plan.labels)?,
            (Form::Mined(mined), _) => {
                // Of the batch alone: a resumed run draws the same.
                let mut rng = self.streams.open(Purpose::Mining, [batch, 1]);
                mined.of(embeddings, &plan.labels, &mut rng)?
            }
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

/// The loss of a configuration.
fn form(config: &Config, classes: &[ClassId]) -> Result<Form> {
    let mut rng = Streams::new(config.seed).open(Purpose::Initialisation, [u64::MAX, 0]);
    let (d, f32, cpu) = (config.model.embedding, DType::F32, &Device::Cpu);
    let rng = &mut rng;
    Ok(match config.loss {
        LossConfig::NPairMc {} => Form::Pairs(Box::new(NPairMc)),
        LossConfig::NPairMcSymmetric {} => Form::Pairs(Box::new(SymmetricNPairMc)),
        LossConfig::NPairOvo {} => Form::Pairs(Box::new(NPairOvo)),
        LossConfig::Triplet {} => Form::Triplets(Box::new(SmoothTriplet)),
        LossConfig::TripletMargin { margin } => Form::Triplets(Box::new(TripletMargin::new(margin)?)),
        LossConfig::TripletMarginFree {} => Form::Triplets(Box::new(MarginFreeTriplet)),
        LossConfig::Tuplet {} => Form::Tuplets(NTuplet),
        LossConfig::Contrastive { margin } => labelled(Contrastive::new(margin)?),
        LossConfig::NcaStyle {} => labelled(NcaStyle),
        LossConfig::MultiPositiveNPair {} => labelled(MultiPositiveNPair),
        LossConfig::Softmax {} => labelled(SoftmaxClassifier::new(classes, d, rng, f32, cpu)?),
        LossConfig::LiftedStructure { negative, positive } => labelled(LiftedStructure::new(negative, positive)?),
        LossConfig::GeneralisedLiftedStructure { negative, positive } => {
            labelled(GeneralisedLiftedStructure::new(negative, positive)?)
        }
        LossConfig::Histogram { nodes } => labelled(Histogram::new(nodes)?),
        LossConfig::Angular { degrees } => labelled(Angular::new(degrees)?),
        LossConfig::TupletMargin { degrees, scale } => labelled(TupletMargin::new(degrees, scale)?),
        LossConfig::TripletBatchHard { margin } => labelled(TripletBatchHard::new(margin)?),
        LossConfig::TripletBatchHardSoft {} => labelled(TripletBatchHard::soft()),
        LossConfig::TripletMarginAll { margin, reducer } => labelled(TripletMarginAll::new(margin, reducer.into())?),
        LossConfig::ContrastiveAll { positive, negative, reducer } => {
            labelled(ContrastiveAll::new(positive, negative, reducer.into())?)
        }
        LossConfig::FastAp { bins } => labelled(FastAp::new(bins)?),
        LossConfig::SmoothAp { temperature } => labelled(SmoothAp::new(temperature)?),
        LossConfig::RankedList { boundary, margin, temperature, balance } => {
            labelled(RankedList::new(boundary, margin, temperature, balance)?)
        }
        LossConfig::MultiSimilarity { alpha, beta, base } => labelled(MultiSimilarity::new(alpha, beta, base)?),
        LossConfig::Circle { margin, gamma } => labelled(Circle::new(margin, gamma)?),
        LossConfig::NtXent { temperature } => labelled(NtXent::new(temperature)?),
        LossConfig::SupCon { temperature } => labelled(SupCon::new(temperature)?),
        LossConfig::SphereFace { margin, scale } => {
            labelled(SphereFace::new(classes, d, rng, f32, cpu)?.with_margin(margin)?.with_scale(scale)?)
        }
        LossConfig::CosFace { margin, scale } => {
            labelled(CosFace::new(classes, d, rng, f32, cpu)?.with_margin(margin)?.with_scale(scale)?)
        }
        LossConfig::ArcFace { margin, scale } => {
            labelled(ArcFace::new(classes, d, rng, f32, cpu)?.with_margin(margin)?.with_scale(scale)?)
        }
        LossConfig::SubCentreArcFace { centres, margin, scale } => {
            labelled(SubCentreArcFace::new(classes, centres, d, rng, f32, cpu)?.with_margin(margin)?.with_scale(scale)?)
        }
        LossConfig::NormalisedSoftmax { temperature } => {
            labelled(NormalisedSoftmax::new(classes, d, rng, f32, cpu)?.with_temperature(temperature)?)
        }
        LossConfig::ProxyNca { scale } => labelled(ProxyNca::new(classes, d, rng, f32, cpu)?.with_scale(scale)?),
        LossConfig::ProxyAnchor { alpha, margin } => {
            labelled(ProxyAnchor::new(classes, d, rng, f32, cpu)?.with_alpha(alpha)?.with_margin(margin)?)
        }
        LossConfig::SoftTriple { centres, lambda, gamma, margin } => labelled(
            SoftTriple::new(classes, centres, d, rng, f32, cpu)?
                .with_lambda(lambda)?
                .with_gamma(gamma)?
                .with_margin(margin)?,
        ),
        LossConfig::Margin { margin, reducer } => {
            labelled(MarginLoss::new(classes, f32, cpu)?.with_margin(margin)?.with_reducer(reducer.into()))
        }
        LossConfig::SigLip {} => labelled(SigLip::new(f32, cpu)?),
    })
}

fn labelled(loss: impl Loss + 'static) -> Form {
    Form::Labelled(Box::new(loss))
}
