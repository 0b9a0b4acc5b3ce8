use crate::dataset::expect_example;
use crate::{Dataset, Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The four right-angle rotations of every class as classes of their own, as is usual for Omniglot: example `4 e + r`
/// is example `e` turned counter-clockwise by `r` right angles, and its class is `4 c + r`. No pixel is interpolated. A turned
/// group (alphabet) is a group of its own.
///
/// With [`mirrored`](Self::mirrored) there are eight, example `8 e + r` of class `8 c + r`: from 4 on, the mirror image of the
/// example, turned `r - 4` times.
///
/// # Source
/// Santoro et al., ICML 2016, section 4.1; Vinyals et al., NIPS 2016, section 4.1.1. Mirror images are ours.
#[derive(Debug, Clone)]
pub struct RotatedClasses {
    inner: Arc<dyn Dataset>,
    labels: Labels,
    name: String,
    /// The group of every class that has one.
    groups: BTreeMap<ClassId, String>,
    /// 4, or 8 with mirror images.
    copies: u32,
}

impl RotatedClasses {
    /// The rotations of a data set's classes.
    ///
    /// # Errors
    /// [`Error::Dataset`] if a class id is too large to be multiplied by four.
    pub fn new(inner: Arc<dyn Dataset>) -> Result<Self> {
        Self::copied(inner, 4, "x 4 rotations")
    }

    /// The rotations of a data set's classes and of their mirror images.
    ///
    /// # Errors
    /// [`Error::Dataset`] if a class id is too large to be multiplied by eight.
    pub fn mirrored(inner: Arc<dyn Dataset>) -> Result<Self> {
        Self::copied(inner, 8, "x 8 rotations and mirror images")
    }

    fn copied(inner: Arc<dyn Dataset>, copies: u32, times: &str) -> Result<Self> {
        let name = format!("{} {times}", inner.name());
        let mut ids = Vec::with_capacity(copies as usize * inner.len());
        for &class in inner.labels().as_slice() {
            let most = u32::MAX / copies;
            if class.0 > most {
                let why = format!("has the class id {class}, too large for {copies} turns");
                return Err(Error::dataset(inner.name(), why, format!("use ids up to {most}")));
            }
            ids.extend((0..copies).map(|r| ClassId(class.0 * copies + r)));
        }
        let labels = Labels::from_ids(ids).map_err(|e| Error::dataset(&name, e.to_string(), "give some"))?;
        let mut groups = BTreeMap::new();
        for class in labels.classes() {
            if let Some(group) = inner.group(ClassId(class.0 / copies)) {
                groups.insert(class, turned(group, class.0 % copies));
            }
        }
        Ok(Self { inner, labels, name, groups, copies })
    }

    /// The example that one is made of, and how it is turned.
    fn origin(&self, example: ExampleId) -> (ExampleId, u32) {
        let copies = self.copies as usize;
        (ExampleId(example.0 / copies), (example.0 % copies) as u32)
    }

    /// The data set that is rotated.
    pub fn inner(&self) -> &Arc<dyn Dataset> {
        &self.inner
    }
}

/// What a turned thing is called.
fn turned(name: &str, turn: u32) -> String {
    let mirrored = if turn < 4 { "" } else { ", mirrored" };
    format!("{name} @ {} degrees{mirrored}", turn % 4 * 90)
}

impl Dataset for RotatedClasses {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        turned(&self.inner.class_name(ClassId(class.0 / self.copies)), class.0 % self.copies)
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.groups.get(&class).map(String::as_str)
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(self.origin(example).0)
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(self.origin(example).0)
    }

    fn describe(&self, example: ExampleId) -> String {
        let (inner, turn) = self.origin(example);
        turned(&self.inner.describe(inner), turn)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.labels.len())?;
        let (inner, turn) = self.origin(example);
        Ok(self.inner.load(inner)?.turned(turn))
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GlyphConfig, GlyphSet};

    #[test]
    fn classes_and_pixels_are_those_of_the_original_turned() {
        let config = GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() };
        let glyphs: Arc<dyn Dataset> = Arc::new(GlyphSet::new(config).unwrap());
        let turned = RotatedClasses::new(glyphs.clone()).unwrap();
        assert_eq!((turned.len(), turned.labels().classes().len()), (24, 12));
        for e in 0..24 {
            let (inner, r) = (ExampleId(e / 4), e % 4);
            assert_eq!(turned.labels().get(e).0, glyphs.labels().get(e / 4).0 * 4 + r as u32);
            assert_eq!(turned.load(ExampleId(e)).unwrap(), glyphs.load(inner).unwrap().rotated(r as u32));
        }
        assert!(turned.describe(ExampleId(3)).ends_with("@ 270 degrees"));
        assert!(turned.load(ExampleId(24)).unwrap_err().to_string().contains("0 to 23"));
    }

    #[test]
    fn mirror_images_follow_the_rotations() {
        let config = GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() };
        let glyphs: Arc<dyn Dataset> = Arc::new(GlyphSet::new(config).unwrap());
        let turned = RotatedClasses::mirrored(glyphs.clone()).unwrap();
        assert_eq!((turned.len(), turned.labels().classes().len()), (48, 24));
        let rotated = RotatedClasses::new(glyphs.clone()).unwrap();
        for e in 0..48 {
            let (inner, r) = (e / 8, e % 8);
            assert_eq!(turned.labels().get(e).0, glyphs.labels().get(inner).0 * 8 + r as u32);
            let found = turned.load(ExampleId(e)).unwrap();
            if r < 4 {
                assert_eq!(found, rotated.load(ExampleId(4 * inner + r)).unwrap());
            } else {
                assert_eq!(found, glyphs.load(ExampleId(inner)).unwrap().mirrored().rotated(r as u32 - 4));
            }
        }
        let seen: Vec<_> = (0..8).map(|e| turned.load(ExampleId(e)).unwrap()).collect();
        assert!((1..8).all(|at| !seen[..at].contains(&seen[at])), "two of a glyph's eight pictures are alike");
        assert!(turned.describe(ExampleId(7)).ends_with("@ 270 degrees, mirrored"));
        assert!(turned.load(ExampleId(48)).unwrap_err().to_string().contains("0 to 47"));
    }
}
