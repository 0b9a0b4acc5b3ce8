//! The data of a run, opened and split: drawn when it begins, and by its record ever after.

use crate::config::{Config, DataSource};
use crate::draft::Draft;
use crate::examples::Examples;
use crate::record::{Side, SplitRecord, compare};
use crate::{Error, Result, fit, unlabeled};
use npair_data::{Amount, Dataset, LoosePictures, Pipeline, SplitConfig, check, split};
use npair_evaluate::Splits;
use npair_types::{ClassId, ExampleId, Streams};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Opens the data of a configuration and draws its split, which depends on the seed and the data alone. Pictures become pixels by
/// the pipeline of a trained model if one is given, else by that of the configuration.
///
/// # Errors
/// Those of the data set and of the split.
pub fn open_splits(config: &Config, pipeline: Option<&Pipeline>) -> Result<Splits> {
    let examples = Examples::open(config, pipeline)?;
    drawn_splits(config, &examples)
}

/// All examples of a source as inputs, without a split and whether or not they have labels.
///
/// # Errors
/// Those of the data set.
pub fn open_all(config: &Config, pipeline: Option<&Pipeline>) -> Result<Splits> {
    let examples = Examples::open_unlabeled(config, pipeline)?;
    examples.splits(&config.data, &vec![None; examples.data().len()])
}

/// Pictures by their paths, as inputs of a trained model.
///
/// # Errors
/// If there are none.
pub fn open_files(config: &Config, pipeline: Option<&Pipeline>, name: &str, files: Vec<PathBuf>) -> Result<Splits> {
    let data = Arc::new(LoosePictures::of_files(name, files)?);
    let examples = Examples::pictures(config, pipeline, data)?;
    examples.splits(&config.data, &vec![None; examples.data().len()])
}

/// The data of a new run, and its record; the built-in set, which never changes, has none. Completes the draft by what the data has
/// room for.
pub(crate) fn begin(draft: &mut Draft) -> Result<(Splits, Option<SplitRecord>)> {
    let examples = Examples::open(&draft.config, None)?;
    let mut chosen: Vec<String> = fit::split(draft, examples.data().as_ref()).into_iter().collect();
    let (splits, record) = first_split(&draft.config, &examples)?;
    chosen.extend(fit::batch(draft, splits.learned()?.as_ref()));
    chosen.extend(unlabeled::note(&draft.config));
    chosen.extend(splits.notes.iter().cloned());
    Ok((Splits { notes: chosen, ..splits }, record))
}

fn first_split(config: &Config, examples: &Examples) -> Result<(Splits, Option<SplitRecord>)> {
    let sides = drawn(config, examples.data())?;
    let some: Vec<_> = sides.iter().copied().map(Some).collect();
    let mut splits = examples.splits(&config.data, &some)?;
    check_validation(&splits)?;
    splits.notes.extend(classes_on_two_sides(config, examples.data().as_ref(), &some));
    if config.data.source == DataSource::Glyphs {
        return Ok((splits, None));
    }
    let rows: Vec<_> = sides.into_iter().enumerate().map(|(i, side)| (ExampleId(i), side)).collect();
    let record = SplitRecord::new(examples.data().as_ref(), &|id| examples.content(id), &rows)?;
    splits.notes.extend(leaks(&record));
    Ok((splits, Some(record)))
}

/// The data of a run that goes on: what it began with, or an error that says what differs.
pub(crate) fn go_on(config: &Config, folder: &Path) -> Result<Splits> {
    of_record(config, folder, SplitRecord::read(folder)?)
}

/// The data of the run in a folder whose record is known; without one its split is drawn again.
pub(crate) fn of_record(config: &Config, folder: &Path, record: Option<SplitRecord>) -> Result<Splits> {
    let examples = Examples::open(config, None)?;
    let Some(record) = record else { return drawn_splits(config, &examples) };
    let data = examples.data().clone();
    let compared = compare(&record, data.as_ref(), &|id| examples.content(id));
    let Some(order) = compared.in_recorded_order() else {
        let differences = compared.differences().unwrap_or_else(|| "its examples are others".to_owned());
        let why = format!(
            "{differences}: a run goes on with the data that it began with. Put it back, or name its place with --data"
        );
        return Err(Error::file(folder, why));
    };
    let note =
        compared.differences().map(|said| format!("{said}; the run goes on with the examples that it began with"));
    let examples = examples.in_order(order, &record)?;
    let sides: Vec<_> = record.rows().iter().map(|row| Some(row.side)).collect();
    let mut splits = examples.splits(&config.data, &sides)?;
    splits.notes.extend(note);
    Ok(splits)
}

/// Whose data a trained run is used on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The run's own, as it is now: what has been added is on no side.
    Own,
    /// Other data: what the run has not seen is for test.
    Other,
    /// Any data, by the split that the settings ask for now; but what was trained on is on no unseen side.
    Asked,
}

/// The data that a trained run is used on, with what it was trained on apart from what it has not seen: by the run's record, and
/// for its own data without one (the built-in set, a run of an earlier release) by the split of its settings.
///
/// # Errors
/// Those of the data set, and of a record that cannot be read.
pub fn open_for_run(config: &Config, pipeline: Option<&Pipeline>, run: Option<&Path>, whose: Whose) -> Result<Splits> {
    let examples = Examples::open(config, pipeline)?;
    let Some(record) = run.map(SplitRecord::read).transpose()?.flatten() else {
        return match whose {
            Whose::Own | Whose::Asked => without_record(config, &examples),
            Whose::Other => examples.splits(&config.data, &vec![Some(Side::Test); examples.data().len()]),
        };
    };
    let data = examples.data().clone();
    let compared = compare(&record, data.as_ref(), &|id| examples.content(id));
    let mut sides = compared.sides();
    if whose != Whose::Own {
        let trained = compared.trained_classes();
        let asked = match whose {
            Whose::Asked => drawn(config, &data)?,
            _ => vec![Side::Test; data.len()],
        };
        for (i, side) in sides.iter_mut().enumerate() {
            let met = matches!(side, Some(Side::Train | Side::Val | Side::Seen));
            if !met {
                *side = Some(if trained.contains(&data.labels().get(i)) { Side::Seen } else { asked[i] });
            }
        }
    }
    let mut splits = examples.splits(&config.data, &sides)?;
    splits.notes.extend(unlabeled::note(config));
    splits.notes.extend(classes_on_two_sides(config, data.as_ref(), &sides));
    match whose {
        Whose::Own => {
            let new = splits.new.as_ref().map_or("", |_| "; what is new is on no side: --split new judges it");
            splits.notes.extend(compared.differences().map(|said| format!("{said}{new}")));
        }
        Whose::Other | Whose::Asked if !compared.is_apart() => {
            splits.notes.push(met_again(&compared.sides(), &sides));
        }
        Whose::Other | Whose::Asked => splits.notes.extend(compared.classes_of_one_name()),
    }
    Ok(splits)
}

/// The split of a run that has no record, drawn anew.
fn without_record(config: &Config, examples: &Examples) -> Result<Splits> {
    let mut splits = drawn_splits(config, examples)?;
    if config.data.source != DataSource::Glyphs {
        splits.notes.push(format!(
            "warning: the run has no {}, so its split is drawn anew of the data as it is now: if that has changed, what was trained on may be among `test`",
            crate::record::FILE
        ));
    }
    Ok(splits)
}

fn drawn_splits(config: &Config, examples: &Examples) -> Result<Splits> {
    let sides: Vec<_> = drawn(config, examples.data())?.into_iter().map(Some).collect();
    examples.splits(&config.data, &sides)
}

/// The side of every example, drawn.
fn drawn(config: &Config, data: &Arc<dyn Dataset>) -> Result<Vec<Side>> {
    let streams = Streams::new(config.seed);
    let parts = split(data.clone(), &config.data.split(), streams)?;
    let mut sides = vec![Side::Train; data.len()];
    for (part, side) in [(&parts.val, Side::Val), (&parts.test, Side::Test)] {
        part.iter().flat_map(|part| part.examples()).for_each(|id| sides[id.0] = side);
    }
    let nothing = matches!(config.data.seen, Amount::Count(0)) || config.data.seen == Amount::Fraction(0.);
    if !nothing {
        let learned = parts.train.examples().to_vec();
        let how = SplitConfig::Instances { val: Amount::Count(0), test: config.data.seen };
        let kept_back = split(Arc::new(parts.train), &how, streams)?.test;
        kept_back.iter().flat_map(|part| part.examples()).for_each(|id| sides[learned[id.0].0] = Side::Seen);
    }
    Ok(sides)
}

/// An error for the first validation picture that cannot be read: the first validation would fail of it.
fn check_validation(splits: &Splits) -> Result<()> {
    let pictures = splits.val.as_ref().and_then(|val| val.pictures());
    let bad = pictures.and_then(|val| check(val).bad.into_iter().next().map(|bad| (val, bad)));
    match bad {
        None => Ok(()),
        Some((val, bad)) => {
            Err(val.load(bad.example).err().map_or_else(|| Error::file(Path::new(&bad.file), bad.error), Error::from))
        }
    }
}

/// A note about classes that are learned from and judged as if they were not.
fn classes_on_two_sides(config: &Config, data: &dyn Dataset, sides: &[Option<Side>]) -> Option<String> {
    if matches!(config.data.split(), SplitConfig::Instances { .. }) {
        return None;
    }
    let of = |wanted: &[Side]| -> BTreeSet<ClassId> {
        let those = sides.iter().enumerate().filter(|(_, side)| side.is_some_and(|side| wanted.contains(&side)));
        those.map(|(i, _)| data.labels().get(i)).collect()
    };
    let both: Vec<ClassId> = of(&[Side::Train]).intersection(&of(&[Side::Val, Side::Test])).copied().collect();
    let first = data.class_name(*both.first()?);
    let n = both.len();
    Some(format!(
        "{n} classes are learned from and stand among validation or test too ({first}, ..): those scores are not of unseen classes"
    ))
}

/// A note about bytes that stand on two sides.
fn leaks(record: &SplitRecord) -> Option<String> {
    let leaks = record.leaks();
    let (one, other) = leaks.first()?;
    Some(format!(
        "{} pictures stand on two sides with the same bytes ({} and {}, ..): take one of each away, `npair data check` lists them",
        leaks.len(),
        one.name,
        other.name
    ))
}

/// What of other data the run has met before, by its record, and what is left on the sides.
fn met_again(recorded: &[Option<Side>], sides: &[Option<Side>]) -> String {
    let count = |sides: &[Option<Side>], side| sides.iter().filter(|s| **s == Some(side)).count();
    let [train, val] = [Side::Train, Side::Val].map(|side| count(recorded, side));
    let [seen, test] = [Side::Seen, Side::Test].map(|side| count(sides, side));
    format!(
        "of these pictures the run was trained on {train} and chosen by {val}; {seen} more are of classes that it was trained on: the side `test` is the other {test}"
    )
}
