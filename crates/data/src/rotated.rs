use crate::dataset::expect_example;
use crate::{Dataset, Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The four right-angle rotations of every class as classes of their own, as is usual for Omniglot: example `4 e + r`
/// is example `e` turned counter-clockwise by `r` right angles, and its class is `4 c + r`. No pixel is interpolated. A turned
/// group (alphabet) is a group of its own.
///
/// # Source
/// Santoro et al., ICML 2016, section 4.1; Vinyals et al., NIPS 2016, section 4.1.1.
#[derive(Debug, Clone)]
pub struct RotatedClasses {
    inner: Arc<dyn Dataset>,
    labels: Labels,
    name: String,
    /// The group of every class that has one.
    groups: BTreeMap<ClassId, String>,
}

impl RotatedClasses {
    /// The rotations of a data set's classes.
    ///
    /// # Errors
    /// [`Error::Dataset`] if a class id is too large to be multiplied by four.
    pub fn new(inner: Arc<dyn Dataset>) -> Result<Self> {
        let name = format!("{} x 4 rotations", inner.name());
        let mut ids = Vec::with_capacity(4 * inner.len());
        for &class in inner.labels().as_slice() {
            if class.0 > u32::MAX / 4 {
                let why = format!("has the class id {class}, too large for four rotations");
                return Err(Error::dataset(inner.name(), why, format!("use ids up to {}", u32::MAX / 4)));
            }
            ids.extend((0..4).map(|r| ClassId(class.0 * 4 + r)));
        }
        let labels = Labels::from_ids(ids).map_err(|e| Error::dataset(&name, e.to_string(), "give some"))?;
        let mut groups = BTreeMap::new();
        for class in labels.classes() {
            if let Some(group) = inner.group(ClassId(class.0 / 4)) {
                groups.insert(class, format!("{group} @ {} degrees", class.0 % 4 * 90));
            }
        }
        Ok(Self { inner, labels, name, groups })
    }

    /// The data set that is rotated.
    pub fn inner(&self) -> &Arc<dyn Dataset> {
        &self.inner
    }
}

impl Dataset for RotatedClasses {
    fn name(&self) -> &str {
        &self.name
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        format!("{} @ {} degrees", self.inner.class_name(ClassId(class.0 / 4)), class.0 % 4 * 90)
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.groups.get(&class).map(String::as_str)
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(ExampleId(example.0 / 4))
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(ExampleId(example.0 / 4))
    }

    fn describe(&self, example: ExampleId) -> String {
        format!("{} @ {} degrees", self.inner.describe(ExampleId(example.0 / 4)), example.0 % 4 * 90)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(&self.name, example, self.labels.len())?;
        Ok(self.inner.load(ExampleId(example.0 / 4))?.rotated((example.0 % 4) as u32))
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
}
