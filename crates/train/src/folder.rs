use crate::{Error, Result, files};
use npair_evaluate::write_file;
use std::path::{Path, PathBuf};

/// The folder of a run: `metrics.jsonl`, `checkpoints/{last,best}`, and what its maker keeps there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
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

const CURE: &str = "give the folder that a run was written to";

/// The file of a run's folder that its process holds locked, with its id.
const LOCK: &str = "lock";

/// One process at a time in a run: held while a trainer lives, and let go of by the system when its process ends, however it ends.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: std::fs::File,
}

impl RunLock {
    /// Takes the lock of a run's folder.
    ///
    /// # Errors
    /// [`Error::File`] with the id of the process that has it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        use std::io::{Read, Seek, Write};
        let path = folder.join(LOCK);
        let unwritten = |e: std::io::Error| Error::Evaluate(npair_evaluate::Error::unwritten(&path, &e));
        let options = std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = options.map_err(unwritten)?;
        if let Err(std::fs::TryLockError::WouldBlock) = file.try_lock() {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(unwritten)?;
            let why =
                format!("is being trained by process {}: wait until it ends, or stop it (Ctrl-C saves)", holder.trim());
            return Err(Error::file(folder, why));
        }
        // A file system without locks goes without.
        let written =
            file.rewind().and_then(|()| file.set_len(0)).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(unwritten)?;
        Ok(Self { _file: file })
    }
}

/// The file of the best checkpoint that tells its step.
pub(crate) const STEP: &str = "step.json";

impl RunFolder {
    /// Makes the folder of a new run, with files of its maker.
    ///
    /// # Errors
    /// [`Error::File`] if there is something in it already, or it cannot be written.
    pub fn create(folder: &Path, kept: &[(String, Vec<u8>)]) -> Result<Self> {
        Self::check_new(folder)?;
        std::fs::create_dir_all(folder.join("checkpoints"))
            .map_err(|e| npair_evaluate::Error::unwritten(folder, &e))?;
        for (name, bytes) in kept {
            write_file(&folder.join(name), bytes)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// An error unless a new run may begin in a folder: one that is not there, or empty.
    ///
    /// # Errors
    /// [`Error::File`] if there is something in it.
    pub fn check_new(folder: &Path) -> Result<()> {
        let run = Self { folder: folder.to_owned() };
        if run.is_run() {
            let why = "there is a run already: go on with --resume, or choose another --out";
            return Err(Error::file(folder, why));
        }
        let mut entries = std::fs::read_dir(folder).ok().into_iter().flatten();
        if let Some(first) = entries.find_map(|entry| entry.ok()) {
            let name = first.file_name();
            let why = format!("is not empty (it holds {}): choose a new folder", name.to_string_lossy());
            return Err(Error::file(folder, why));
        }
        Ok(())
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`Error::File`] if it is none.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned() };
        if !run.is_run() {
            return Err(Error::file(folder, format!("is no run: it has no checkpoints; {CURE}")));
        }
        Ok(run)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
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

    /// The step after which a checkpoint was made, where it tells.
    pub fn step_of(&self, which: Which) -> Option<u64> {
        let place = self.checkpoint(which).ok()?;
        if let Ok((step, _)) = crate::checkpoint::steps_of(&place) {
            return Some(step);
        }
        let told: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(place.join(STEP)).ok()?).ok()?;
        told["step"].as_u64()
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.join("checkpoints").join(name)
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("metrics.jsonl")
    }

    fn is_run(&self) -> bool {
        self.folder.join("checkpoints").is_dir()
    }
}
