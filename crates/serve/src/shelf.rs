//! The index among threads: many read, one writes. To be used where blocking is allowed.

use crate::refusal::{Answered, Refusal};
use npair_index::{Error, Index};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

pub(crate) struct Shelf {
    folder: PathBuf,
    index: RwLock<Index>,
}

impl Shelf {
    pub(crate) fn new(index: Index) -> Self {
        Self { folder: index.folder().to_owned(), index: RwLock::new(index) }
    }

    /// Reads the index; one that another program has changed since, so that a file is gone, is read anew.
    pub(crate) fn read<T>(&self, look: impl Fn(&Index) -> Result<T, Looked>) -> Answered<T> {
        match self.look(&look) {
            Err(Looked::Index(Error::Missing { .. })) => {
                self.write(|index| index.refresh().map(|_| ()))?;
                self.look(&look).map_err(Refusal::from)
            }
            looked => looked.map_err(Refusal::from),
        }
    }

    fn look<T>(&self, look: impl Fn(&Index) -> Result<T, Looked>) -> Result<T, Looked> {
        if let Ok(index) = self.index.read() {
            return look(&index);
        }
        self.mend().map_err(Looked::Index)?;
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the index.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Index) -> npair_index::Result<T>) -> Answered<T> {
        if self.index.is_poisoned() {
            self.mend()?;
        }
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        Ok(change(&mut index)?)
    }

    /// After a change that panicked the index in memory may be anything; that on the disk is whole.
    fn mend(&self) -> npair_index::Result<()> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        *index = Index::open(&self.folder)?;
        self.index.clear_poison();
        Ok(())
    }
}

/// Why looking came to nothing.
pub(crate) enum Looked {
    Index(Error),
    Refused(Refusal),
}

impl From<Error> for Looked {
    fn from(error: Error) -> Self {
        Self::Index(error)
    }
}

impl From<npair_metrics::Error> for Looked {
    fn from(error: npair_metrics::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<Refusal> for Looked {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Looked> for Refusal {
    fn from(looked: Looked) -> Self {
        match looked {
            Looked::Index(error) => error.into(),
            Looked::Refused(refusal) => refusal,
        }
    }
}
