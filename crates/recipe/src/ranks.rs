//! A run that several ranks train together: the first one plans it, and tells the others what it has come to.

use crate::record::{self, SplitRecord};
use crate::run::CONFIG;
use crate::{Config, Error, Result};
use npair_train::{Alone, Collective, Ranks, Shards, Tag, TrainerBuilder};
use std::path::Path;
use std::sync::Arc;

/// Who trains a run, and how its batches are cut for them.
#[derive(Debug)]
pub(crate) struct Together {
    ranks: Arc<dyn Collective>,
    shards: Shards,
}

/// What the first rank tells the others of a new run.
pub(crate) struct Told {
    pub(crate) config: Config,
    pub(crate) record: Option<SplitRecord>,
}

impl Together {
    /// None for one process whose batches are not cut. A number of shards that is not set is that of the ranks.
    pub(crate) fn of(config: &mut Config, ranks: Option<Arc<dyn Collective>>) -> Result<Option<Self>> {
        let ranks = ranks.unwrap_or_else(|| Arc::new(Alone));
        let shards = &mut config.training.shards;
        if *shards == 0 && ranks.ranks() == 1 {
            return Ok(None);
        }
        if *shards == 0 {
            *shards = ranks.ranks();
        }
        if *shards < ranks.ranks() {
            let why = format!(
                "is {shards}, but there are {} ranks, each of which needs a part of a batch: set it to that or more",
                ranks.ranks()
            );
            return Err(Error::Setting { setting: "training.shards", why });
        }
        let shards = Shards::new(*shards).map_err(npair_train::Error::from)?;
        Ok(Some(Self { ranks, shards }))
    }

    /// Whether this rank plans the run and writes its folder.
    pub(crate) fn leads(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Tells the other ranks what the run is.
    pub(crate) fn tell(&self, config: &str, record: Option<&[u8]>) -> Result<()> {
        for (what, text) in [("settings of the run", config.as_bytes()), ("split of the run", record.unwrap_or(&[]))] {
            let tag = Tag { what, number: 0 };
            self.ranks.broadcast(tag, 0, text.to_vec()).map_err(npair_train::Error::from)?;
        }
        Ok(())
    }

    /// What the first rank has told.
    pub(crate) fn hear(&self) -> Result<Told> {
        let hear = |what| {
            let heard =
                self.ranks.broadcast(Tag { what, number: 0 }, 0, Vec::new()).map_err(npair_train::Error::from)?;
            let wrong = |_| Error::Config { place: what.to_owned(), why: "rank 0 sent no text".to_owned() };
            String::from_utf8(heard).map_err(wrong)
        };
        let config = Config::parse(CONFIG, &hear("settings of the run")?, &[])?;
        let record = hear("split of the run")?;
        let record = (!record.is_empty()).then(|| SplitRecord::parse(Path::new(record::FILE), &record)).transpose()?;
        Ok(Told { config, record })
    }

    /// The parts of a run, shared.
    pub(crate) fn share(&self, builder: TrainerBuilder) -> Result<TrainerBuilder> {
        Ok(builder.ranks(Ranks::new(Arc::clone(&self.ranks), self.shards)?))
    }
}

/// Whether this process plans the run and writes its folder.
pub(crate) fn leads(together: Option<&Together>) -> bool {
    together.is_none_or(Together::leads)
}

/// The parts of a run, shared if it is.
pub(crate) fn share(together: Option<&Together>, builder: TrainerBuilder) -> Result<TrainerBuilder> {
    match together {
        Some(together) => together.share(builder),
        None => Ok(builder),
    }
}
