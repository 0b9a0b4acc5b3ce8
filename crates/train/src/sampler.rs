use crate::config::{Config, LossConfig};
use crate::{Error, Result};
use npair_batch::{BalancedSampler, BatchSampler, NPairSampler, TripletSampler, TupletSampler};
use npair_types::{ClassIndex, Purpose, Streams};

/// The sampler that fills batches for a configuration's loss.
pub(crate) fn build(config: &Config, index: ClassIndex) -> Result<Box<dyn BatchSampler>> {
    let rng = Streams::new(config.seed).open(Purpose::Sampling, [0, 0]);
    let (n, m, mining) = (config.batch.classes, config.batch.per_class, config.batch.mining);
    let pairs = |name: &str| -> Result<()> {
        if m != 2 {
            let why = format!(
                "is {m}, but {name} takes exactly 2; nca-style, multi-positive-n-pair and most others take more"
            );
            return Err(Error::Setting { setting: "batch.per_class", why });
        }
        Ok(())
    };
    let unmined = |name: &str| -> Result<()> {
        if mining.is_some() {
            let why = format!("{name} has no class mining; the N-pair and triplet losses have");
            return Err(Error::Setting { setting: "batch.mining", why });
        }
        Ok(())
    };
    if config.miner.is_some() {
        // Tuples are chosen from whole batches; their classes may be mined too.
        return Ok(match mining {
            Some(mining) => {
                pairs("class mining")?;
                Box::new(NPairSampler::mined(index, n, mining, rng)?)
            }
            None => Box::new(BalancedSampler::new(index, n, m, rng)?),
        });
    }
    Ok(match &config.loss {
        LossConfig::Triplet {} | LossConfig::TripletMargin { .. } | LossConfig::TripletMarginFree {} => {
            pairs("a triplet loss")?;
            match mining {
                Some(mining) => Box::new(TripletSampler::mined(index, n, mining, rng)?),
                None => Box::new(TripletSampler::new(index, n, rng)?),
            }
        }
        loss if loss.takes_pairs() => {
            pairs("an N-pair loss")?;
            match mining {
                Some(mining) => Box::new(NPairSampler::mined(index, n, mining, rng)?),
                None => Box::new(NPairSampler::new(index, n, rng)?),
            }
        }
        LossConfig::Tuplet {} => {
            pairs("the tuplet loss")?;
            unmined("the tuplet loss")?;
            Box::new(TupletSampler::new(index, n, rng)?)
        }
        // All others take batches of labelled examples.
        _ => {
            unmined("this loss")?;
            Box::new(BalancedSampler::new(index, n, m, rng)?)
        }
    })
}
