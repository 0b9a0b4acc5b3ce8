//! From files to memory.

use super::{Index, segment};
use crate::manifest::{Manifest, RemovedRecord};
use crate::row::IndexRow;
use crate::{Error, Result, tensor};
use std::collections::HashSet;
use std::path::Path;

/// How often an index may be changed while it is read.
const TRIES: usize = 100;

/// What is on the disk now. A writer may take files away while they are read: then the new ones are read.
pub(super) fn load(folder: &Path) -> Result<Index> {
    let mut manifest = Manifest::read(folder)?;
    for _ in 0..TRIES {
        match contents(folder, manifest.clone()) {
            Err(Error::Missing { path }) => {
                let now = Manifest::read(folder)?;
                if now == manifest {
                    return Err(Error::Missing { path });
                }
                manifest = now;
            }
            read => return read,
        }
    }
    contents(folder, manifest)
}

fn contents(folder: &Path, manifest: Manifest) -> Result<Index> {
    let mut index = Index::of(folder, manifest);
    let mut classes = HashSet::new();
    for record in &index.manifest.segments {
        let read = segment::read(folder, index.manifest.settings.width, record, &mut classes, &mut index.vectors)?;
        index.rows.extend(read);
    }
    if let Some(record) = &index.manifest.removed {
        index.removed = removed(folder, record, &index.rows)?;
    }
    let gone = std::mem::take(&mut index.removed);
    index.forget(&gone);
    index.removed = gone;
    for row in &index.rows {
        if index.by_path.insert(row.path.clone(), row.id).is_some() {
            let why = format!("names the path {:?} in two rows", row.path);
            return Err(Error::damaged(&folder.join(crate::manifest::NAME), why));
        }
    }
    index.read_graph()?;
    Ok(index)
}

/// Ids of rows that are in the segments and count no more.
fn removed(folder: &Path, record: &RemovedRecord, rows: &[IndexRow]) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    tensor::read(folder, &record.file, "ids", &[record.ids], &mut ids)?;
    let known = |id: &u64| rows.binary_search_by_key(id, |row| row.id).is_ok();
    if ids.is_sorted_by(|a, b| a < b) && ids.iter().all(known) {
        return Ok(ids);
    }
    Err(Error::damaged(&folder.join(&record.file.name), "names rows that are not in the index"))
}
