//! Handwritten characters of many alphabets, read from the official archives.

mod part;
mod place;
mod source;
mod zipped;

pub use part::Part;
pub(crate) use source::{Locator, Source};
pub(crate) use zipped::Zipped;

use crate::dataset::expect_example;
use crate::{Dataset, Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use place::Place;

use std::collections::BTreeMap;
use std::path::Path;

/// Omniglot: 1,623 characters of 50 alphabets, each drawn once by 20 people; 105 x 105 pixels, dark ink on white.
///
/// A class is a character; its id is the number that the official files carry (`0108_01.png` is drawer 1's drawing of
/// character 108), which is the same in every archive, so that a character has one id wherever it comes from. A
/// drawing that lies in several of the opened archives (Greek in both small sets) is taken once. The group of a class
/// is its alphabet. Examples are sorted by class, then drawer.
///
/// # Source
/// Lake, Salakhutdinov, Tenenbaum, Science 350 (2015); the archives `images_background.zip`,
/// `images_evaluation.zip`, `images_background_small1.zip` and `images_background_small2.zip` of its repository.
#[derive(Debug)]
pub struct Omniglot {
    name: String,
    sources: Vec<Source>,
    drawings: Vec<Drawing>,
    labels: Labels,
    characters: BTreeMap<ClassId, Character>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Drawing {
    source: usize,
    locator: Locator,
    part: Part,
    drawer: u32,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Character {
    alphabet: String,
    character: String,
}

impl Omniglot {
    /// Opens a zip, an unpacked folder (`images_background/ALPHABET/characterNN/IIII_SS.png`), or a folder that holds
    /// some of the official zips or folders under their own names. Of these, `parts` are used; all that are there if
    /// it is empty.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Zip`] for an archive that is damaged or climbs out of its folder,
    /// [`Error::Dataset`] if a part is missing, nothing has the official layout, or numbers contradict each other.
    pub fn open(path: impl AsRef<Path>, parts: &[Part]) -> Result<Self> {
        Self::join(&[path], parts)
    }

    /// Opens several places at once as one data set; see [`open`](Self::open).
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn join(paths: &[impl AsRef<Path>], parts: &[Part]) -> Result<Self> {
        let mut sources = Vec::new();
        for path in paths {
            source::find(path.as_ref(), parts, &mut sources)?;
        }
        let mut name = paths.iter().map(|p| p.as_ref().display().to_string()).collect::<Vec<_>>().join(" + ");
        if !parts.is_empty() {
            let parts: Vec<String> = parts.iter().map(Part::to_string).collect();
            name = format!("{name} ({})", parts.join(" + "));
        }
        Self::collect(name, sources, parts)
    }

    fn collect(name: String, sources: Vec<Source>, parts: &[Part]) -> Result<Self> {
        let mut characters = BTreeMap::<ClassId, Character>::new();
        let mut numbers = BTreeMap::<Character, ClassId>::new();
        let mut drawings = BTreeMap::<(ClassId, u32), Drawing>::new();
        let (mut ignored, mut twice) = (0usize, 0usize);
        for (at, source) in sources.iter().enumerate() {
            for (path, locator) in source.files()? {
                let Some(place) = Place::parse(&path, source.part()) else {
                    ignored += 1;
                    continue;
                };
                if !parts.is_empty() && !parts.contains(&place.part) {
                    continue;
                }
                source.expect_small(&locator)?;
                let (class, drawer, part) = (ClassId(place.number), place.drawer, place.part);
                let character = Character { alphabet: place.alphabet, character: place.character };
                let known = characters.entry(class).or_insert_with(|| character.clone());
                let number = *numbers.entry(character.clone()).or_insert(class);
                if *known != character || number != class {
                    let why = format!(
                        "has {path} with the number {class}, but {}/{} has the number {class} and {}/{} the number {number}",
                        known.alphabet, known.character, character.alphabet, character.character
                    );
                    return Err(Error::dataset(source.name(), why, "fetch the official archives again"));
                }
                match drawings.entry((class, drawer)) {
                    std::collections::btree_map::Entry::Occupied(_) => twice += 1,
                    std::collections::btree_map::Entry::Vacant(free) => {
                        free.insert(Drawing { source: at, locator, part, drawer });
                    }
                }
            }
        }
        if characters.len() < 2 {
            let why = format!("holds {} characters in the official layout", characters.len());
            let cure = "give the official zip, the folder that holds the zips, or images_background with \
                        ALPHABET/characterNN/IIII_SS.png below it";
            return Err(Error::dataset(name, why, cure));
        }
        let mut notes = Vec::new();
        if ignored > 0 {
            notes.push(format!("{ignored} files that are not named ALPHABET/characterNN/IIII_SS.png were ignored"));
        }
        if twice > 0 {
            notes.push(format!("{twice} drawings lie in more than one archive and were taken once"));
        }
        let labels = Labels::from_ids(drawings.keys().map(|&(class, _)| class).collect())
            .map_err(|e| Error::dataset(&name, e.to_string(), "give the official archives"))?;
        Ok(Self { name, sources, drawings: drawings.into_values().collect(), labels, characters, notes })
    }

    /// The alphabets, sorted by name.
    pub fn alphabets(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.characters.values().map(|c| c.alphabet.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Who drew an example: 1 to 20.
    ///
    /// # Panics
    /// If the example is not there, as for slices.
    pub fn drawer(&self, example: ExampleId) -> u32 {
        self.drawings[example.0].drawer
    }

    /// Which part of the data set an example was read from.
    ///
    /// # Panics
    /// If the example is not there, as for slices.
    pub fn part(&self, example: ExampleId) -> Part {
        self.drawings[example.0].part
    }
}

impl Dataset for Omniglot {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        match self.characters.get(&class) {
            Some(c) => format!("{}/{}", c.alphabet, c.character),
            None => format!("unknown character {class}"),
        }
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.characters.get(&class).map(|c| c.alphabet.as_str())
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.drawings.get(example.0).map(|drawing| drawing.drawer)
    }

    /// The background archives are to learn from, the evaluation archive to be judged on.
    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.drawings.get(example.0).map(|drawing| match drawing.part {
            Part::Evaluation => OfficialSide::Test,
            Part::Background | Part::Small1 | Part::Small2 => OfficialSide::Train,
        })
    }

    fn describe(&self, example: ExampleId) -> String {
        match self.drawings.get(example.0) {
            Some(drawing) => self.sources[drawing.source].describe(&drawing.locator),
            None => format!("example {example} of {}", self.name),
        }
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.drawings.len())?;
        let drawing = &self.drawings[example.0];
        self.sources[drawing.source].load(&drawing.locator)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
