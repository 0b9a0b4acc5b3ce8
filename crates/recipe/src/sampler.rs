//! The sampler that fills batches for a configuration's loss.

use crate::{Config, Error, Result, label_sets};
use npair_batch::{
    BalancedSamplerSettings, BatchSampler, Groups, NPairSampler, NPairSamplerSettings, SamplerSettings,
    TripletSamplerSettings, TupletSamplerSettings,
};
use npair_evaluate::Inputs;
use npair_losses::Accepts;
use npair_types::{ChaCha8Rng, ClassIndex, LabelSets, Purpose, Streams, TupleKind};

/// The batches that suit a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suits {
    /// Queries with their own negatives.
    Tuplets,
    /// Two examples of each class, read as triplets.
    Triplets,
    /// Two examples of each class.
    Pairs,
    /// Any number of examples of each class.
    Labeled,
}

impl Suits {
    fn of(accepts: Accepts) -> Self {
        let takes = |kind| accepts.check(kind, None, false).is_ok();
        match accepts.needs_two_per_class() {
            _ if takes(TupleKind::Tuplets) && !takes(TupleKind::Labeled) => Self::Tuplets,
            true if accepts.uses(TupleKind::Triplets) => Self::Triplets,
            true => Self::Pairs,
            false => Self::Labeled,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Tuplets => "the tuplet loss",
            Self::Triplets => "a triplet loss",
            Self::Pairs => "an N-pair loss",
            Self::Labeled => "this loss",
        }
    }
}

/// The sampler for a loss that accepts that.
pub(crate) fn build(
    config: &Config,
    inputs: &dyn Inputs,
    sets: Option<&LabelSets>,
    accepts: Accepts,
) -> Result<Box<dyn BatchSampler>> {
    let index = inputs.class_index();
    let rng = Streams::new(config.seed).open(Purpose::Sampling, [0, 0]);
    if let Some(sets) = sets {
        return label_sets::sampler(config, inputs, sets, accepts, rng);
    }
    let (classes, per_class, mining) = (config.batch.classes, config.batch.per_class, config.batch.mining.clone());
    let suits = Suits::of(accepts);
    let temper = tempered(config, suits)?;
    if config.batch.groups > 0 {
        return grouped(config, inputs, suits, rng);
    }
    // Tuples of a miner are chosen from whole batches, whose classes may be mined too.
    let suits = match (&config.miner, &mining) {
        (None, _) => suits,
        (Some(_), Some(_)) => Suits::Pairs,
        (Some(_), None) => Suits::Labeled,
    };
    if suits != Suits::Labeled {
        let name = if config.miner.is_some() { "class mining" } else { suits.words() };
        two(per_class, name)?;
    } else if mining.is_some() {
        return Err(unmined(suits));
    }
    let sampler = match suits {
        Suits::Triplets => TripletSamplerSettings { classes, mining, temper }.build(index, rng),
        Suits::Pairs => NPairSamplerSettings { classes, mining, temper }.build(index, rng),
        Suits::Tuplets if mining.is_some() => return Err(unmined(suits)),
        Suits::Tuplets => TupletSamplerSettings { classes }.build(index, rng),
        Suits::Labeled => BalancedSamplerSettings { classes, per_class, temper }.build(index, rng),
    };
    sampler.map_err(with_key)
}

/// A batch that is too large, with the key of its size.
fn with_key(error: npair_batch::Error) -> Error {
    match error {
        // Not the size of the batch: there is nothing that could form a pair.
        npair_batch::Error::TooFewClasses { least, have, .. } if have < 2 => {
            npair_batch::Error::TooFewClasses { need: 2, least, have }.into()
        }
        npair_batch::Error::TooFewClasses { need, least, have } => {
            let why = format!(
                "a batch needs {need} classes with at least {least} examples each, the data has {have}: set it to at most {have}, or give more data"
            );
            Error::Setting { setting: "batch.classes", why }
        }
        other => other.into(),
    }
}

/// The power that class draws go by, where something else does not choose the classes.
fn tempered(config: &Config, suits: Suits) -> Result<f64> {
    let temper = config.batch.temper;
    let other = match () {
        () if config.batch.groups > 0 => "batch.groups chooses",
        () if config.batch.mining.is_some() => "batch.mining chooses",
        () if suits == Suits::Tuplets && config.miner.is_none() => "every query of the tuplet loss has negatives from",
        () => return Ok(temper),
    };
    if temper == 0. {
        return Ok(temper);
    }
    let why =
        format!("draws classes by their number of examples, but {other} the classes of a batch: leave one of them out");
    Err(Error::Setting { setting: "batch.temper", why })
}

fn unmined(suits: Suits) -> Error {
    let why = format!("{} has no class mining; the N-pair and triplet losses have", suits.words());
    Error::Setting { setting: "batch.mining", why }
}

/// An error unless a class gives two examples.
fn two(per_class: usize, name: &str) -> Result<()> {
    if per_class != 2 {
        let why = format!(
            "is {per_class}, but {name} takes exactly 2; nca-style, multi-positive-n-pair and most others take more"
        );
        return Err(Error::Setting { setting: "batch.per_class", why });
    }
    Ok(())
}

/// N-pair batches of few groups.
fn grouped(config: &Config, inputs: &dyn Inputs, suits: Suits, rng: ChaCha8Rng) -> Result<Box<dyn BatchSampler>> {
    let wrong = |why: &str| Err(Error::Setting { setting: "batch.groups", why: why.to_owned() });
    if suits != Suits::Pairs || config.miner.is_some() || config.batch.per_class != 2 {
        return wrong("goes with the N-pair losses, two examples a class and no miner; set it to 0");
    }
    if config.batch.mining.is_some() {
        return wrong("and batch.mining both choose the classes of a batch: set one of them");
    }
    let index: ClassIndex = inputs.class_index();
    let pictures = inputs.pictures();
    let names: Vec<Option<&str>> = index.classes().iter().map(|&c| pictures?.group(c)).collect();
    if names.contains(&None) {
        return wrong("needs a data set whose classes have groups (omniglot: alphabets); set it to 0");
    }
    let groups = Groups::new(&index, &names, config.batch.groups)?;
    Ok(Box::new(NPairSampler::grouped(index, config.batch.classes, &groups, rng)?))
}
