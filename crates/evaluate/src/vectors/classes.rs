//! Labels as files have them: numbers or words.

use super::numbers::{Array, Cells};
use npair_types::Labels;

/// The class of every row, and what it is called where the file says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    pub(super) labels: Labels,
    /// Of every row; empty if unknown.
    pub(super) names: Vec<String>,
}

/// What to do about numbers that are no class numbers.
const ANEW: &str = "number the classes anew: numpy.unique(labels, return_inverse=True)[1]";

impl Classes {
    /// From an array; the error says what is wrong with it.
    pub(super) fn of(array: Array<'_>) -> Result<Self, String> {
        if !array.is_list() {
            return Err(format!("has shape {:?}, but a list of labels (rows) is needed", array.shape));
        }
        match array.cells {
            Cells::Words(words) => Self::of_words(words),
            Cells::Numbers(numbers) if numbers.kind.is_float() => Err(format!(
                "holds {}, but whole numbers or words are needed as labels: save labels.astype('int64')",
                numbers.kind.name()
            )),
            Cells::Numbers(numbers) => {
                let ids = (0..numbers.len()).map(|row| class_number(numbers.whole(row).unwrap_or(-1), row));
                Self::of_ids(ids.collect::<Result<_, _>>()?)
            }
        }
    }

    fn of_ids(ids: Vec<u32>) -> Result<Self, String> {
        let labels = Labels::new(ids).map_err(|_| "holds no labels".to_owned())?;
        Ok(Self { labels, names: Vec::new() })
    }

    /// Classes by their names, numbered from 0 in the names' order. Names that are numbers, most of all, are class numbers.
    pub(super) fn of_words(words: Vec<String>) -> Result<Self, String> {
        let mut distinct: Vec<&str> = words.iter().map(String::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let numbers = distinct.iter().filter(|word| word.parse::<f64>().is_ok()).count();
        if 2 * numbers > distinct.len() {
            let ids = words.iter().enumerate().map(|(row, word)| number_of(word, row));
            return Self::of_ids(ids.collect::<Result<_, _>>()?);
        }
        if let Some(row) = words.iter().position(String::is_empty) {
            return Err(format!("has no label in row {row}"));
        }
        let place = |word: &String| distinct.binary_search(&word.as_str()).unwrap_or_default();
        let ids = words.iter().map(|word| u32::try_from(place(word)).map_err(|_| "has too many classes".to_owned()));
        let mut classes = Self::of_ids(ids.collect::<Result<_, _>>()?)?;
        classes.names = words;
        Ok(classes)
    }
}

/// A class number that stands as text.
fn number_of(word: &str, row: usize) -> Result<u32, String> {
    if let Ok(whole) = word.parse::<i128>() {
        return class_number(whole, row);
    }
    match word.parse::<f64>() {
        // As tables with gaps have them.
        Ok(value) if value.fract() == 0. => class_number(value as i128, row),
        _ if word.is_empty() => Err(format!("has no label in row {row}")),
        _ => Err(format!("has the label `{word}` in row {row}; labels are whole numbers from 0 on, or words")),
    }
}

fn class_number(value: i128, row: usize) -> Result<u32, String> {
    u32::try_from(value).map_err(|_| match value < 0 {
        true => {
            format!("has the label {value} in row {row}; class numbers are 0 and more: leave such rows out, or {ANEW}")
        }
        false => format!("has the label {value} in row {row}, beyond {}, the largest class number; {ANEW}", u32::MAX),
    })
}
