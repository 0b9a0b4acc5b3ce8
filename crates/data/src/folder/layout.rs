//! Which folders of a path name the class.

use crate::walk::{listed, printable};
use crate::{Error, OfficialSide, Result};
use npair_types::ClassId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Names of folders that are sides of a split, not classes.
const TRAIN: [&str; 3] = ["train", "training", "trainset"];
const VAL: [&str; 4] = ["val", "valid", "validation", "dev"];
const TEST: [&str; 3] = ["test", "testing", "testset"];

/// A picture, and the names of the folders between the root and it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) folders: Vec<String>,
}

impl Place {
    pub(super) fn below(root: &Path, path: PathBuf) -> Self {
        let inside = path.strip_prefix(root).unwrap_or(&path).parent().unwrap_or(Path::new(""));
        let folders = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        Self { folders, path }
    }
}

/// Side, if it is the name of one.
fn side(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let known = [("train", &TRAIN[..]), ("val", &VAL), ("test", &TEST)];
    known.into_iter().find(|(_, names)| names.contains(&name.as_str())).map(|(side, _)| side)
}

/// How the folders of a path are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The first folder is a side of a split.
    sides: bool,
    /// There is a `test` side; without one `val` is it.
    test: bool,
    /// Folders that name the class.
    pub(super) levels: usize,
    /// Levels were not asked for.
    guessed: bool,
}

impl Layout {
    pub(super) fn with_levels(levels: usize) -> Self {
        Self { sides: false, test: false, levels, guessed: false }
    }

    /// What the places look like.
    pub(super) fn recognised(places: &[Place]) -> Self {
        let firsts: BTreeSet<&str> = places.iter().filter_map(|p| p.folders.first()).map(String::as_str).collect();
        let known: BTreeSet<&str> = firsts.iter().filter_map(|name| side(name)).collect();
        // Each side once, and classes below each: a class may well be called `test`.
        let below = places.iter().filter(|p| !p.folders.is_empty()).all(|p| p.folders.len() > 1);
        let sides = known.len() > 1 && known.len() == firsts.len() && known.contains("train") && below;
        let skipped = usize::from(sides);
        let levels = if categories(places, skipped) { 2 } else { 1 };
        Self { sides, test: known.contains("test"), levels, guessed: true }
    }

    /// The names that make the class of a picture; none if it lies in no class folder.
    pub(super) fn class<'a>(&self, place: &'a Place) -> Option<Vec<&'a str>> {
        let from = usize::from(self.sides);
        Some(place.folders.get(from..from + self.levels)?.iter().map(String::as_str).collect())
    }

    pub(super) fn side(&self, place: &Place) -> Option<OfficialSide> {
        let name = self.sides.then(|| side(place.folders.first()?)).flatten()?;
        let judged = if self.test { "test" } else { "val" };
        Some(if name == judged { OfficialSide::Test } else { OfficialSide::Train })
    }

    /// What was recognised, or could be meant otherwise.
    pub(super) fn notes(&self, places: &[Place], classes: &BTreeMap<Vec<&str>, Vec<&Place>>) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.guessed {
            return notes;
        }
        if self.sides {
            let sides: BTreeSet<&str> = places.iter().filter_map(|p| p.folders.first()).map(String::as_str).collect();
            let names: Vec<String> = sides.into_iter().map(str::to_owned).collect();
            let both = classes.values().filter(|own| own.iter().any(|p| p.folders[0] != own[0].folders[0])).count();
            notes.push(format!(
                "the folders {} were taken for sides of a split: classes are the folders in them, {both} of {} on more than one side \
                 (--set data.levels=1 takes the sides for classes)",
                listed(&names),
                classes.len()
            ));
        }
        if self.levels == 2 {
            let groups: BTreeSet<&str> = classes.keys().map(|class| class[0]).collect();
            let first = classes.keys().next().map(|class| printable(&class.join("/"))).unwrap_or_default();
            notes.push(format!(
                "pictures lie in CATEGORY/CLASS: {} classes of {} categories, {first} the first (--set data.levels=1 takes the categories for classes)",
                classes.len(),
                groups.len()
            ));
        } else if places.iter().any(|p| p.folders.len() > usize::from(self.sides) + 1) {
            let deepest = places.iter().map(|p| p.folders.len()).max().unwrap_or(0);
            let deeper = places.iter().filter(|p| p.folders.len() > usize::from(self.sides) + 1).count();
            notes.push(format!(
                "{deeper} pictures lie in folders below their class's, and were taken for the class's own (--set data.levels={} makes \
                 those folders the classes)",
                deepest - usize::from(self.sides)
            ));
        }
        notes
    }
}

/// Whether the places, behind `skipped` folders, look like categories of classes: all pictures two folders deep, more than one folder
/// in some, and no folder's name in two categories (as `front` and `back` would be), unless all are called as Omniglot calls the
/// characters of its alphabets.
fn categories(places: &[Place], skipped: usize) -> bool {
    let inner: Vec<&[String]> =
        places.iter().filter_map(|p| p.folders.get(skipped..)).filter(|f| !f.is_empty()).collect();
    if inner.is_empty() || inner.iter().any(|folders| folders.len() != 2) {
        return false;
    }
    let classes: BTreeSet<(&str, &str)> = inner.iter().map(|f| (f[0].as_str(), f[1].as_str())).collect();
    let names: BTreeSet<&str> = classes.iter().map(|(_, class)| *class).collect();
    let categories: BTreeSet<&str> = classes.iter().map(|(category, _)| *category).collect();
    let is_character = |name: &&str| name.strip_prefix("character").is_some_and(|nth| nth.parse::<u32>().is_ok());
    (names.len() == classes.len() || names.iter().all(is_character)) && classes.len() > categories.len()
}

/// The class of every picture, class by class.
pub(super) fn ids(name: &str, classes: &BTreeMap<Vec<&str>, Vec<&Place>>) -> Result<Vec<ClassId>> {
    let mut ids = Vec::new();
    for (at, places) in classes.values().enumerate() {
        let id = u32::try_from(at).map_err(|_| Error::dataset(name, "has too many folders", "split it"))?;
        ids.extend(std::iter::repeat_n(ClassId(id), places.len()));
    }
    Ok(ids)
}
