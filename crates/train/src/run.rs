use crate::{Config, Error, Result, files};
use std::path::{Path, PathBuf};

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

/// Which of a run's checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one with the best validation score; the last one if none was validated.
    Best,
    /// The latest.
    Last,
}

const CURE: &str = "give the folder that `npair train --out` wrote";

impl Run {
    /// Makes the folder of a new run and keeps its configuration there.
    ///
    /// # Errors
    /// [`Error::File`] if there is a run already, or the folder cannot be written.
    pub fn create(folder: &Path, config: &Config) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if run.config_file().exists() {
            let why = "there is a run already: go on with --resume, or choose another --out";
            return Err(Error::file(folder, why));
        }
        std::fs::create_dir_all(folder.join("checkpoints"))
            .map_err(|e| Error::file(folder, format!("cannot be made: {e}; check the path and its permissions")))?;
        files::write(&run.config_file(), config.to_toml()?.as_bytes())?;
        Ok(run)
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`Error::File`] if it is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if !run.config_file().is_file() {
            return Err(Error::file(folder, format!("is no run: it has no config.toml; {CURE}")));
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
    /// [`Error::File`] if the run has none yet.
    pub fn checkpoint(&self, which: Which) -> Result<PathBuf> {
        let best = (which == Which::Best).then(|| files::present(&self.place("best"))).flatten();
        best.or_else(|| files::present(&self.place("last"))).ok_or_else(|| {
            Error::file(&self.folder, "has no checkpoint yet: train longer, or lower training.checkpoint_every")
        })
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.join("checkpoints").join(name)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.toml")
    }
}
