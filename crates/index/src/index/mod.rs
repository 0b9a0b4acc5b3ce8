mod approximate;
mod change;
mod load;
mod search;
mod segment;
#[cfg(test)]
mod tests;

use crate::files::{self, sync_folder};
use crate::lock::Lock;
use crate::manifest::of_measure;
use crate::manifest::{self, Manifest};
use crate::row::IndexRow;
use crate::{Error, IndexSettings, RefinementTrial, Result, model, thumbnails};
use npair_metrics::Verifier;
use npair_similarity::Rows;
use npair_types::Measure;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use change::Added;
pub use search::Answer;

/// A folder of vectors that answers by itself: rows with a path, a class, a time and a thumbnail each, the thresholds by which two of
/// them are one class, and the model that made them.
///
/// Opening reads all vectors and what is known of their rows into memory (4 bytes for a value, about 150 for a row); thumbnails
/// stay on the disk. Nothing is memory-mapped. What a folder holds is not trusted: sizes, shapes, checksums, ids and values are
/// checked.
///
/// Every change is one step: new files are written beside the old ones and synced, then `index.json` is replaced. A program that
/// is killed, or a full disk, leaves the index as it was before or as it is after. One program changes an index at a time; others
/// that have it open go on searching what they have read, and take in what has changed before they change it themselves, or
/// with [`refresh`](Self::refresh).
///
/// # Examples
/// ```
/// # use npair_index::{RowFilter, Index, IndexSettings, NewRow};
/// # use npair_similarity::Rows;
/// # use npair_types::Measure;
/// # let dir = tempfile::tempdir().unwrap();
/// # let folder = dir.path().join("birds");
/// let mut index = Index::create(&folder, IndexSettings::new(2, Measure::Cosine))?;
/// let new = ["owl.png", "fox.png"].map(|path| NewRow { path, ..NewRow::default() });
/// index.add(&new, Rows::new(&[1f32, 0., 0., 1.], 2)?)?;
/// let index = Index::open(&folder)?;
/// let answers = index.search(Rows::new(&[0.9f32, 0.1], 2)?, 1, RowFilter::All)?;
/// assert_eq!(&*answers[0][0].row.path, "owl.png");
/// # Ok::<(), npair_index::Error>(())
/// ```
#[derive(Debug)]
pub struct Index {
    folder: PathBuf,
    manifest: Manifest,
    /// In ascending order of their ids.
    rows: Vec<IndexRow>,
    /// Row after row.
    vectors: Vec<f32>,
    by_path: HashMap<Arc<str>, u64>,
    /// Ids in the segments that are no rows any more, ascending.
    removed: Vec<u64>,
    graph: Option<crate::graph::Placed>,
}

impl Index {
    /// Makes an index without rows in a folder that is empty or not there yet.
    ///
    /// # Errors
    /// [`Error::Exists`] if the folder holds something, [`Error::Setting`] for a width out of range, [`Error::Write`].
    pub fn create(folder: &Path, settings: IndexSettings) -> Result<Self> {
        settings.check()?;
        fs::create_dir_all(folder).map_err(|e| Error::unwritten(folder, e))?;
        let entries = fs::read_dir(folder).map_err(|e| Error::unread(folder, &e))?;
        // What a creation leaves that was killed.
        let is_ours = |name: &std::ffi::OsStr| name == "lock" || name == "index.json.new";
        if entries.flatten().any(|entry| !is_ours(&entry.file_name())) {
            return Err(Error::Exists { path: folder.to_owned(), cure: "open it, or choose an empty folder" });
        }
        let _lock = Lock::wait(folder)?;
        if folder.join(manifest::NAME).exists() {
            return Err(Error::Exists { path: folder.to_owned(), cure: "open it, or choose an empty folder" });
        }
        let manifest = Manifest::new(settings);
        manifest.write(folder)?;
        Ok(Self::of(folder, manifest))
    }

    /// Opens an index, and sweeps what an interrupted change left in its folder if that may be written.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Missing`] for the first file that is not what the index wrote.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::sweep(folder)?;
        load::load(folder)
    }

    fn of(folder: &Path, manifest: Manifest) -> Self {
        Self {
            folder: folder.to_owned(),
            manifest,
            rows: Vec::new(),
            vectors: Vec::new(),
            by_path: HashMap::new(),
            removed: Vec::new(),
            graph: None,
        }
    }

    fn sweep(folder: &Path) -> Result<()> {
        let names = Manifest::read(folder)?;
        if files::leftovers(folder, &|name| names.names().contains(name)).is_empty() {
            return Ok(());
        }
        // Under the lock nobody is writing: what is not named now is nobody's. A folder that cannot be written stays as it is.
        if let Ok(_lock) = Lock::take(folder) {
            let now = Manifest::read(folder)?;
            files::sweep(&files::leftovers(folder, &|name| now.names().contains(name)));
        }
        Ok(())
    }

    /// Reads the index again if another program has changed it; whether it had.
    ///
    /// # Errors
    /// As [`open`](Self::open); the index stays what it was.
    pub fn refresh(&mut self) -> Result<bool> {
        if Manifest::read(&self.folder)? == self.manifest {
            return Ok(false);
        }
        *self = load::load(&self.folder)?;
        Ok(true)
    }

    /// The right to change the index, which is the one on the disk now.
    fn lock(&mut self) -> Result<Lock> {
        let lock = Lock::wait(&self.folder)?;
        self.refresh()?;
        Ok(lock)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Values of a vector (D).
    pub fn width(&self) -> usize {
        self.manifest.settings.width
    }

    /// What vectors are compared by.
    pub fn measure(&self) -> Measure {
        self.manifest.settings.measure
    }

    /// How often it was changed: two programs that see the same number see the same index.
    pub fn generation(&self) -> u64 {
        self.manifest.generation
    }

    /// All rows, in the order in which they were added: ids ascend.
    pub fn rows(&self) -> &[IndexRow] {
        &self.rows
    }

    /// The vectors of all rows (rows, D), in their order.
    pub fn vectors(&self) -> Rows<'_, f32> {
        Rows::trusted(&self.vectors, self.width())
    }

    /// The place in [`rows`](Self::rows) of the row with this id.
    pub fn position(&self, id: u64) -> Option<usize> {
        self.rows.binary_search_by_key(&id, |row| row.id).ok()
    }

    /// The row of a path.
    pub fn find(&self, path: &str) -> Option<&IndexRow> {
        self.by_path.get(path).and_then(|&id| self.position(id)).map(|at| &self.rows[at])
    }

    /// The thumbnail of a row, as the bytes that it was added with; none if there is no such row, or it has none.
    ///
    /// # Errors
    /// [`Error::File`] if the bytes are not what was written, [`Error::Missing`] if another program has changed the index since:
    /// [`refresh`](Self::refresh) it.
    pub fn thumbnail(&self, id: u64) -> Result<Option<Vec<u8>>> {
        let place = self.position(id).and_then(|at| self.rows[at].thumbnail);
        place.map(|place| thumbnails::read(&self.folder, &place)).transpose()
    }

    /// What tells by their similarity whether two rows are of one class, if that is known.
    pub fn verifier(&self) -> Option<&Verifier> {
        self.manifest.verifier.as_ref()
    }

    /// Keeps a verifier with the index, or takes it away.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is of another measure, or its thresholds are not finite or do not rise; [`Error::Locked`],
    /// [`Error::Write`].
    pub fn set_verifier(&mut self, verifier: Option<Verifier>) -> Result<()> {
        let fits = verifier.as_ref().map_or(Ok(()), |verifier| of_measure(verifier, self.measure()));
        fits.map_err(|why| Error::setting("verifier", why))?;
        let _lock = self.lock()?;
        let next = Manifest { verifier, generation: self.manifest.generation + 1, ..self.manifest.clone() };
        self.commit(next)
    }

    /// What was tried to find more, and whether it did, on classes that the model has not learned from.
    pub fn trials(&self) -> &[RefinementTrial] {
        &self.manifest.trials
    }

    /// Keeps the outcome of trials with the index.
    ///
    /// # Errors
    /// [`Error::Setting`] for values that are not finite; [`Error::Locked`], [`Error::Write`].
    pub fn set_trials(&mut self, trials: Vec<RefinementTrial>) -> Result<()> {
        if trials.iter().any(|trial| !(trial.plain.is_finite() && trial.refined.is_finite())) {
            return Err(Error::setting("trials", "have scores that are not finite".to_owned()));
        }
        let _lock = self.lock()?;
        let next = Manifest { trials, generation: self.manifest.generation + 1, ..self.manifest.clone() };
        self.commit(next)
    }

    /// The folder of the model that makes its vectors, if it was given one.
    pub fn model(&self) -> Option<PathBuf> {
        Some(self.folder.join(model::FOLDER)).filter(|folder| folder.is_dir())
    }

    /// Copies the folder of the model that makes the vectors into the index. What is in it is not looked at.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is one: vectors of two models cannot be compared; [`Error::File`] for what is no plain file or
    /// folder; [`Error::Locked`], [`Error::Write`].
    pub fn set_model(&mut self, from: &Path) -> Result<()> {
        let _lock = self.lock()?;
        model::copy_into(from, &self.folder)?;
        sync_folder(&self.folder)
    }

    /// `index.json` becomes this, and files that it does not name are taken away.
    fn commit(&mut self, next: Manifest) -> Result<()> {
        next.write(&self.folder)?;
        self.manifest = next;
        let names = self.manifest.names();
        files::sweep(&files::leftovers(&self.folder, &|name| names.contains(name)));
        Ok(())
    }
}
