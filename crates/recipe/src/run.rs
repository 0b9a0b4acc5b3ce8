use crate::{Config, Error, Result};
use npair_train::{RunFolder, Which};
use std::path::{Path, PathBuf};

/// The file of a run's folder that holds its settings.
pub(crate) const CONFIG: &str = "config.toml";

/// The folder of a run that was made of settings: `config.toml` (resolved), `metrics.jsonl`, `checkpoints/{last,best}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

impl Run {
    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`Error::File`] if it is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if !run.config_file().is_file() {
            let why = "is no run: it has no config.toml; give the folder that `npair train --out` wrote";
            return Err(Error::file(folder, why));
        }
        Ok(run)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration that the run was started with.
    ///
    /// # Errors
    /// If `config.toml` cannot be read or is of another version.
    pub fn config(&self) -> Result<Config> {
        Config::read(Some(&self.config_file()), &[])
    }

    /// A checkpoint: a Hub-style model folder.
    ///
    /// # Errors
    /// [`Error::Train`] if the run has none yet.
    pub fn checkpoint(&self, which: Which) -> Result<PathBuf> {
        Ok(RunFolder::open(&self.folder)?.checkpoint(which)?)
    }

    /// The step after which a checkpoint was made, where it tells.
    pub fn step_of(&self, which: Which) -> Option<u64> {
        RunFolder::open(&self.folder).ok()?.step_of(which)
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }
}
