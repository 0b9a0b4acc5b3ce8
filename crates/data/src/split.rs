//! Disjoint parts of a data set.

mod amount;

pub use amount::Amount;

use crate::draw::shuffle;
use crate::{Dataset, Error, OfficialSide, Result, Subset};
use npair_types::{ClassId, ExampleId, Purpose, Streams};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How to split; what goes neither to validation nor to test is for training.
///
/// A class-disjoint split of [rotated classes](crate::RotatedClasses) would put rotations of one character on both
/// sides: split first, then rotate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitConfig {
    /// No class on two sides, drawn by seed.
    Classes {
        /// Classes for validation.
        #[serde(default)]
        val: Amount,
        /// Classes for test.
        #[serde(default)]
        test: Amount,
    },
    /// No class on two sides, by name.
    ClassNames {
        /// Names of the classes for validation.
        #[serde(default)]
        val: Vec<String>,
        /// Names of the classes for test.
        #[serde(default)]
        test: Vec<String>,
    },
    /// No group (alphabet) on two sides, by name.
    Groups {
        /// Names of the groups for validation.
        #[serde(default)]
        val: Vec<String>,
        /// Names of the groups for test.
        #[serde(default)]
        test: Vec<String>,
    },
    /// No example on two sides, but every class on each, drawn by seed. A number is taken from every class; a fraction
    /// is rounded for each class, to at least 1, and a class too small to keep one for training stays there whole.
    Instances {
        /// Examples of each class for validation.
        #[serde(default)]
        val: Amount,
        /// Examples of each class for test.
        #[serde(default)]
        test: Amount,
    },
    /// The data set's own split: what is not to learn from is for test.
    Official {
        /// Classes to learn from that are kept for validation instead, drawn by seed.
        #[serde(default)]
        val: Amount,
    },
}

/// The sides of a split; examples keep their order.
#[derive(Debug, Clone)]
pub struct Parts {
    /// To learn from.
    pub train: Subset,
    /// To choose by; none if nothing was asked for.
    pub val: Option<Subset>,
    /// To be judged on; none if nothing was asked for.
    pub test: Option<Subset>,
}

/// One fold of a cross-validation.
#[derive(Debug, Clone)]
pub struct ClassFold {
    /// All classes but this fold's.
    pub train: Subset,
    /// This fold's classes.
    pub held_out: Subset,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Train,
    Val,
    Test,
}

/// Splits a data set. Depends on the seed of `streams`, the labels and `how` alone.
///
/// # Errors
/// [`Error::Split`] if a name is unknown or on two sides, an amount does not fit, or a side would be left with fewer
/// than two classes.
pub fn split(dataset: Arc<dyn Dataset>, how: &SplitConfig, streams: Streams) -> Result<Parts> {
    let sides = match how {
        SplitConfig::Classes { val, test } => by_classes(dataset.as_ref(), *val, *test, streams)?,
        SplitConfig::ClassNames { val, test } => {
            let named = |names: &[String]| classes_of_names(dataset.as_ref(), names);
            by_lists(dataset.as_ref(), &named(val)?, &named(test)?)?
        }
        SplitConfig::Groups { val, test } => {
            let named = |names: &[String]| classes_of_groups(dataset.as_ref(), names);
            by_lists(dataset.as_ref(), &named(val)?, &named(test)?)?
        }
        SplitConfig::Official { val } => official(dataset.as_ref(), *val, streams)?,
        SplitConfig::Instances { val, test } => by_instances(dataset.as_ref(), *val, *test, streams)?,
    };
    parts(dataset, &sides)
}

/// Cuts the classes into `k` folds of sizes that differ by one at most, drawn by seed; every class is held out once.
///
/// # Errors
/// [`Error::Split`] if `k` is less than 2, or a fold or its rest would have fewer than two classes.
pub fn folds(dataset: Arc<dyn Dataset>, k: usize, streams: Streams) -> Result<Vec<ClassFold>> {
    let mut classes = dataset.labels().classes();
    if k < 2 || classes.len() / 2 < k {
        let why = format!("{k} folds of {} classes: k may be 2 to {}", classes.len(), classes.len() / 2);
        return Err(fault(dataset.as_ref(), why));
    }
    shuffle(&mut streams.open(Purpose::Split, [2, k as u64]), &mut classes);
    (0..k)
        .map(|fold| {
            let (from, to) = (fold * classes.len() / k, (fold + 1) * classes.len() / k);
            let rest = [&classes[..from], &classes[to..]].concat();
            Ok(ClassFold {
                train: Subset::of_classes(dataset.clone(), &format!("train {}/{k}", fold + 1), &rest)?,
                held_out: Subset::of_classes(dataset.clone(), &format!("fold {}/{k}", fold + 1), &classes[from..to])?,
            })
        })
        .collect()
}

fn fault(dataset: &dyn Dataset, why: impl Into<String>) -> Error {
    Error::Split { dataset: dataset.name().to_owned(), why: why.into() }
}

fn by_classes(dataset: &dyn Dataset, val: Amount, test: Amount, streams: Streams) -> Result<Vec<Side>> {
    let mut classes = dataset.labels().classes();
    let number =
        |key: &str, amount: Amount| amount.of(classes.len()).map_err(|why| fault(dataset, format!("{key}: {why}")));
    let (val, test) = (number("val", val)?, number("test", test)?);
    if val + test > classes.len() {
        return Err(fault(dataset, format!("{val} + {test} classes are asked for, it has {}", classes.len())));
    }
    shuffle(&mut streams.open(Purpose::Split, [0, 0]), &mut classes);
    // Test comes first, so that asking for validation as well leaves the test side as it was.
    by_lists(dataset, &classes[test..test + val], &classes[..test])
}

fn official(dataset: &dyn Dataset, val: Amount, streams: Streams) -> Result<Vec<Side>> {
    let own: Vec<Option<OfficialSide>> = (0..dataset.len()).map(|i| dataset.official(ExampleId(i))).collect();
    if own.iter().any(Option::is_none) {
        return Err(fault(dataset, "it has no official split; use by = \"classes\" with val and test amounts"));
    }
    let learned = |i: usize| own[i] == Some(OfficialSide::Train);
    let class = |i: usize| dataset.labels().get(i);
    let classes: BTreeSet<ClassId> = (0..own.len()).filter(|&i| learned(i)).map(class).collect();
    let mut classes: Vec<ClassId> = classes.into_iter().collect();
    let kept = val.of(classes.len()).map_err(|why| fault(dataset, format!("val: {why}")))?;
    shuffle(&mut streams.open(Purpose::Split, [3, 0]), &mut classes);
    let kept: BTreeSet<ClassId> = classes[..kept].iter().copied().collect();
    let side = |i: usize| match learned(i) {
        false => Side::Test,
        true if kept.contains(&class(i)) => Side::Val,
        true => Side::Train,
    };
    Ok((0..own.len()).map(side).collect())
}

fn by_lists(dataset: &dyn Dataset, val: &[ClassId], test: &[ClassId]) -> Result<Vec<Side>> {
    let mut side_of = BTreeMap::new();
    for (classes, side) in [(val, Side::Val), (test, Side::Test)] {
        for &class in classes {
            if side_of.insert(class, side).is_some_and(|other| other != side) {
                return Err(fault(dataset, format!("{} is on two sides", dataset.class_name(class))));
            }
        }
    }
    let side = |class| side_of.get(class).copied().unwrap_or(Side::Train);
    Ok(dataset.labels().as_slice().iter().map(side).collect())
}

fn by_instances(dataset: &dyn Dataset, val: Amount, test: Amount, streams: Streams) -> Result<Vec<Side>> {
    let mut sides = vec![Side::Train; dataset.len()];
    let index = dataset.class_index();
    for (place, &class) in index.classes().iter().enumerate() {
        let mut examples: Vec<ExampleId> = index.examples(place).to_vec();
        let named = |why: String| fault(dataset, format!("class {}: {why}", dataset.class_name(class)));
        let number = |amount: Amount| amount.at_least_one_of(examples.len()).map_err(named);
        let (val_n, test_n) = (number(val)?, number(test)?);
        if val_n + test_n >= examples.len() {
            if matches!((val, test), (Amount::Count(1..), _) | (_, Amount::Count(1..))) {
                let why = format!("{val_n} + {test_n} of its {} examples leave none for training", examples.len());
                return Err(named(why));
            }
            continue;
        }
        shuffle(&mut streams.open(Purpose::Split, [1, u64::from(class.0)]), &mut examples);
        examples[..test_n].iter().for_each(|e| sides[e.0] = Side::Test);
        examples[test_n..test_n + val_n].iter().for_each(|e| sides[e.0] = Side::Val);
    }
    let asked = |amount: Amount, side: Side| !amount.is_none() && !sides.contains(&side);
    if asked(val, Side::Val) || asked(test, Side::Test) {
        return Err(fault(dataset, "every class is too small to give an example; ask for less"));
    }
    Ok(sides)
}

fn parts(dataset: Arc<dyn Dataset>, sides: &[Side]) -> Result<Parts> {
    let part = |side: Side, name: &str| {
        let examples: Vec<ExampleId> = (0..sides.len()).filter(|&i| sides[i] == side).map(ExampleId).collect();
        if examples.is_empty() && side != Side::Train {
            return Ok(None);
        }
        let classes: BTreeSet<ClassId> = examples.iter().map(|e| dataset.labels().get(e.0)).collect();
        if classes.len() < 2 {
            let why = format!("{} classes are left for {name}; at least 2 are needed to tell apart", classes.len());
            return Err(fault(dataset.as_ref(), why));
        }
        Subset::new(dataset.clone(), name, examples).map(Some)
    };
    let (val, test) = (part(Side::Val, "val")?, part(Side::Test, "test")?);
    match part(Side::Train, "train")? {
        Some(train) => Ok(Parts { train, val, test }),
        None => Err(fault(dataset.as_ref(), "nothing is left for training")),
    }
}

fn classes_of_names(dataset: &dyn Dataset, names: &[String]) -> Result<Vec<ClassId>> {
    let classes = dataset.labels().classes();
    let ids: BTreeMap<String, ClassId> = classes.into_iter().map(|c| (dataset.class_name(c), c)).collect();
    let find = |name: &String| {
        let known = || ids.keys().take(3).cloned().collect::<Vec<_>>().join(", ");
        ids.get(name).copied().ok_or_else(|| fault(dataset, format!("it has no class {name}; it has {}, ...", known())))
    };
    names.iter().map(find).collect()
}

/// The classes of the named groups.
pub(crate) fn classes_of_groups(dataset: &dyn Dataset, names: &[impl AsRef<str>]) -> Result<Vec<ClassId>> {
    let mut groups = BTreeMap::<&str, Vec<ClassId>>::new();
    for class in dataset.labels().classes() {
        if let Some(group) = dataset.group(class) {
            groups.entry(group).or_default().push(class);
        }
    }
    let mut found = Vec::new();
    for name in names {
        let name = name.as_ref();
        let Some(classes) = groups.get(name) else {
            let known = groups.keys().copied().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "it has no groups".to_owned() } else { format!("it has {known}") };
            return Err(fault(dataset, format!("it has no group {name}; {known}")));
        };
        found.extend_from_slice(classes);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
