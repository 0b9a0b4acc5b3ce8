use crate::config::{Config, LossConfig, PartConfig, RegulariserName};
use crate::{Error, Result};
use candle_core::{DType, Device};
use npair_losses::{
    Angular, ArcFace, CentreInvariant, Circle, Contrastive, ContrastiveAll, CosFace, FastAp,
    GeneralisedLiftedStructure, Histogram, KoLeo, LiftedStructure, Loss, LpNorm, MarginFreeTriplet, MarginLoss,
    MultiPositiveNPair, MultiSimilarity, NPairMc, NPairOvo, NcaStyle, NormalisedSoftmax, NtXent, ProxyAnchor, ProxyNca,
    RankedList, RegularFace, Regulariser, SigLip, SmoothAp, SmoothTriplet, SoftTriple, SoftmaxClassifier,
    SparseCentres, SphereFace, SubCentreArcFace, SupCon, SymmetricNPairMc, TripletBatchHard, TripletMargin,
    TripletMarginAll, TupletMargin, Uniformity, WeightedSum, ZeroMean,
};
use npair_types::{ClassId, Purpose, Streams};
use rand_chacha::ChaCha8Rng;

/// Makes losses of labelled batches by their settings.
pub(crate) struct Maker<'a> {
    classes: &'a [ClassId],
    width: usize,
    rng: ChaCha8Rng,
    device: &'a Device,
}

impl<'a> Maker<'a> {
    /// For the classes of training, with variables on this device.
    pub(crate) fn new(config: &Config, classes: &'a [ClassId], device: &'a Device) -> Self {
        let rng = Streams::new(config.seed).open(Purpose::Initialisation, [u64::MAX, 0]);
        Self { classes, width: config.model.embedding, rng, device }
    }

    /// The loss of these settings.
    pub(crate) fn loss(&mut self, config: &LossConfig) -> Result<Box<dyn Loss>> {
        let (classes, d, rng, f32, device) = (self.classes, self.width, &mut self.rng, DType::F32, self.device);
        Ok(match *config {
            LossConfig::NPairMc {} => Box::new(NPairMc),
            LossConfig::NPairMcSymmetric {} => Box::new(SymmetricNPairMc),
            LossConfig::NPairOvo {} => Box::new(NPairOvo),
            LossConfig::Triplet {} => Box::new(SmoothTriplet),
            LossConfig::TripletMargin { margin } => Box::new(TripletMargin::new(margin)?),
            LossConfig::TripletMarginFree {} => Box::new(MarginFreeTriplet),
            LossConfig::Tuplet {} => {
                let why = "the tuplet loss needs batches of its own; it is no part of a sum".to_owned();
                return Err(Error::Setting { setting: "loss.parts", why });
            }
            LossConfig::WeightedSum { ref parts } => Box::new(self.sum(parts)?),
            LossConfig::Contrastive { margin } => Box::new(Contrastive::new(margin)?),
            LossConfig::NcaStyle {} => Box::new(NcaStyle),
            LossConfig::MultiPositiveNPair {} => Box::new(MultiPositiveNPair),
            LossConfig::Softmax {} => Box::new(SoftmaxClassifier::new(classes, d, rng, f32, device)?),
            LossConfig::LiftedStructure { negative, positive } => Box::new(LiftedStructure::new(negative, positive)?),
            LossConfig::GeneralisedLiftedStructure { negative, positive } => {
                Box::new(GeneralisedLiftedStructure::new(negative, positive)?)
            }
            LossConfig::Histogram { nodes } => Box::new(Histogram::new(nodes)?),
            LossConfig::Angular { degrees } => Box::new(Angular::new(degrees)?),
            LossConfig::TupletMargin { degrees, scale } => Box::new(TupletMargin::new(degrees, scale)?),
            LossConfig::TripletBatchHard { margin } => Box::new(TripletBatchHard::new(margin)?),
            LossConfig::TripletBatchHardSoft {} => Box::new(TripletBatchHard::soft()),
            LossConfig::TripletMarginAll { margin, reducer } => {
                Box::new(TripletMarginAll::new(margin, reducer.reducer()?)?)
            }
            LossConfig::ContrastiveAll { positive, negative, reducer } => {
                Box::new(ContrastiveAll::new(positive, negative, reducer.reducer()?)?)
            }
            LossConfig::FastAp { bins } => Box::new(FastAp::new(bins)?),
            LossConfig::SmoothAp { temperature } => Box::new(SmoothAp::new(temperature)?),
            LossConfig::RankedList { boundary, margin, temperature, balance } => {
                Box::new(RankedList::new(boundary, margin, temperature, balance)?)
            }
            LossConfig::MultiSimilarity { alpha, beta, base } => Box::new(MultiSimilarity::new(alpha, beta, base)?),
            LossConfig::Circle { margin, gamma } => Box::new(Circle::new(margin, gamma)?),
            LossConfig::NtXent { temperature } => Box::new(NtXent::new(temperature)?),
            LossConfig::SupCon { temperature } => Box::new(SupCon::new(temperature)?),
            LossConfig::SphereFace { margin, scale } => {
                Box::new(SphereFace::new(classes, d, rng, f32, device)?.with_margin(margin)?.with_scale(scale)?)
            }
            LossConfig::CosFace { margin, scale } => {
                Box::new(CosFace::new(classes, d, rng, f32, device)?.with_margin(margin)?.with_scale(scale)?)
            }
            LossConfig::ArcFace { margin, scale } => {
                Box::new(ArcFace::new(classes, d, rng, f32, device)?.with_margin(margin)?.with_scale(scale)?)
            }
            LossConfig::SubCentreArcFace { centres, margin, scale } => {
                let loss = SubCentreArcFace::new(classes, centres, d, rng, f32, device)?;
                Box::new(loss.with_margin(margin)?.with_scale(scale)?)
            }
            LossConfig::NormalisedSoftmax { temperature } => {
                Box::new(NormalisedSoftmax::new(classes, d, rng, f32, device)?.with_temperature(temperature)?)
            }
            LossConfig::ProxyNca { scale } => Box::new(ProxyNca::new(classes, d, rng, f32, device)?.with_scale(scale)?),
            LossConfig::ProxyAnchor { alpha, margin } => {
                Box::new(ProxyAnchor::new(classes, d, rng, f32, device)?.with_alpha(alpha)?.with_margin(margin)?)
            }
            LossConfig::SoftTriple { centres, lambda, gamma, margin } => {
                let loss = SoftTriple::new(classes, centres, d, rng, f32, device)?;
                Box::new(loss.with_lambda(lambda)?.with_gamma(gamma)?.with_margin(margin)?)
            }
            LossConfig::Margin { margin, reducer } => {
                let loss = MarginLoss::new(classes, f32, device)?.with_margin(margin)?;
                Box::new(loss.with_reducer(reducer.reducer()?))
            }
            LossConfig::SigLip {} => Box::new(SigLip::new(f32, device)?),
        })
    }

    /// The sum of these parts, each named as its loss; the second of one name has a 2 behind it, and so on.
    pub(crate) fn sum(&mut self, parts: &[PartConfig]) -> Result<WeightedSum> {
        if parts.is_empty() {
            let why = "a weighted sum needs at least one [[loss.parts]] with a name and a weight".to_owned();
            return Err(Error::Setting { setting: "loss.parts", why });
        }
        let mut sum = WeightedSum::new();
        let mut names: Vec<String> = Vec::new();
        for PartConfig { weight, loss } in parts {
            let name = loss.name();
            names.push(name.clone());
            let name = match names.iter().filter(|n| **n == name).count() {
                1 => name,
                nth => format!("{name}-{nth}"),
            };
            sum = sum.and_boxed(&name, *weight, self.loss(loss)?)?;
        }
        Ok(sum)
    }
}

/// The regulariser of these settings.
pub(crate) fn regulariser(config: RegulariserName) -> Result<Box<dyn Regulariser>> {
    Ok(match config {
        RegulariserName::LpNorm { p } => Box::new(LpNorm::new(p)?),
        RegulariserName::CentreInvariant {} => Box::new(CentreInvariant),
        RegulariserName::ZeroMean {} => Box::new(ZeroMean),
        RegulariserName::RegularFace {} => Box::new(RegularFace),
        RegulariserName::SparseCentres { centres } => Box::new(SparseCentres::new(centres)?),
        RegulariserName::KoLeo {} => Box::new(KoLeo),
        RegulariserName::Uniformity { t } => Box::new(Uniformity::new(t)?),
    })
}
