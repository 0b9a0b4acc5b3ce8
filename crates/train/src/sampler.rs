use crate::config::{Config, LossConfig};
use crate::{Error, Result};
use npair_batch::{BalancedSampler, BatchSampler, Groups, NPairSampler, TripletSampler, TupletSampler};
use npair_data::Dataset;
use npair_types::{ChaCha8Rng, ClassIndex, Purpose, Streams};

/// The sampler that fills batches for a configuration's loss.
pub(crate) fn build(config: &Config, side: &dyn Dataset) -> Result<Box<dyn BatchSampler>> {
    let index = side.class_index();
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
    if config.batch.groups > 0 {
        return grouped(config, side, index, rng);
    }
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

/// N-pair batches of few groups.
fn grouped(config: &Config, side: &dyn Dataset, index: ClassIndex, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>> {
    let wrong = |why: &str| Err(Error::Setting { setting: "batch.groups", why: why.to_owned() });
    let triplets = matches!(
        config.loss,
        LossConfig::Triplet {} | LossConfig::TripletMargin { .. } | LossConfig::TripletMarginFree {}
    );
    if !config.loss.takes_pairs() || triplets || config.miner.is_some() || config.batch.per_class != 2 {
        return wrong("goes with the N-pair losses, two examples a class and no miner; set it to 0");
    }
    if config.batch.mining.is_some() {
        return wrong("and batch.mining both choose the classes of a batch: set one of them");
    }
    let names: Vec<Option<&str>> = index.classes().iter().map(|&c| side.group(c)).collect();
    if names.contains(&None) {
        return wrong("needs a data set whose classes have groups (omniglot: alphabets); set it to 0");
    }
    let groups = Groups::new(&index, &names, config.batch.groups)?;
    Ok(Box::new(NPairSampler::grouped(index, config.batch.classes, &groups, rng)?))
}
