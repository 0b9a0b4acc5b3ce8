use super::{Part, zipped::Zipped};
use crate::decode::{decode, decode_file};
use crate::official::MAX_LIST;
use crate::walk;
use crate::{Error, Picture, Result, read_regular};
use std::path::{Path, PathBuf};

/// One folder or archive that drawings are read from.
#[derive(Debug)]
pub(crate) enum Source {
    Folder { root: PathBuf, part: Option<Part> },
    Zip { archive: Zipped, part: Option<Part> },
}

/// Where a drawing lies in its source.
#[derive(Debug, Clone)]
pub(crate) enum Locator {
    /// Below the folder.
    File(PathBuf),
    /// Number of the archive's entry.
    Entry(usize),
}

/// Finds the sources at a path: a zip, an unpacked folder, or the official folders and zips inside a folder.
pub(crate) fn find(path: &Path, parts: &[Part], sources: &mut Vec<Source>) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::read(path.display(), &e))?;
    if metadata.is_file() {
        sources.push(Source::zip(path)?);
        return Ok(());
    }
    let entries = walk::entries(path)?;
    let held = |part: Part| {
        let folder = entries.iter().find(|e| e.is_folder && e.name == part.folder());
        let zip = || entries.iter().find(|e| !e.is_folder && e.name == format!("{}.zip", part.folder()));
        folder.or_else(zip)
    };
    if Part::ALL.into_iter().all(|part| held(part).is_none()) {
        sources.push(Source::folder(path));
        return Ok(());
    }
    for part in Part::ALL {
        match held(part) {
            Some(entry) if parts.is_empty() || parts.contains(&part) => sources.push(match entry.is_folder {
                true => Source::folder(&entry.path),
                false => Source::zip(&entry.path)?,
            }),
            None if parts.contains(&part) => {
                let why = format!("holds neither the folder {0} nor {0}.zip", part.folder());
                return Err(Error::dataset(path.display(), why, "fetch it, or choose another part"));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Source {
    pub(crate) fn folder(root: &Path) -> Self {
        let name = root.file_name().map(|n| n.to_string_lossy().into_owned());
        Self::Folder { root: root.to_owned(), part: name.as_deref().and_then(Part::of_folder) }
    }

    pub(crate) fn zip(path: &Path) -> Result<Self> {
        let name = path.file_stem().map(|n| n.to_string_lossy().into_owned());
        Ok(Self::Zip { archive: Zipped::open(path)?, part: name.as_deref().and_then(Part::of_folder) })
    }

    /// The part that the source's own name says it is.
    pub(crate) fn part(&self) -> Option<Part> {
        match self {
            Self::Folder { part, .. } | Self::Zip { part, .. } => *part,
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Folder { root, .. } => root.display().to_string(),
            Self::Zip { archive, .. } => archive.name().to_owned(),
        }
    }

    /// All visible files with their paths inside the source, parts joined by `/`.
    pub(crate) fn files(&self) -> Result<Vec<(String, Locator)>> {
        match self {
            Self::Zip { archive, .. } => {
                Ok(archive.entries()?.into_iter().map(|(at, path)| (path, Locator::Entry(at))).collect())
            }
            Self::Folder { root, .. } => Ok(walk::files(root)?
                .into_iter()
                .map(|file| {
                    let inside = file.strip_prefix(root).unwrap_or(&file);
                    let names: Vec<_> = inside.iter().map(|name| name.to_string_lossy()).collect();
                    (names.join("/"), Locator::File(file.clone()))
                })
                .collect()),
        }
    }

    /// An error if a drawing is of an absurd size; those in folders are checked when they are read.
    pub(crate) fn expect_small(&self, locator: &Locator) -> Result<()> {
        match (self, locator) {
            (Self::Zip { archive, .. }, Locator::Entry(at)) => archive.expect_small(*at),
            _ => Ok(()),
        }
    }

    pub(crate) fn describe(&self, locator: &Locator) -> String {
        match (self, locator) {
            (Self::Zip { archive, .. }, Locator::Entry(at)) => archive.describe(*at),
            (_, Locator::File(path)) => path.display().to_string(),
            (Self::Folder { .. }, Locator::Entry(at)) => format!("{} entry {at}", self.name()),
        }
    }

    /// The bytes of a file; for lists, not for pictures.
    pub(crate) fn read(&self, locator: &Locator) -> Result<Vec<u8>> {
        match (self, locator) {
            (Self::Zip { archive, .. }, Locator::Entry(at)) => archive.read(*at),
            (_, Locator::File(path)) => read_regular(path, MAX_LIST),
            (Self::Folder { .. }, Locator::Entry(_)) => Err(Error::Picture { why: self.describe(locator) }),
        }
    }

    pub(crate) fn load(&self, locator: &Locator) -> Result<Picture> {
        match (self, locator) {
            (Self::Zip { archive, .. }, Locator::Entry(at)) => decode(&archive.read(*at)?, || archive.describe(*at)),
            (_, Locator::File(path)) => decode_file(path),
            (Self::Folder { .. }, Locator::Entry(_)) => Err(Error::Picture { why: self.describe(locator) }),
        }
    }
}
