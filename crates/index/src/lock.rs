use crate::{Error, Result};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// Tries, and the pause between them: whoever opens an index holds the lock for the moment in which it sweeps leftovers.
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The right to change an index. The system takes it back when the program ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits up to a second.
    pub(crate) fn wait(folder: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            match Self::take(folder) {
                Err(Error::Locked { .. }) => std::thread::sleep(PAUSE),
                taken => return taken,
            }
        }
        Self::take(folder)
    }

    /// Takes it now, or says that another has it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|e| Error::unwritten(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path }),
            Err(TryLockError::Error(e)) => Err(Error::unwritten(&path, e)),
        }
    }
}
