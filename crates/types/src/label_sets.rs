use crate::{ClassId, ClassIndex, Labels};
use std::collections::{BTreeMap, BTreeSet};

/// Classes that are sets of labels: a picture shows a red dress, another a red car, and they are alike in what they share.
///
/// Every distinct set is a class, named by its labels with a separator between them.
///
/// ```
/// # use npair_types::{ClassId, LabelSets};
/// let [dress, car, sky] = [0, 1, 2].map(ClassId);
/// let sets = LabelSets::from_names([(dress, "red|dress"), (car, "car | red"), (sky, "blue")], "|");
/// assert_eq!(sets.names(), ["blue", "car", "dress", "red"]);
/// assert_eq!(sets.labels(car), [1, 3]);
/// assert_eq!((sets.overlap(dress, car), sets.overlap(dress, sky), sets.overlap(car, car)), (1. / 3., 0., 1.));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSets {
    names: Vec<String>,
    sets: BTreeMap<ClassId, Vec<u32>>,
}

impl LabelSets {
    /// Sets from the names of classes. Space around a label does not count, nor does an empty label, nor one that stands there twice.
    pub fn from_names<'a>(classes: impl IntoIterator<Item = (ClassId, &'a str)>, separator: &str) -> Self {
        let split = |name: &'a str| -> BTreeSet<&'a str> {
            let parts = if separator.is_empty() { vec![name] } else { name.split(separator).collect() };
            parts.into_iter().map(str::trim).filter(|label| !label.is_empty()).collect()
        };
        let of_class: BTreeMap<ClassId, BTreeSet<&str>> =
            classes.into_iter().map(|(class, name)| (class, split(name))).collect();
        let all: BTreeSet<&str> = of_class.values().flatten().copied().collect();
        let numbers: BTreeMap<&str, u32> = all.iter().zip(0..).map(|(&label, number)| (label, number)).collect();
        let numbered = |set: &BTreeSet<&str>| set.iter().filter_map(|label| numbers.get(label).copied()).collect();
        let sets = of_class.iter().map(|(&class, set)| (class, numbered(set))).collect();
        Self { names: all.into_iter().map(str::to_owned).collect(), sets }
    }

    /// Every class a set of one label of its own: what losses over sets are on data whose classes are just classes.
    pub fn single(labels: &Labels) -> Self {
        let classes = labels.classes();
        let sets = classes.iter().zip(0..).map(|(&class, number)| (class, vec![number])).collect();
        Self { names: classes.iter().map(ToString::to_string).collect(), sets }
    }

    /// What the labels are called, by their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Numbers of a class's labels, ascending; none for a class that is not known.
    pub fn labels(&self, class: ClassId) -> &[u32] {
        self.sets.get(&class).map_or(&[], Vec::as_slice)
    }

    /// How many labels two classes share.
    pub fn shared(&self, a: ClassId, b: ClassId) -> usize {
        let (a, b) = (self.labels(a), self.labels(b));
        a.iter().filter(|label| b.binary_search(label).is_ok()).count()
    }

    /// The Jaccard index of two classes, from 0 (nothing in common, or no label at all) to 1 (the same labels).
    ///
    /// ```text
    /// |A and B| / |A or B|
    /// ```
    pub fn overlap(&self, a: ClassId, b: ClassId) -> f64 {
        let shared = self.shared(a, b);
        let all = self.labels(a).len() + self.labels(b).len() - shared;
        if all == 0 { 0. } else { shared as f64 / all as f64 }
    }

    /// The examples that have each label: an index whose classes are labels, in which an example stands once for each of its own.
    pub fn by_label(&self, index: &ClassIndex) -> ClassIndex {
        let of_class = |place: usize| {
            let labels = self.labels(index.classes()[place]);
            labels.iter().flat_map(move |&label| index.examples(place).iter().map(move |&id| (id, ClassId(label))))
        };
        ClassIndex::from_examples((0..index.len()).flat_map(of_class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExampleId;

    #[test]
    fn names_are_taken_apart_whatever_stands_around_the_labels() {
        let sets = LabelSets::from_names([(ClassId(3), " a ;; b;a"), (ClassId(5), ""), (ClassId(9), "b")], ";");
        assert_eq!(sets.names(), ["a", "b"]);
        assert_eq!(
            (sets.labels(ClassId(3)), sets.labels(ClassId(5)), sets.labels(ClassId(4))),
            (&[0, 1][..], &[][..], &[][..])
        );
        assert_eq!((sets.overlap(ClassId(3), ClassId(9)), sets.overlap(ClassId(5), ClassId(5))), (0.5, 0.));
        assert_eq!(LabelSets::from_names([(ClassId(0), "a;b")], "").names(), ["a;b"]);
    }

    #[test]
    fn examples_stand_once_for_each_label() {
        let sets = LabelSets::from_names([(ClassId(0), "a|b"), (ClassId(1), "b"), (ClassId(2), "")], "|");
        let index = ClassIndex::from_labels(&Labels::new([0, 1, 0, 2]).unwrap());
        let by_label = sets.by_label(&index);
        assert_eq!(by_label.classes(), [ClassId(0), ClassId(1)]);
        assert_eq!(by_label.examples(0), [0, 2].map(ExampleId));
        assert_eq!(by_label.examples(1), [0, 2, 1].map(ExampleId));
    }
}
