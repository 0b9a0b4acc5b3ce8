//! Embeddings that are written while they are made, so that a set of any size takes the memory of a few chunks, and whoever was
//! killed goes on.

mod head;
mod log;
mod origin;
#[cfg(test)]
mod tests;

use crate::embed::{in_pieces, in_pieces_on_ranks};
use crate::files::write_with;
use crate::vectors::write_list;
use crate::{Error, Inputs, Result, TestTimeAugmentation, Vectors};
use head::Form;
use log::{Begun, Log};
use npair_backbones::EmbeddingModel;
use npair_collective::{Collective, Tag, broadcast_values};
use npair_metrics::Embeddings;
use npair_types::ExampleId;
use origin::Origin;
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The largest log, in bytes: that of 100 million chunks.
const MAX_LOG: u64 = 1 << 30;

/// Examples, and the model that is to embed them.
#[derive(Clone, Copy)]
pub struct EmbeddingJob<'a> {
    /// The folder that the model was read from.
    pub folder: &'a Path,
    /// The model.
    pub model: &'a dyn EmbeddingModel,
    /// The examples.
    pub inputs: &'a dyn Inputs,
    /// How often each is looked at.
    pub how: TestTimeAugmentation,
}

impl EmbeddingJob<'_> {
    /// Embeds with the first rank, which [fills](PartFile::fill_on) a file: what this rank makes goes there.
    ///
    /// # Errors
    /// Those of [`embed`](crate::embed) and of the ranks.
    pub fn take_part(&self, ranks: &dyn Collective) -> Result<()> {
        let first = self.first_of(ranks, 0)?;
        in_pieces_on_ranks(self.model, self.inputs, (self.how, first), ranks, &mut |_, _| Ok(()))
    }

    /// The first example that is to be embedded, as the first rank knows; an error unless all have as many examples.
    fn first_of(&self, ranks: &dyn Collective, there: usize) -> Result<usize> {
        let tag = Tag { what: "first of examples", number: self.inputs.len() as u64 };
        let first = broadcast_values(ranks, tag, 0, &[there as u64])?;
        Ok(first.first().map_or(0, |&first| first as usize))
    }
}

/// What to do with files that lie where the rows are to grow, and are not the beginning of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherPart {
    /// An error that says what they are.
    Refuse,
    /// Begin anew in the place of rows of something else; anything but rows is an error.
    BeginAnew,
    /// Begin anew, whatever they are.
    Replace,
}

/// A file of embeddings that grows chunk by chunk: `NAME.part` beside the file that it will be, and `NAME.part.log`, which says what
/// the rows are of and has a checksum of every whole chunk. Both stay when the program ends early, however it ends, and the next one
/// goes on behind the last whole chunk: chunks have the same borders, so that the file has the same bits.
pub struct PartFile<'a> {
    job: EmbeddingJob<'a>,
    of: Origin,
    form: Form,
    out: PathBuf,
    places: Places,
    growing: Option<Growing>,
    begun_anew: Option<&'static str>,
}

/// Where the rows and their log lie.
struct Places {
    rows: PathBuf,
    log: PathBuf,
}

/// The open files, and what is in them.
struct Growing {
    rows: File,
    /// Locked while the rows grow.
    log: File,
    width: usize,
    /// Bytes before the rows.
    head: u64,
    /// Rows of whole chunks.
    whole: usize,
}

/// What lies where the rows are to grow.
enum Found {
    Nothing,
    Foreign(PathBuf),
    Rows(Box<(File, Log)>),
}

impl Places {
    fn beside(out: &Path) -> Self {
        let with = |ending: &str| {
            let mut name = OsString::from(out);
            name.push(ending);
            PathBuf::from(name)
        };
        Self { rows: with(".part"), log: with(".part.log") }
    }

    fn find(&self) -> Result<Found> {
        let kind = |path: &Path| path.symlink_metadata().ok().map(|found| found.is_file());
        match (kind(&self.rows), kind(&self.log)) {
            (None, None) => return Ok(Found::Nothing),
            (Some(_), None) | (Some(false), Some(_)) => return Ok(Found::Foreign(self.rows.clone())),
            (_, Some(false)) => return Ok(Found::Foreign(self.log.clone())),
            (None | Some(true), Some(true)) => {}
        }
        let unread = |e: io::Error| Error::file(&self.log, format!("cannot be read: {e}"));
        let log = OpenOptions::new().read(true).write(true).open(&self.log).map_err(unread)?;
        if let Err(TryLockError::WouldBlock) = log.try_lock() {
            let why = "another process is writing these embeddings: wait until it ends, or choose another name";
            return Err(Error::file(&self.log, why));
        }
        // A file system without locks goes without.
        let mut bytes = Vec::new();
        (&log).take(MAX_LOG).read_to_end(&mut bytes).map_err(unread)?;
        let text = String::from_utf8(bytes).unwrap_or_else(|_| "no log\n".to_owned());
        let no_rows = !self.rows.exists();
        match Log::parse(&text) {
            // Whoever was killed at the very beginning has left no row.
            Some(_) if no_rows => self.clear().map(|()| Found::Nothing),
            None if no_rows && !text.contains('\n') => self.clear().map(|()| Found::Nothing),
            None => Ok(Found::Foreign(self.log.clone())),
            Some(read) => Ok(Found::Rows(Box::new((log, read)))),
        }
    }

    fn clear(&self) -> Result<()> {
        for path in [&self.rows, &self.log] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::unwritten(path, &e)),
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> PartFile<'a> {
    /// The rows that are there for the file `out`, which is to end in `.npy` or `.safetensors`; none if nobody has begun. Nothing is
    /// written before the first chunk is made.
    ///
    /// # Errors
    /// [`Error::File`] if the rows are of something else or another process is writing them, [`Error::Exists`] for files of
    /// somebody else's, both as `other` says; [`Error::Write`].
    pub fn open(out: &Path, job: EmbeddingJob<'a>, other: OtherPart) -> Result<Self> {
        let of = Origin::new((job.folder, job.model), job.inputs, job.how)?;
        let (form, places) = (Form::of(out)?, Places::beside(out));
        let mut part = Self { job, of, form, out: out.to_owned(), places, growing: None, begun_anew: None };
        match part.places.find()? {
            Found::Nothing => {}
            Found::Foreign(path) if other != OtherPart::Replace => return Err(Error::Exists { path }),
            Found::Foreign(_) => part.places.clear()?,
            Found::Rows(found) => {
                let (file, log) = *found;
                match log.begun.of.difference(&part.of) {
                    None => part.growing = part.go_on(file, &log)?,
                    Some(what) if other == OtherPart::Refuse => {
                        let why = format!(
                            "holds a part of the embeddings of {what}: finish those first, or remove it and {}, or begin anew with --force",
                            part.places.log.display()
                        );
                        return Err(Error::file(&part.places.rows, why));
                    }
                    Some(what) => part.begun_anew = Some(what),
                }
                if part.growing.is_none() {
                    part.places.clear()?;
                }
            }
        }
        Ok(part)
    }

    /// Whether all rows for a file are there and the files were being put in their places when the program ended: what lies at
    /// these places may be theirs.
    pub fn is_placing(out: &Path) -> bool {
        let places = Places::beside(out);
        let log = npair_data::read_regular(&places.log, MAX_LOG).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        places.rows.is_file() && log.and_then(|text| Log::parse(&text)).is_some_and(|log| log.placing)
    }

    /// Rows that are there.
    pub fn rows(&self) -> usize {
        self.growing.as_ref().map_or(0, |growing| growing.whole)
    }

    /// Values of a row; 0 before the first is there.
    pub fn width(&self) -> usize {
        self.growing.as_ref().map_or(0, |growing| growing.width)
    }

    /// The file that the rows are in.
    pub fn path(&self) -> &Path {
        &self.places.rows
    }

    /// What the rows that were there were of, where they were not of what is asked for.
    pub fn begun_anew(&self) -> Option<&'static str> {
        self.begun_anew
    }

    /// The files as they were left, cut behind the last whole chunk; none if not even their beginning is whole.
    fn go_on(&self, mut file: File, log: &Log) -> Result<Option<Growing>> {
        let (of, width) = (&log.begun.of, log.begun.width);
        let path = &self.places.rows;
        let unread = |e: io::Error| Error::file(path, format!("cannot be read: {e}"));
        let mut rows = OpenOptions::new().read(true).write(true).open(path).map_err(unread)?;
        let size = rows.metadata().map_err(unread)?.len();
        // What a log says is not trusted: so many bytes have to be countable.
        let bytes_of = |rows: usize| rows.checked_mul(width).and_then(|n| n.checked_mul(4)).filter(|&n| n > 0);
        if bytes_of(of.examples).is_none() {
            return Ok(None);
        }
        let head = self.form.head(&self.out, self.job.inputs.labels(), width)?;
        let mut reader = BufReader::new(&mut rows);
        let mut begins = vec![0; head.len()];
        if size < head.len() as u64 || reader.read_exact(&mut begins).is_err() || begins != head {
            return Ok(None);
        }
        let (mut whole, mut chunks, mut left, mut bytes) = (0, 0, size - head.len() as u64, Vec::new());
        for &sum in &log.sums {
            let rows = of.chunk.min(of.examples - whole);
            let Some(length) = bytes_of(rows).filter(|&n| n as u64 <= left) else { break };
            bytes.resize(length, 0);
            reader.read_exact(&mut bytes).map_err(unread)?;
            if crc32fast::hash(&bytes) != sum {
                break;
            }
            (whole, chunks, left) = (whole + rows, chunks + 1, left - length as u64);
        }
        let end = head.len() as u64 + (whole * 4 * width) as u64;
        let cut = |file: &mut File, end: u64| file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)));
        cut(&mut rows, end).map_err(|e| Error::unwritten(path, &e))?;
        // That the files are being placed stays written down: some of them may be there.
        let end = if whole < of.examples { log.end_of(chunks) } else { log.end };
        cut(&mut file, end).map_err(|e| Error::unwritten(&self.places.log, &e))?;
        Ok(Some(Growing { rows, log: file, width, head: head.len() as u64, whole }))
    }

    /// New files.
    fn begin(&self, width: usize) -> Result<Growing> {
        let Places { rows: rows_path, log: log_path } = &self.places;
        let new = |path: &Path| {
            let made = OpenOptions::new().read(true).write(true).create_new(true).open(path);
            made.map_err(|e| match e.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
                _ => Error::unwritten(path, &e),
            })
        };
        let head = self.form.head(&self.out, self.job.inputs.labels(), width)?;
        let line = Begun::new(width, self.of.clone()).line().map_err(|e| Error::file(log_path, e))?;
        let mut log = new(log_path)?;
        // A file system without locks goes without.
        let _ = log.try_lock();
        log.write_all(line.as_bytes()).map_err(|e| Error::unwritten(log_path, &e))?;
        let mut rows = new(rows_path)?;
        rows.write_all(&head).map_err(|e| Error::unwritten(rows_path, &e))?;
        Ok(Growing { rows, log, width, head: head.len() as u64, whole: 0 })
    }

    /// Embeds the examples that are not there yet. `progress` hears how many are.
    ///
    /// # Errors
    /// Those of [`embed`](crate::embed), and [`Error::Write`]; what is whole then stays.
    pub fn fill(&mut self, progress: &mut dyn FnMut(usize)) -> Result<()> {
        let EmbeddingJob { model, inputs, how, .. } = self.job;
        in_pieces(model, inputs, how, self.rows(), &mut |rows, width| {
            self.append(rows, width)?;
            progress(self.rows());
            Ok(())
        })
    }

    /// The same with other ranks, which [take part](EmbeddingJob::take_part) at the same time: the file has the same bits.
    ///
    /// # Errors
    /// As [`fill`](Self::fill), and those of the ranks.
    pub fn fill_on(&mut self, ranks: &dyn Collective, progress: &mut dyn FnMut(usize)) -> Result<()> {
        let EmbeddingJob { model, inputs, how, .. } = self.job;
        let first = self.job.first_of(ranks, self.rows())?;
        in_pieces_on_ranks(model, inputs, (how, first), ranks, &mut |rows, width| {
            self.append(rows, width)?;
            progress(self.rows());
            Ok(())
        })
    }

    fn append(&mut self, values: &[f32], width: usize) -> Result<()> {
        if self.growing.is_none() {
            self.growing = Some(self.begin(width)?);
        }
        let Some(growing) = &mut self.growing else { return Ok(()) };
        if growing.width != width {
            let why = format!("holds rows of width {}, not {width}: remove it and begin anew", growing.width);
            return Err(Error::file(&self.places.rows, why));
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        growing.rows.write_all(&bytes).map_err(|e| Error::unwritten(&self.places.rows, &e))?;
        let line = log::line_of(crc32fast::hash(&bytes));
        growing.log.write_all(line.as_bytes()).map_err(|e| Error::unwritten(&self.places.log, &e))?;
        growing.whole += values.len() / width.max(1);
        Ok(())
    }

    /// Puts the file and those beside it in their places, once all rows are there; returns them as
    /// [`Vectors::write`](crate::Vectors::write) does, whose bits they have.
    ///
    /// # Errors
    /// [`Error::Write`]; the next one that opens the part goes on here.
    pub fn place(mut self) -> Result<Vec<PathBuf>> {
        let mut growing = self.expect_whole()?;
        let Places { rows, log } = &self.places;
        growing.log.write_all(log::placing().as_bytes()).map_err(|e| Error::unwritten(log, &e))?;
        growing.rows.sync_all().map_err(|e| Error::unwritten(rows, &e))?;
        let (inputs, files) = (self.job.inputs, Vectors::files(&self.out)?);
        let classes = inputs.labels().as_slice();
        if self.form == Form::Npy {
            write_with(&files[1], &mut |to| {
                to.write_all(&head::npy::<i64>(&[classes.len() as u64])?)?;
                classes.iter().try_for_each(|class| to.write_all(&i64::from(class.0).to_le_bytes()))
            })?;
        }
        let entry = |(row, class): (usize, &npair_types::ClassId)| {
            let [class_name, name] = [inputs.class_name(*class), inputs.describe(ExampleId(row))].map(Cow::Owned);
            [Cow::Owned(class.to_string()), class_name, name]
        };
        write_with(&files[files.len() - 1], &mut |to| write_list(to, classes.iter().enumerate().map(entry)))?;
        fs::rename(rows, &self.out).map_err(|e| Error::unwritten(&self.out, &e))?;
        drop(growing);
        fs::remove_file(log).map_err(|e| Error::unwritten(log, &e))?;
        Ok(files)
    }

    /// All rows, to be judged; their file stays until it is [removed](Self::remove).
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    pub fn embeddings(&mut self) -> Result<Embeddings> {
        let mut growing = self.expect_whole()?;
        let path = &self.places.rows;
        let unread = |e: io::Error| Error::file(path, format!("cannot be read: {e}"));
        let mut values = Vec::with_capacity(growing.whole * growing.width);
        growing.rows.seek(SeekFrom::Start(growing.head)).map_err(unread)?;
        let mut reader = BufReader::with_capacity(1 << 20, &growing.rows);
        let mut row = vec![0; 4 * growing.width];
        for _ in 0..growing.whole {
            reader.read_exact(&mut row).map_err(unread)?;
            values.extend(row.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        }
        let width = growing.width;
        self.growing = Some(growing);
        Ok(Embeddings::owned(values, width, self.job.inputs.labels().clone())?)
    }

    fn expect_whole(&mut self) -> Result<Growing> {
        let (there, wanted) = (self.rows(), self.of.examples);
        let missing = || Error::file(&self.places.rows, format!("holds {there} of {wanted} rows: embed the others"));
        if there < wanted {
            return Err(missing());
        }
        self.growing.take().ok_or_else(missing)
    }

    /// Takes the rows away, whatever they are.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn remove(self) -> Result<()> {
        drop(self.growing);
        self.places.clear()
    }
}
