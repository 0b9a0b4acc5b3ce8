use crate::{Error, Inputs, Result};
use npair_data::{Dataset, OfficialSide};
use npair_types::ExampleId;
use std::sync::Arc;

/// The splits of a data set, as inputs of a model.
#[derive(Debug, Clone)]
pub struct Splits {
    /// What is learned from: rotated, if asked for, and without the examples kept back.
    pub train: Option<Arc<dyn Inputs>>,
    /// The same examples as they are: the gallery in which seen classes are recognised.
    pub gallery: Option<Arc<dyn Inputs>>,
    /// Examples of training classes that were kept back.
    pub seen: Option<Arc<dyn Inputs>>,
    /// Unseen classes to choose by.
    pub val: Option<Arc<dyn Inputs>>,
    /// Unseen classes to be judged on.
    pub test: Option<Arc<dyn Inputs>>,
    /// On no side: what has been added since a run began.
    pub new: Option<Arc<dyn Inputs>>,
    /// Which examples of `test` are queries and which are the gallery, where the data set's own split has them apart.
    pub search: Option<QueryGallery>,
    /// Everything.
    pub all: Arc<dyn Inputs>,
    /// What is worth telling: files ignored, pictures skipped.
    pub notes: Vec<String>,
}

/// Who is searched for and where, by the numbers of examples of one split; an example may be both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryGallery {
    /// Examples that are searched for.
    pub queries: Vec<ExampleId>,
    /// Examples that they are searched in.
    pub gallery: Vec<ExampleId>,
}

impl QueryGallery {
    /// What the data set's own split says; none if every example is query and gallery at once, or there is no such split.
    pub fn of(data: &dyn Dataset) -> Option<Self> {
        let all = || (0..data.len()).map(ExampleId).filter_map(|id| Some((id, data.official(id)?)));
        let apart = all().any(|(_, official)| official.is_query() != official.is_gallery());
        let those = |wanted: fn(OfficialSide) -> bool| all().filter(|(_, s)| wanted(*s)).map(|(id, _)| id).collect();
        let found = Self { queries: those(OfficialSide::is_query), gallery: those(OfficialSide::is_gallery) };
        (apart && !found.queries.is_empty() && !found.gallery.is_empty()).then_some(found)
    }
}

impl Splits {
    /// Inputs of no split.
    pub fn of_all(all: Arc<dyn Inputs>) -> Self {
        let notes = Vec::new();
        Self { train: None, gallery: None, seen: None, val: None, test: None, new: None, search: None, all, notes }
    }

    /// What is learned from.
    ///
    /// # Errors
    /// [`Error::NoSplit`] if there is nothing.
    pub fn learned(&self) -> Result<&Arc<dyn Inputs>> {
        self.train.as_ref().ok_or(Error::NoSplit { split: "train", why: cure("train") })
    }

    /// The split that scores are of if nobody says which: unseen classes; without any, examples kept back of the seen ones; and
    /// without these all that there is.
    pub fn usual(&self) -> &'static str {
        match (&self.test, &self.seen, &self.val) {
            (Some(_), _, _) => "test",
            (None, Some(_), _) => "seen",
            (None, None, Some(_)) => "val",
            (None, None, None) => "all",
        }
    }

    /// The split of a name: train, val, test, seen (once called known), new or all.
    ///
    /// # Errors
    /// [`Error::NoSplit`] if there is none, [`Error::Setting`] for another name.
    pub fn named(&self, name: &str) -> Result<&Arc<dyn Inputs>> {
        let some = |split: &'static str, s| Option::ok_or(s, Error::NoSplit { split, why: cure(split) });
        match name {
            "train" => some("train", self.gallery.as_ref()),
            "all" => Ok(&self.all),
            "val" => some("val", self.val.as_ref()),
            "test" => some("test", self.test.as_ref()),
            "seen" | "known" => some("seen", self.seen.as_ref()),
            "new" => some("new", self.new.as_ref()),
            _ => Err(Error::Setting {
                setting: "split",
                why: format!("`{name}` is none of train, val, test, seen, new, all"),
            }),
        }
    }
}

fn cure(split: &str) -> &'static str {
    match split {
        "seen" => "set data.seen to keep examples of the training classes back",
        "train" => "nothing here was trained on",
        "new" => "nothing has been added since the run began",
        "val" => "give data.split a val amount",
        _ => "give data.split a test amount, or data with a test split of its own",
    }
}
