//! Pictures that nobody has put into classes.

use crate::dataset::expect_example;
use crate::{Dataset, Error, OfficialSide, Picture, Result};
use npair_types::{ClassId, ExampleId, Labels};
use std::path::Path;
use std::sync::Arc;

/// The pictures of a data set without their classes: every one is a class of its own, named after where it comes from. Groups,
/// authors and an official split stay.
///
/// # Source
/// Dosovitskiy et al., NIPS 2014 (surrogate classes); Wu et al., CVPR 2018 (instance discrimination).
///
/// # Examples
/// ```
/// # use npair_data::{Dataset, GlyphConfig, GlyphSet, Unlabeled};
/// # use npair_types::ExampleId;
/// # use std::sync::Arc;
/// let glyphs = GlyphSet::new(GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() })?;
/// let pictures = Unlabeled::new(Arc::new(glyphs))?;
/// assert_eq!((pictures.len(), pictures.labels().classes().len()), (6, 6));
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Unlabeled {
    inner: Arc<dyn Dataset>,
    labels: Labels,
}

impl Unlabeled {
    /// The pictures of `inner`.
    ///
    /// # Errors
    /// [`Error::Dataset`] for more pictures than there are class ids.
    pub fn new(inner: Arc<dyn Dataset>) -> Result<Self> {
        let Ok(pictures) = u32::try_from(inner.len()) else {
            return Err(Error::dataset(inner.name(), format!("holds {} pictures", inner.len()), "give fewer"));
        };
        let labels = Labels::new(0..pictures).map_err(|e| Error::dataset(inner.name(), e.to_string(), "give some"))?;
        Ok(Self { inner, labels })
    }

    /// The data set with its classes.
    pub fn inner(&self) -> &Arc<dyn Dataset> {
        &self.inner
    }
}

impl Dataset for Unlabeled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inner.describe(ExampleId(class.0 as usize))
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        let of_picture = self.inner.labels().as_slice().get(class.0 as usize)?;
        self.inner.group(*of_picture)
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(example)
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(example)
    }

    fn describe(&self, example: ExampleId) -> String {
        self.inner.describe(example)
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.inner.file(example)
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        self.inner.load(example)
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}

/// Every example of a data set several times, so that each time it can be changed in another way: example `n e + v` is view v of
/// example `e`, and of its class. The pictures are the same: what sets views apart is how they are made into pixels.
///
/// # Source
/// Chen et al., ICML 2020 (SimCLR), for two views of each.
///
/// # Examples
/// ```
/// # use npair_data::{Dataset, GlyphConfig, GlyphSet, Unlabeled, Views};
/// # use npair_types::{ClassId, ExampleId};
/// # use std::sync::Arc;
/// let glyphs = GlyphSet::new(GlyphConfig { classes: 3, instances: 2, ..GlyphConfig::default() })?;
/// let views = Views::new(Arc::new(Unlabeled::new(Arc::new(glyphs))?), 2)?;
/// assert_eq!((views.len(), views.labels().get(5)), (12, ClassId(2)));
/// assert_eq!(views.load(ExampleId(4))?, views.load(ExampleId(5))?);
/// # Ok::<(), npair_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Views {
    inner: Arc<dyn Dataset>,
    views: usize,
    labels: Labels,
}

impl Views {
    /// `views` views of every example of `inner`, at least 1.
    ///
    /// # Errors
    /// [`Error::Setting`] for none.
    pub fn new(inner: Arc<dyn Dataset>, views: usize) -> Result<Self> {
        if views == 0 {
            return Err(Error::setting("views", views, "at least 1 of every picture is needed"));
        }
        let ids = inner.labels().as_slice().iter().flat_map(|&class| std::iter::repeat_n(class, views)).collect();
        let labels = Labels::from_ids(ids).map_err(|e| Error::dataset(inner.name(), e.to_string(), "give some"))?;
        Ok(Self { inner, views, labels })
    }

    /// The data set with every example once.
    pub fn inner(&self) -> &Arc<dyn Dataset> {
        &self.inner
    }

    /// Which view of its picture an example is; 0 for the first.
    pub fn view(&self, example: ExampleId) -> usize {
        example.0 % self.views
    }

    fn picture(&self, example: ExampleId) -> ExampleId {
        ExampleId(example.0 / self.views)
    }
}

impl Dataset for Views {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn class_name(&self, class: ClassId) -> String {
        self.inner.class_name(class)
    }

    fn group(&self, class: ClassId) -> Option<&str> {
        self.inner.group(class)
    }

    fn author(&self, example: ExampleId) -> Option<u32> {
        self.inner.author(self.picture(example))
    }

    fn official(&self, example: ExampleId) -> Option<OfficialSide> {
        self.inner.official(self.picture(example))
    }

    fn describe(&self, example: ExampleId) -> String {
        let picture = self.inner.describe(self.picture(example));
        match self.view(example) {
            0 => picture,
            view => format!("{picture}, view {view}"),
        }
    }

    fn file(&self, example: ExampleId) -> Option<&Path> {
        self.inner.file(self.picture(example))
    }

    fn load(&self, example: ExampleId) -> Result<Picture> {
        expect_example(self.name(), example, self.labels.len())?;
        self.inner.load(self.picture(example))
    }

    fn notes(&self) -> Vec<String> {
        self.inner.notes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GlyphConfig, GlyphSet, Subset};

    fn glyphs() -> Arc<dyn Dataset> {
        Arc::new(GlyphSet::new(GlyphConfig { classes: 4, instances: 3, ..GlyphConfig::default() }).unwrap())
    }

    #[test]
    fn every_picture_is_a_class_of_its_own() {
        let (labeled, pictures) = (glyphs(), Unlabeled::new(glyphs()).unwrap());
        assert_eq!(pictures.labels().as_slice(), (0..12).map(ClassId).collect::<Vec<_>>());
        for i in (0..12).map(ExampleId) {
            assert_eq!(pictures.load(i).unwrap(), labeled.load(i).unwrap());
            assert_eq!(pictures.class_name(ClassId(i.0 as u32)), labeled.describe(i));
            assert_eq!(pictures.group(ClassId(i.0 as u32)), labeled.group(labeled.labels().get(i.0)));
        }
        assert!(pictures.load(ExampleId(12)).is_err() && pictures.group(ClassId(12)).is_none());
    }

    /// Of a part of a data set, whose class numbers have gaps, too.
    #[test]
    fn views_are_of_their_pictures() {
        let pictures: Arc<dyn Dataset> = Arc::new(Unlabeled::new(glyphs()).unwrap());
        let part: Arc<dyn Dataset> =
            Arc::new(Subset::new(pictures, "some", [7, 2, 9].map(ExampleId).to_vec()).unwrap());
        let views = Views::new(part.clone(), 3).unwrap();
        assert_eq!((views.len(), views.class_index().len()), (9, 3));
        for i in 0..9 {
            let (example, picture) = (ExampleId(i), ExampleId(i / 3));
            assert_eq!((views.view(example), views.labels().get(i)), (i % 3, part.labels().get(i / 3)));
            assert_eq!(views.load(example).unwrap(), part.load(picture).unwrap());
            assert!(views.describe(example).starts_with(&part.describe(picture)));
        }
        assert_ne!(views.describe(ExampleId(1)), views.describe(ExampleId(2)));
        assert!(views.load(ExampleId(9)).unwrap_err().to_string().contains("0 to 8"));
        assert!(Views::new(part, 0).unwrap_err().to_string().contains("views"));
    }
}
