use crate::batch::guarded;
use crate::{Dataset, Error, Picture, Result, Subset};
use npair_types::{ClassId, ExampleId};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the data set.
    pub dataset: String,
    /// Number of examples, bad ones included.
    pub examples: usize,
    /// Examples that cannot be loaded, in their order.
    pub bad: Vec<BadExample>,
    /// Every class with its counts, by ascending id.
    pub classes: Vec<ClassCount>,
    /// Smallest, median and largest width of the good pictures, in pixels; none if there are none.
    pub width: Option<[u32; 3]>,
    /// The same of the heights.
    pub height: Option<[u32; 3]>,
    /// Good pictures with one channel.
    pub grey: usize,
    /// Good pictures with three channels.
    pub rgb: usize,
    /// What opening the data set came across.
    pub notes: Vec<String>,
}

/// An example that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadExample {
    /// Its number in the data set.
    pub example: ExampleId,
    /// Its class.
    pub class: ClassId,
    /// Its file.
    pub file: String,
    /// The file, the cause and the cure, in one line.
    pub error: String,
}

/// How many examples of a class there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Its id.
    pub class: ClassId,
    /// Its name.
    pub name: String,
    /// Its group (alphabet), if any.
    pub group: Option<String>,
    /// Examples that can be loaded.
    pub good: usize,
    /// Examples that cannot.
    pub bad: usize,
}

impl Report {
    /// Whether every example can be loaded.
    pub fn is_clean(&self) -> bool {
        self.bad.is_empty()
    }

    /// What hinders learning though it is no error, one line each: classes without or with a single good example.
    pub fn warnings(&self) -> Vec<String> {
        let with = |n: usize| self.classes.iter().filter(move |c| c.good == n).map(|c| c.name.as_str());
        let mut warnings = Vec::new();
        for (n, what) in [(0, "no readable picture"), (1, "a single picture, which can have no positive")] {
            let names: Vec<&str> = with(n).take(5).collect();
            let count = with(n).count();
            if count > 0 {
                let more = if count > names.len() { ", ..." } else { "" };
                warnings.push(format!("{count} classes have {what}: {}{more}", names.join(", ")));
            }
        }
        warnings
    }
}

/// Loads every example, on all threads of the current rayon pool, and reports what is bad, how many examples each class
/// has, and what the pictures are like. The report does not depend on the number of threads.
pub fn check(dataset: &dyn Dataset) -> Report {
    survey(dataset, |_| ()).0
}

/// The report, and what `each` makes of every picture that can be loaded.
pub(crate) fn survey<T: Send>(dataset: &dyn Dataset, each: impl Fn(&Picture) -> T + Sync) -> (Report, Vec<Option<T>>) {
    let seen = |p: Picture| ((p.width(), p.height(), p.channels()), each(&p));
    let all = (0..dataset.len()).into_par_iter().map(ExampleId);
    let looked: Vec<Result<_>> = all.map(|e| guarded(dataset, e, || dataset.load(e)).map(seen)).collect();
    let (mut outcomes, mut made) = (Vec::with_capacity(looked.len()), Vec::with_capacity(looked.len()));
    for one in looked {
        let (outcome, what) = one.map_or_else(|e| (Err(e), None), |(size, what)| (Ok(size), Some(what)));
        outcomes.push(outcome);
        made.push(what);
    }
    (report(dataset, &outcomes), made)
}

fn report(dataset: &dyn Dataset, outcomes: &[Result<(u32, u32, u8)>]) -> Report {
    let mut classes = BTreeMap::<ClassId, ClassCount>::new();
    let (mut bad, mut widths, mut heights, mut grey) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (i, outcome) in outcomes.iter().enumerate() {
        let (example, class) = (ExampleId(i), dataset.labels().get(i));
        let count = classes.entry(class).or_insert_with(|| ClassCount {
            class,
            name: dataset.class_name(class),
            group: dataset.group(class).map(str::to_owned),
            good: 0,
            bad: 0,
        });
        match outcome {
            Ok((width, height, channels)) => {
                count.good += 1;
                widths.push(*width);
                heights.push(*height);
                grey += usize::from(*channels == 1);
            }
            Err(error) => {
                count.bad += 1;
                bad.push(BadExample { example, class, file: dataset.describe(example), error: error.to_string() });
            }
        }
    }
    let rgb = widths.len() - grey;
    Report {
        dataset: dataset.name().to_owned(),
        examples: dataset.len(),
        bad,
        classes: classes.into_values().collect(),
        width: spread(widths),
        height: spread(heights),
        grey,
        rgb,
        notes: dataset.notes(),
    }
}

fn spread(mut values: Vec<u32>) -> Option<[u32; 3]> {
    values.sort_unstable();
    Some([*values.first()?, values[values.len() / 2], *values.last()?])
}

/// A data set without its bad examples, and what was left out.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// The good examples, in their order.
    pub kept: Subset,
    /// The others.
    pub bad: Vec<BadExample>,
}

/// Leaves out what a [`check`] of this data set found bad: decided once, so that the list of examples, and with it
/// every batch, is the same in each epoch and run.
///
/// # Errors
/// [`Error::Dataset`] if nothing good, or only one class, is left, or the report is of another data set.
pub fn skip_bad(dataset: Arc<dyn Dataset>, report: &Report) -> Result<Skipped> {
    if report.examples != dataset.len() || report.bad.iter().any(|b| b.example.0 >= dataset.len()) {
        let why = format!("has {} examples, the report {} of {}", dataset.len(), report.examples, report.dataset);
        return Err(Error::dataset(dataset.name(), why, "check it again"));
    }
    let mut good = vec![true; dataset.len()];
    report.bad.iter().for_each(|b| good[b.example.0] = false);
    let examples: Vec<ExampleId> = (0..dataset.len()).filter(|&i| good[i]).map(ExampleId).collect();
    let classes = report.classes.iter().filter(|c| c.good > 0).count();
    if classes < 2 {
        let why = format!("has readable pictures of {classes} classes only");
        return Err(Error::dataset(dataset.name(), why, "repair the files that `check` lists"));
    }
    let part = format!("without {} bad", report.bad.len());
    Ok(Skipped { kept: Subset::new(dataset, &part, examples)?, bad: report.bad.clone() })
}
