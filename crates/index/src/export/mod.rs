//! Indexes for other programs, and vectors from them.

mod import;
mod sql;
mod vectors;

use crate::files::{self, Sink};
use crate::{Error, Index, Result};
use std::path::Path;

pub use import::{Imported, import_parquet};

/// What an index is written as for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export<'a> {
    /// A Parquet table with the columns `id`, `path`, `class` (may be null), `added` (seconds since 1970) and `vector`, a list of
    /// floats of 32 bits; packed with Snappy. [`import_parquet`] reads it.
    Parquet,
    /// Text for PostgreSQL's `psql`, in UTF-8: the extension pgvector, a table with the columns of the Parquet file and its rows
    /// (`COPY`), and how the nearest are asked for. All or nothing, in one transaction.
    Sql {
        /// Name of the table, which is made.
        table: &'a str,
    },
}

impl Index {
    /// Writes all rows and vectors to a file that is not there yet. Thumbnails, thresholds and the model stay behind.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Write`]; [`Error::Setting`] for a table's name that PostgreSQL cannot have, or vectors wider than
    /// pgvector's 16,000.
    pub fn export(&self, form: Export, to: &Path) -> Result<()> {
        if let Export::Sql { table } = form {
            sql::check(table, self.width())?;
        }
        if to.exists() {
            return Err(Error::Exists { path: to.to_owned(), cure: "choose another name, or remove it" });
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Some(name) = to.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::unwritten(to, "it has no name in UTF-8"));
        };
        // Beside its place until it is whole.
        let mut sink = Sink::new(folder, format!("{name}.new"))?;
        let beside = sink.path().to_owned();
        match form {
            Export::Parquet => vectors::write(self, &mut sink).map_err(|e| e.to_string()),
            Export::Sql { table } => sql::write(self, table, &mut sink).map_err(|e| e.to_string()),
        }
        .map_err(|why| Error::unwritten(&beside, why))?;
        sink.finish()?;
        std::fs::rename(&beside, to).map_err(|e| Error::unwritten(to, e))?;
        files::sync_folder(folder)
    }
}
