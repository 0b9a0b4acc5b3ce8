use crate::{ClassId, ExampleId, Labels};

/// The examples of every class of a data set (or of one side of a split).
///
/// ```
/// # use npair_types::{ClassId, ClassIndex, ExampleId, Labels};
/// let index = ClassIndex::from_labels(&Labels::new([5, 9, 5])?);
/// assert_eq!(index.classes(), [ClassId(5), ClassId(9)]);
/// assert_eq!(index.examples(0), [ExampleId(0), ExampleId(2)]);
/// # Ok::<(), npair_types::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassIndex {
    classes: Vec<ClassId>,
    examples: Vec<Vec<ExampleId>>,
}

impl ClassIndex {
    /// Index of rows 0.. of `labels`.
    pub fn from_labels(labels: &Labels) -> Self {
        Self::from_examples(labels.as_slice().iter().enumerate().map(|(i, &c)| (ExampleId(i), c)))
    }

    /// Index of any examples with their classes; classes ascend, examples keep their order within a class.
    pub fn from_examples(examples: impl IntoIterator<Item = (ExampleId, ClassId)>) -> Self {
        let mut map = std::collections::BTreeMap::<ClassId, Vec<ExampleId>>::new();
        for (example, class) in examples {
            map.entry(class).or_default().push(example);
        }
        let (classes, examples) = map.into_iter().unzip();
        Self { classes, examples }
    }

    /// The classes, ascending.
    pub fn classes(&self) -> &[ClassId] {
        &self.classes
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there is no class at all.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Examples of the class at `place` of [`classes`](Self::classes).
    ///
    /// # Panics
    /// If `place` is not below [`len`](Self::len), as for slices.
    pub fn examples(&self, place: usize) -> &[ExampleId] {
        &self.examples[place]
    }

    /// Number of examples of all classes.
    pub fn num_examples(&self) -> usize {
        self.examples.iter().map(Vec::len).sum()
    }

    /// Examples of classes that lie evenly over the index, class by class: of each the first `of_a_class`, of as many classes with two
    /// examples or more as make about `most` examples, at least two where there are two.
    ///
    /// ```
    /// # use npair_types::{ClassIndex, ExampleId, Labels};
    /// let index = ClassIndex::from_labels(&Labels::new([0, 0, 0, 1, 2, 2, 3, 3])?);
    /// assert_eq!(index.spread(4, 2), [0, 1, 4, 5].map(ExampleId));
    /// # Ok::<(), npair_types::Error>(())
    /// ```
    pub fn spread(&self, most: usize, of_a_class: usize) -> Vec<ExampleId> {
        let usable = self.with_at_least(2);
        let of = |class: usize| self.examples[class].iter().take(of_a_class.max(2)).copied();
        let all: usize = usable.iter().map(|&class| of(class).len()).sum();
        let wanted = usable.len().min((usable.len() * most.min(all) / all.max(1)).max(2));
        (0..wanted).flat_map(|i| of(usable[i * usable.len() / wanted])).collect()
    }

    /// The places of the classes with at least `least` examples; the others are what a sampler has to leave out.
    pub fn with_at_least(&self, least: usize) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.examples[i].len() >= least).collect()
    }
}
