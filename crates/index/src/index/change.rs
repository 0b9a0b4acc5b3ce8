//! Adding and removing.

use super::segment::{self, Draft};
use super::{Index, IndexRow};
use crate::files::{self, Sink};
use crate::manifest::{Manifest, RemovedRecord};
use crate::row::{NewRow, RowFilter, check_new, first_unfit};
use crate::table::interned;
use crate::thumbnails::Thumbnail;
use crate::{Error, Result, tensor};
use npair_similarity::Rows;
use std::collections::HashSet;
use std::sync::Arc;

/// What adding did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// The id of every new row, in their order.
    pub ids: Vec<u64>,
    /// Rows of the same paths that are no more, ascending by id.
    pub replaced: Vec<IndexRow>,
}

/// A change whose files are written, but not named yet.
struct Drafted {
    /// What `index.json` has to say.
    next: Manifest,
    /// Rows of the new segment.
    rows: Vec<IndexRow>,
    /// Ids in the segments that are no rows then.
    removed: Vec<u64>,
}

impl Index {
    /// Adds rows with their vectors (rows, D). A row whose path is there already takes that one's place, under a new id.
    ///
    /// Small additions are merged on the way, so that there are never more segments than the logarithm of the rows; each row is
    /// written again that often at most.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are more or fewer vectors than rows, they are of another width, not finite or longer than 1e18, a path is given
    /// twice, or a name or thumbnail is out of range; [`Error::Locked`], [`Error::Write`]. After an error the index is as before.
    pub fn add(&mut self, new: &[NewRow], vectors: Rows<f32>) -> Result<Added> {
        check_new(new)?;
        self.check_vectors(new.len(), vectors)?;
        if new.is_empty() {
            return Ok(Added::default());
        }
        let _lock = self.lock()?;
        let mut gone: Vec<u64> = new.iter().filter_map(|row| self.by_path.get(row.path).copied()).collect();
        gone.sort_unstable();
        let kept = self.kept_beside(new.len());
        let first = self.manifest.next_id;
        let Drafted { next, rows, removed } = self.draft(kept, new, vectors, &gone)?;
        self.commit(next)?;
        self.removed = removed;
        let ids = (first..self.manifest.next_id).collect();
        let replaced = self.forget(&gone);
        // Rows that were written again have their thumbnails elsewhere.
        self.rows.truncate((self.rows.len() + new.len()).saturating_sub(rows.len()));
        self.by_path.extend(rows[rows.len() - new.len()..].iter().map(|row| (row.path.clone(), row.id)));
        self.rows.extend(rows);
        self.vectors.extend_from_slice(vectors.as_slice());
        self.place_graph();
        Ok(Added { ids, replaced })
    }

    /// Removes rows and returns them. Their vectors stay in the files until these are merged: by later additions, or by
    /// [`compact`](Self::compact).
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Write`]; the index is as before.
    pub fn remove(&mut self, which: RowFilter) -> Result<Vec<IndexRow>> {
        let _lock = self.lock()?;
        let gone: Vec<u64> = which.positions(&self.rows).into_iter().map(|at| self.rows[at].id).collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let drafted = self.draft(self.manifest.segments.len(), &[], self.none(), &gone)?;
        self.commit(drafted.next)?;
        self.removed = drafted.removed;
        let taken = self.forget(&gone);
        self.place_graph();
        Ok(taken)
    }

    /// Writes all rows into one segment, so that what was removed takes no place on the disk any more.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Write`]; the index is as before.
    pub fn compact(&mut self) -> Result<()> {
        let _lock = self.lock()?;
        if self.manifest.segments.len() < 2 && self.removed.is_empty() {
            return Ok(());
        }
        let drafted = self.draft(0, &[], self.none(), &[])?;
        self.commit(drafted.next)?;
        (self.rows, self.removed) = (drafted.rows, drafted.removed);
        self.place_graph();
        Ok(())
    }

    fn check_vectors(&self, rows: usize, vectors: Rows<f32>) -> Result<()> {
        if vectors.width() != self.width() || vectors.len() != rows {
            let (got, want) = ((vectors.len(), vectors.width()), (rows, self.width()));
            return Err(Error::setting("vectors", format!("are of the shape {got:?}, but {want:?} is needed")));
        }
        match first_unfit(vectors.as_slice(), self.width()) {
            Some((at, why)) => Err(Error::setting("vectors", format!("row {at} {why}: embed its picture again"))),
            None => Ok(()),
        }
    }

    fn none(&self) -> Rows<'static, f32> {
        Rows::trusted(&[], self.width())
    }

    /// How many segments stay as they are when so many rows are added: those behind them, each no larger than what comes together,
    /// are written again with the new rows.
    fn kept_beside(&self, new: usize) -> usize {
        let (mut kept, mut size) = (self.manifest.segments.len(), new);
        while kept > 0 && self.manifest.segments[kept - 1].rows <= size {
            kept -= 1;
            size += self.manifest.segments[kept].rows;
        }
        kept
    }

    /// Writes a segment behind the first `kept` ones, of the rows that are in none of these and of new ones, and the ids in kept
    /// segments that are no rows any more. Nothing is changed by that.
    fn draft(&self, kept: usize, new: &[NewRow], vectors: Rows<f32>, gone: &[u64]) -> Result<Drafted> {
        let mut next = Manifest { generation: self.manifest.generation + 1, ..self.manifest.clone() };
        next.segments.truncate(kept);
        let mut drafts = self.behind(next.segments.last().map_or(0, |segment| segment.last_id), gone);
        drafts.extend(self.drafts(new, vectors, &mut next.next_id));
        let mut removed: Vec<u64> = self.removed.iter().chain(gone).copied().collect();
        removed.sort_unstable();
        // A segment of which nothing is left goes as a whole.
        next.segments.retain(|s| {
            let within =
                |ids: &[u64]| ids.partition_point(|&id| id <= s.last_id) - ids.partition_point(|&id| id < s.first_id);
            within(&removed) < s.rows
        });
        let of = |id: u64| next.segments.iter().any(|s| (s.first_id..=s.last_id).contains(&id));
        removed.retain(|&id| of(id));
        if !drafts.is_empty() {
            next.segments.push(segment::write(&self.folder, next.generation, &mut drafts)?);
        }
        next.rows = self.rows.len() + new.len() - gone.len();
        next.removed = self.write_removed(next.generation, &removed)?;
        Ok(Drafted { next, rows: drafts.into_iter().map(|draft| draft.row).collect(), removed })
    }

    fn write_removed(&self, generation: u64, removed: &[u64]) -> Result<Option<RemovedRecord>> {
        match removed == self.removed {
            true => return Ok(self.manifest.removed.clone()),
            false if removed.is_empty() => return Ok(None),
            false => {}
        }
        let sink = Sink::new(&self.folder, files::name("removed", generation))?;
        let file = tensor::write(sink, "ids", &[removed.len()], std::iter::once(removed))?;
        Ok(Some(RemovedRecord { ids: removed.len(), file }))
    }

    /// Rows with ids above this one that are not about to go.
    fn behind(&self, last: u64, gone: &[u64]) -> Vec<Draft<'_>> {
        let from = self.rows.partition_point(|row| row.id <= last);
        let left = (from..self.rows.len()).filter(|&at| gone.binary_search(&self.rows[at].id).is_err());
        let draft = |at: usize| {
            let row = self.rows[at].clone();
            let thumbnail = row.thumbnail.map_or(Thumbnail::None, Thumbnail::Kept);
            Draft { row, vector: self.vectors().row(at), thumbnail }
        };
        left.map(draft).collect()
    }

    /// New rows, with the next ids.
    fn drafts<'a>(&self, new: &[NewRow<'a>], vectors: Rows<'a, f32>, next_id: &mut u64) -> Vec<Draft<'a>> {
        let mut classes: HashSet<Arc<str>> = self.rows.iter().filter_map(|row| row.class.clone()).collect();
        let mut draft = |(at, new): (usize, &NewRow<'a>)| {
            let class = new.class.map(|class| interned(&mut classes, class));
            let row = IndexRow { id: *next_id, path: Arc::from(new.path), class, added: new.added, thumbnail: None };
            *next_id += 1;
            Draft { row, vector: vectors.row(at), thumbnail: new.thumbnail.map_or(Thumbnail::None, Thumbnail::New) }
        };
        new.iter().enumerate().map(&mut draft).collect()
    }

    /// Takes rows out of memory; the others move together in their order.
    pub(super) fn forget(&mut self, gone: &[u64]) -> Vec<IndexRow> {
        if gone.is_empty() {
            return Vec::new();
        }
        let (width, mut end) = (self.width(), 0);
        let (mut left, mut taken) = (Vec::with_capacity(self.rows.len()), Vec::with_capacity(gone.len()));
        for (at, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            if gone.binary_search(&row.id).is_ok() {
                self.by_path.remove(&row.path);
                taken.push(row);
            } else {
                if at != end {
                    self.vectors.copy_within(at * width..(at + 1) * width, end * width);
                }
                left.push(row);
                end += 1;
            }
        }
        self.vectors.truncate(end * width);
        self.rows = left;
        taken
    }
}
