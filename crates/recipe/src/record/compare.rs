//! Whether data is what it was when a run began.

use super::{Content, ContentId, RecordRow, Side, SplitRecord};
use crate::record::content::Stamp;
use npair_data::Dataset;
use npair_types::{ClassId, ExampleId};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Most names listed in a note.
const LISTED: usize = 3;

/// The examples of a data set beside those of a record.
pub(crate) struct Compared<'a> {
    record: &'a SplitRecord,
    data: &'a dyn Dataset,
    /// The row of the record that every example is.
    rows: Vec<Option<usize>>,
}

/// Finds every example in the record, by name and unchanged stamp, or by content. An example that cannot be read is none of it.
pub(crate) fn compare<'a>(record: &'a SplitRecord, data: &'a dyn Dataset, content: &Content<'_>) -> Compared<'a> {
    let by_name: HashMap<&str, usize> = record.rows.iter().enumerate().map(|(at, r)| (r.name.as_str(), at)).collect();
    let mut by_content: HashMap<ContentId, Vec<usize>> = HashMap::new();
    for (at, row) in record.rows.iter().enumerate() {
        by_content.entry(row.content).or_default().push(at);
    }
    let find = |example: ExampleId| {
        let named = by_name.get(data.describe(example).as_str()).copied();
        let stamp = data.file(example).and_then(Stamp::of);
        if let Some(at) = named.filter(|&at| stamp.is_some_and(|stamp| stamp == record.rows[at].stamp)) {
            return Some(at);
        }
        let alike = by_content.get(&content(example).ok()?)?;
        // Bytes that stand on several sides count as on the one nearest to training.
        named.filter(|at| alike.contains(at)).or_else(|| alike.iter().copied().min_by_key(|&at| record.rows[at].side))
    };
    let rows = (0..data.len()).into_par_iter().map(|i| find(ExampleId(i))).collect();
    Compared { record, data, rows }
}

impl Compared<'_> {
    /// The side of every example that the record has.
    pub(crate) fn sides(&self) -> Vec<Option<Side>> {
        self.rows.iter().map(|row| row.map(|at| self.record.rows[at].side)).collect()
    }

    /// Whether nothing of the record is in the data.
    pub(crate) fn is_apart(&self) -> bool {
        self.rows.iter().all(Option::is_none)
    }

    /// The examples in the order of the record; none unless every row of it is there. A file that was mended, and so has other
    /// content under its name, is there.
    pub(crate) fn in_recorded_order(&self) -> Option<Vec<ExampleId>> {
        let name = |i: usize| self.data.describe(ExampleId(i));
        let by_name: HashMap<String, usize> = (0..self.data.len()).map(|i| (name(i), i)).collect();
        let named = |row: &RecordRow| by_name.get(&row.name).copied();
        // Where bytes stand twice, names tell which is which.
        let rows = &self.record.rows;
        let mut found: Vec<_> = rows.iter().map(|row| named(row).filter(|&i| self.is_row(i, row))).collect();
        for (i, row) in self.rows.iter().enumerate() {
            if let Some(at) = *row {
                found[at] = found[at].or(Some(i));
            }
        }
        let there = found.into_iter().zip(rows).map(|(i, row)| i.or_else(|| named(row)).map(ExampleId));
        let there = there.collect::<Option<Vec<ExampleId>>>()?;
        let apart = there.iter().collect::<HashSet<_>>().len() == there.len();
        apart.then_some(there)
    }

    fn is_row(&self, example: usize, row: &RecordRow) -> bool {
        self.rows[example].is_some_and(|at| self.record.rows[at].content == row.content)
    }

    /// Classes with an example that was learned from, or kept back of those.
    pub(crate) fn trained_classes(&self) -> BTreeSet<ClassId> {
        let trained = |side: Side| matches!(side, Side::Train | Side::Seen);
        let class = |i: usize| self.data.labels().get(i);
        self.sides().into_iter().enumerate().filter(|(_, s)| s.is_some_and(trained)).map(|(i, _)| class(i)).collect()
    }

    /// A note about classes that are called as classes that were trained on, where no example tells whether they are.
    pub(crate) fn classes_of_one_name(&self) -> Option<String> {
        let trained = self.record.rows.iter().filter(|row| row.side == Side::Train);
        let trained: HashSet<&str> = trained.map(|row| row.class.as_str()).collect();
        let names = self.data.labels().classes().into_iter().map(|class| self.data.class_name(class));
        let both: Vec<String> = names.filter(|name| trained.contains(name.as_str())).collect();
        (!both.is_empty()).then(|| {
            format!(
                "{} of these classes are called as classes that the run was trained on ({}): if they are the same things, scores of `test` are not of unseen classes",
                both.len(),
                listed(&both)
            )
        })
    }

    /// Rows that are not there any more.
    fn gone(&self) -> Vec<&RecordRow> {
        let present: HashSet<ContentId> = self.rows.iter().flatten().map(|&at| self.record.rows[at].content).collect();
        self.record.rows.iter().filter(|row| !present.contains(&row.content)).collect()
    }

    /// What is new, gone or of other content since the run began, in one line; none if nothing is.
    pub(crate) fn differences(&self) -> Option<String> {
        let names: BTreeMap<&str, &RecordRow> = self.record.rows.iter().map(|row| (row.name.as_str(), row)).collect();
        let classes: HashSet<&str> = self.record.rows.iter().map(|row| row.class.as_str()).collect();
        let (mut new, mut changed, mut new_classes) = (Vec::new(), Vec::new(), BTreeSet::new());
        for i in (0..self.rows.len()).filter(|&i| self.rows[i].is_none()) {
            let name = self.data.describe(ExampleId(i));
            let class = self.data.class_name(self.data.labels().get(i));
            if !classes.contains(class.as_str()) {
                new_classes.insert(class);
            }
            if names.contains_key(name.as_str()) { changed.push(name) } else { new.push(name) }
        }
        let other_content: HashSet<&str> = changed.iter().map(String::as_str).collect();
        let is_changed = |row: &RecordRow| other_content.contains(row.name.as_str());
        let gone: Vec<String> = self.gone().into_iter().filter(|r| !is_changed(r)).map(|r| r.name.clone()).collect();
        let mut said = Vec::new();
        for (what, which) in [("new", &new), ("gone", &gone), ("of other content", &changed)] {
            if !which.is_empty() {
                said.push(format!("{} {what} ({})", counted(which.len()), listed(which)));
            }
        }
        if !new_classes.is_empty() {
            let names: Vec<String> = new_classes.into_iter().collect();
            said.push(format!("{} classes are new ({})", names.len(), listed(&names)));
        }
        (!said.is_empty()).then(|| format!("since the run began {}", said.join(", ")))
    }
}

fn counted(n: usize) -> String {
    if n == 1 { "1 example is".to_owned() } else { format!("{n} examples are") }
}

fn listed(names: &[String]) -> String {
    let mut text = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED {
        text += ", ...";
    }
    text
}
