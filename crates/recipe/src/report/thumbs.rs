//! Small pictures, each once.

use crate::Result;
use npair_data::Dataset;
use npair_report::{Thumb, ThumbKind};
use npair_types::ExampleId;
use std::collections::BTreeMap;

/// The longest side, in pixels.
const SIDE: u32 = 72;

/// The pictures of a page, by what they are of.
#[derive(Debug, Default)]
pub(super) struct Thumbs {
    pictures: Vec<Thumb>,
    places: BTreeMap<String, usize>,
}

impl Thumbs {
    /// The place of an example's picture; none where there are no pictures.
    pub(super) fn place(&mut self, pictures: Option<&dyn Dataset>, example: usize, alt: &str) -> Result<Option<usize>> {
        let Some(pictures) = pictures else { return Ok(None) };
        let name = pictures.describe(ExampleId(example));
        if let Some(&place) = self.places.get(&name) {
            return Ok(Some(place));
        }
        let data = pictures.load(ExampleId(example))?.thumbnail(SIDE)?;
        self.pictures.push(Thumb { alt: alt.to_owned(), kind: ThumbKind::Jpeg, data });
        self.places.insert(name, self.pictures.len() - 1);
        Ok(Some(self.pictures.len() - 1))
    }

    pub(super) fn into_pictures(self) -> Vec<Thumb> {
        self.pictures
    }
}
