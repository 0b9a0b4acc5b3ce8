//! A loss of the tuples that a miner chooses inside the batch: npair-losses and npair-batch do not know each other.

use crate::config::{LossConfig, MinerConfig};
use crate::{Error, Result};
use candle_core::Tensor;
use npair_batch::{
    AllTriplets, AngularMiner, BatchHard, DistanceWeighted, EasyPositive, Hardest, MinedPairs, MultiSimilarityMiner,
    PairMiner, SemiHard, TripletMiner,
};
use npair_losses::{
    Contrastive, LossValue, MarginFreeTriplet, MultiSimilarity, SmoothTriplet, TripletLoss, TripletMargin,
};
use npair_types::{ChaCha8Rng, Labels};

/// A miner and what is made of its tuples.
pub(crate) enum Mined {
    Triplets(Box<dyn TripletMiner>, Box<dyn TripletLoss>),
    Pairs(Pairs, OfPairs),
}

/// What gives pairs.
pub(crate) enum Pairs {
    Own(Box<dyn PairMiner>),
    OfTriplets(Box<dyn TripletMiner>),
}

/// What takes them.
pub(crate) enum OfPairs {
    MultiSimilarity(MultiSimilarity),
    Contrastive(Contrastive),
}

impl Mined {
    pub(crate) fn new(config: MinerConfig, loss: &LossConfig) -> Result<Self> {
        let miner = miner(config)?;
        let triplets: Box<dyn TripletLoss> = match *loss {
            LossConfig::Triplet {} => Box::new(SmoothTriplet),
            LossConfig::TripletMargin { margin } => Box::new(TripletMargin::new(margin)?),
            LossConfig::TripletMarginFree {} => Box::new(MarginFreeTriplet),
            LossConfig::MultiSimilarity { alpha, beta, base } => {
                return Ok(Self::Pairs(miner, OfPairs::MultiSimilarity(MultiSimilarity::new(alpha, beta, base)?)));
            }
            LossConfig::Contrastive { margin } => {
                return Ok(Self::Pairs(miner, OfPairs::Contrastive(Contrastive::new(margin)?)));
            }
            _ => {
                let why = "fits losses of triplets or pairs alone: triplet, triplet-margin, triplet-margin-free, \
                           multi-similarity, contrastive";
                return Err(Error::Setting { setting: "miner", why: why.to_owned() });
            }
        };
        match miner {
            Pairs::OfTriplets(miner) => Ok(Self::Triplets(miner, triplets)),
            Pairs::Own(_) => {
                let why = "chooses pairs, but the loss takes triplets: take multi-similarity or contrastive".to_owned();
                Err(Error::Setting { setting: "miner.name", why })
            }
        }
    }

    /// The loss of what the miner finds; without terms, and 0, where that is nothing.
    pub(crate) fn of(&self, embeddings: &Tensor, labels: &Labels, rng: &mut ChaCha8Rng) -> Result<LossValue> {
        let seen = embeddings.detach();
        match self {
            Self::Triplets(miner, loss) => match miner.triplets(&seen, labels, rng)?.triplets {
                Some(triplets) => Ok(loss.of_triplets_in(embeddings, &triplets)?),
                None => nothing(embeddings),
            },
            Self::Pairs(miner, loss) => {
                let pairs = match miner {
                    Pairs::Own(miner) => miner.pairs(&seen, labels, rng)?,
                    Pairs::OfTriplets(miner) => miner.triplets(&seen, labels, rng)?.pairs(),
                };
                if pairs.positives.is_empty() && pairs.negatives.is_empty() {
                    return nothing(embeddings);
                }
                loss.of(embeddings, &pairs)
            }
        }
    }
}

impl OfPairs {
    fn of(&self, embeddings: &Tensor, pairs: &MinedPairs) -> Result<LossValue> {
        let MinedPairs { positives, negatives, .. } = pairs;
        match self {
            Self::MultiSimilarity(loss) => Ok(loss.of_pairs_in(embeddings, positives, negatives)?),
            Self::Contrastive(loss) => {
                let side = |at: usize| -> Result<Tensor> {
                    let rows = positives.iter().chain(negatives).map(|pair| pair[at] as u32).collect::<Vec<_>>();
                    let count = rows.len();
                    Ok(embeddings.index_select(&Tensor::from_vec(rows, count, embeddings.device())?, 0)?)
                };
                let same: Vec<bool> = (0..positives.len() + negatives.len()).map(|i| i < positives.len()).collect();
                Ok(loss.of_pairs(&side(0)?, &side(1)?, &same)?)
            }
        }
    }
}

/// The value 0 of a batch without a tuple, with a gradient of zeros.
fn nothing(embeddings: &Tensor) -> Result<LossValue> {
    let sum = embeddings.sum_all()?;
    // Times a tensor: a plain factor of 0 takes the way back out of candle's graph.
    Ok(LossValue { value: (&sum * sum.zeros_like()?)?, terms: 0, active: 0 })
}

fn miner(config: MinerConfig) -> Result<Pairs> {
    fn triplets(miner: impl TripletMiner + 'static) -> Pairs {
        Pairs::OfTriplets(Box::new(miner))
    }
    Ok(match config {
        MinerConfig::AllTriplets { per_anchor } => triplets(AllTriplets::new(per_anchor)?),
        MinerConfig::BatchHard { measure } => triplets(BatchHard { measure }),
        MinerConfig::Hardest { per_anchor, measure } => triplets(Hardest::new(per_anchor, measure)?),
        MinerConfig::SemiHard { margin, measure, per_anchor } => triplets(SemiHard::new(margin, measure, per_anchor)?),
        MinerConfig::EasyPositive { negative, measure } => triplets(EasyPositive { negative, measure }),
        MinerConfig::DistanceWeighted { cutoff, farthest, per_anchor } => {
            triplets(DistanceWeighted::new(cutoff, farthest, per_anchor)?)
        }
        MinerConfig::Angular { degrees, per_anchor } => triplets(AngularMiner::new(degrees, per_anchor)?),
        MinerConfig::MultiSimilarity { epsilon, per_anchor } => {
            Pairs::Own(Box::new(MultiSimilarityMiner::new(epsilon, per_anchor)?))
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Config;
    use candle_core::{DType, Device, Var};
    use npair_types::{Purpose, Streams};

    fn made(sets: &[&str]) -> Result<Mined> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let config = Config::parse("test", "", &sets)?;
        Mined::new(config.miner.unwrap(), &config.loss)
    }

    #[test]
    fn every_miner_feeds_every_loss_that_can_take_it() {
        let x = npair_testkit::inputs::normal(4, 1., (12, 5), DType::F32).unwrap();
        let y = Labels::new((0..12).map(|i| i % 4)).unwrap();
        let names = [
            "all-triplets",
            "batch-hard",
            "hardest",
            "semi-hard",
            "easy-positive",
            "distance-weighted",
            "angular",
            "multi-similarity",
        ];
        for name in names {
            for loss in ["triplet", "triplet-margin", "triplet-margin-free", "multi-similarity", "contrastive"] {
                let mut sets = vec![format!("miner.name={name}"), format!("loss.name={loss}")];
                if matches!(loss, "triplet-margin" | "contrastive") {
                    sets.push("loss.margin=5.0".to_owned());
                }
                if name == "semi-hard" {
                    sets.push("miner.margin=5.0".to_owned());
                }
                let mined = made(&sets.iter().map(String::as_str).collect::<Vec<_>>());
                if name == "multi-similarity" && loss.starts_with("triplet") {
                    assert!(mined.err().unwrap().to_string().contains("miner.name: chooses pairs"));
                    continue;
                }
                let mined = mined.unwrap();
                let var = Var::from_tensor(&x).unwrap();
                let rng = || Streams::new(1).open(Purpose::Mining, [0, 1]);
                let value = mined.of(&var, &y, &mut rng()).unwrap();
                assert!(value.to_f64().unwrap() > 0. && value.terms > 0, "{name} {loss}");
                let grad = value.value.backward().unwrap().get(&var).unwrap().sqr().unwrap().sum_all().unwrap();
                assert!(grad.to_scalar::<f32>().unwrap() > 0., "{name} {loss}");
                // One class: nothing qualifies; the step goes on with zeros.
                let one = Labels::new([1; 12]).unwrap();
                let none = mined.of(&var, &one, &mut rng()).unwrap();
                assert_eq!((none.to_f64().unwrap(), none.active), (0., 0), "{name} {loss}");
                assert!(none.value.backward().unwrap().get(&var).is_some());
            }
        }
        let said = made(&["miner.name=batch-hard", "loss.name=n-pair-mc"]).err().unwrap().to_string();
        assert!(said.contains("miner: fits losses of triplets or pairs"), "{said}");
        let zeros = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let wrong = made(&["miner.name=batch-hard", "loss.name=triplet"]).unwrap();
        let mut rng = Streams::new(1).open(Purpose::Mining, [0, 1]);
        assert!(wrong.of(&zeros, &Labels::new([1]).unwrap(), &mut rng).is_err());
    }
}
