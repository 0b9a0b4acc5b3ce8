//! Small pictures, packed into a file for each segment; a row knows where its own lies.

use crate::files::{self, FileRecord, Sink};
use crate::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Where a thumbnail lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Generation in the name of the file.
    pub(crate) generation: u64,
    pub(crate) at: u64,
    pub(crate) bytes: u32,
    pub(crate) crc32: u32,
}

/// The thumbnail of a row that is about to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thumbnail<'a> {
    None,
    /// It lies in the file of an earlier segment.
    Kept(Place),
    New(&'a [u8]),
}

/// Packs thumbnails in their order; there is no file where there are none.
pub(crate) fn write(
    folder: &Path,
    generation: u64,
    thumbnails: &[Thumbnail],
) -> Result<(Option<FileRecord>, Vec<Option<Place>>)> {
    let mut places = Vec::with_capacity(thumbnails.len());
    if thumbnails.iter().all(|t| matches!(t, Thumbnail::None)) {
        places.resize(thumbnails.len(), None);
        return Ok((None, places));
    }
    let mut sink = Sink::new(folder, files::name("thumbnails", generation))?;
    let mut at = 0;
    for thumbnail in thumbnails {
        let kept;
        let bytes = match thumbnail {
            Thumbnail::None => {
                places.push(None);
                continue;
            }
            Thumbnail::New(bytes) => bytes,
            Thumbnail::Kept(place) => {
                kept = read(folder, place)?;
                &kept[..]
            }
        };
        sink.write(bytes)?;
        places.push(Some(Place { generation, at, bytes: bytes.len() as u32, crc32: crc32fast::hash(bytes) }));
        at += bytes.len() as u64;
    }
    Ok((Some(sink.finish()?), places))
}

/// One thumbnail, checked.
pub(crate) fn read(folder: &Path, place: &Place) -> Result<Vec<u8>> {
    let path = folder.join(files::name("thumbnails", place.generation));
    let mut bytes = vec![0; place.bytes as usize];
    let mut filled = || {
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(place.at))?;
        file.read_exact(&mut bytes)
    };
    filled().map_err(|e| Error::unread(&path, &e))?;
    if crc32fast::hash(&bytes) != place.crc32 {
        return Err(Error::damaged(
            &path,
            format!("holds another picture at byte {} (its checksum differs)", place.at),
        ));
    }
    Ok(bytes)
}
