//! What a run's embedding says of a data set: labels that look wrong, one thing under two names, copies on two sides of its split.

use crate::{embedded, source};
use anyhow::Result;
use npair_data::sheet::{Border, contact_sheet, encode_png};
use npair_data::{Dataset, Likeness, Picture, Twins};
use npair_evaluate::{AlikePair, Inputs, SuspectLabel, alike_across_classes, suspect_labels};
use npair_recipe::Device;
use npair_recipe::record::{Side, SplitRecord};
use npair_types::ExampleId;
use std::path::Path;
use std::sync::Arc;

/// Pairs and rows that are printed, or drawn; all are in the JSON.
pub const LISTED: usize = 10;
pub const DRAWN: usize = 40;
/// Neighbours that are drawn beside an example.
const BESIDE: usize = 6;
/// The longest side of a picture in a sheet.
const SIDE: u32 = 96;

/// What was found of a data set.
pub struct Suspects {
    side: Arc<dyn Inputs>,
    /// Examples whose neighbours are of another class.
    pub labels: Vec<SuspectLabel>,
    /// Pairs of two classes that are as near as pictures of one.
    pub alike: Vec<AlikePair>,
    /// Examples of classes with fewer than three, whose neighbours say nothing.
    pub unjudged: usize,
}

impl Suspects {
    /// By the best checkpoint of a run.
    pub fn of(run: &Path, data: &str, sets: &[String], device: Device) -> Result<Self> {
        let loaded = source::load_all(run, "best", Some(data), sets, device)?;
        if loaded.config.data.label_separator.is_some() {
            let why = "is of a run that learned sets of labels (data.label_separator), of which another one may well lie nearer: \
                       nothing is told of them; check without --run";
            return Err(source::usage("--run", why.to_owned()));
        }
        let side = loaded.splits.named("all")?.clone();
        let set = embedded::plain_to_judge(loaded.model.as_ref(), side.as_ref())?;
        let measure = loaded.config.evaluation.measure;
        let classes = side.class_index();
        let sizes = (0..classes.len()).map(|class| classes.examples(class).len());
        let unjudged = sizes.filter(|&size| size < 3).sum();
        let (labels, alike) = (suspect_labels(&set, measure)?, alike_across_classes(&set, measure)?);
        Ok(Self { labels, alike, unjudged, side })
    }

    /// All of them, for programs.
    pub fn json(&self) -> serde_json::Value {
        let labels = self.labels.iter().map(|suspect| {
            let [given, suggested] = [suspect.given, suspect.suggested].map(|class| self.side.class_name(class));
            let near: Vec<String> = suspect.neighbours.iter().map(|&row| self.name(row)).collect();
            serde_json::json!({ "example": self.name(suspect.row), "given": given, "suggested": suggested,
                "margin": suspect.margin, "neighbours": near })
        });
        let alike = self.alike.iter().map(|pair| {
            serde_json::json!({ "one": self.name(pair.one), "other": self.name(pair.other), "similarity": pair.similarity })
        });
        serde_json::json!({ "labels": labels.collect::<Vec<_>>(), "alike": alike.collect::<Vec<_>>(), "unjudged": self.unjudged })
    }

    fn name(&self, row: usize) -> String {
        self.side.describe(ExampleId(row))
    }

    /// The surest of them, for people.
    pub fn print(&self) {
        if !self.labels.is_empty() {
            say!(
                "  note: {} labels look wrong: these lie much nearer to another class than pictures of this set do (the class is a hint)",
                self.labels.len()
            );
        }
        for suspect in self.labels.iter().take(LISTED) {
            let suggested = self.side.class_name(suspect.suggested);
            say!("    {:+.3}  {}  nearest to {suggested}", suspect.margin, self.name(suspect.row));
        }
        more(self.labels.len());
        if !self.alike.is_empty() {
            say!(
                "  note: {} pairs of two classes are as near as pictures of one: one thing under two names?",
                self.alike.len()
            );
        }
        for pair in self.alike.iter().take(LISTED) {
            say!("    {:.4}  {}  {}", pair.similarity, self.name(pair.one), self.name(pair.other));
        }
        more(self.alike.len());
        if self.unjudged > 0 {
            say!(
                "  note: {} pictures are of classes with fewer than three, whose labels neighbours cannot judge",
                self.unjudged
            );
        }
        if self.labels.is_empty() && self.alike.is_empty() {
            say!("  by the run's embedding no label looks wrong, and no two classes are one");
        }
    }

    /// Each suspect (blue) and its nearest, green where they are of its class.
    pub fn draw_labels(&self) -> Result<Option<Vec<u8>>> {
        let Some(pictures) = self.side.pictures() else { return Ok(None) };
        let mut sheet = Sheet::new(pictures, 1 + BESIDE);
        for suspect in self.labels.iter().take(DRAWN) {
            sheet.add(suspect.row, Border::Query)?;
            for &near in suspect.neighbours.iter().take(BESIDE) {
                let same = self.side.labels().same(suspect.row, near);
                sheet.add(near, if same { Border::Right } else { Border::Wrong })?;
            }
            sheet.end_row()?;
        }
        sheet.png()
    }

    /// Pairs beside each other.
    pub fn draw_alike(&self) -> Result<Option<Vec<u8>>> {
        let Some(pictures) = self.side.pictures() else { return Ok(None) };
        pairs(pictures, self.alike.iter().map(|pair| [pair.one, pair.other]))
    }
}

/// That there are more than are printed.
pub fn more(all: usize) {
    if all > LISTED {
        say!("    and {} more: --json lists them", all - LISTED);
    }
}

/// Pairs of pictures beside each other, three pairs a row; nothing where there are none.
pub fn pairs(pictures: &dyn Dataset, pairs: impl Iterator<Item = [usize; 2]>) -> Result<Option<Vec<u8>>> {
    let mut sheet = Sheet::new(pictures, 6);
    for (at, pair) in pairs.take(DRAWN).enumerate() {
        for row in pair {
            // Pairs beside each other are told apart by their frames.
            sheet.add(row, if at % 2 == 0 { Border::Query } else { Border::None })?;
        }
    }
    sheet.end_row()?;
    sheet.png()
}

/// Pictures in rows, small.
struct Sheet<'a> {
    from: &'a dyn Dataset,
    columns: usize,
    pictures: Vec<Picture>,
    borders: Vec<Border>,
}

impl<'a> Sheet<'a> {
    fn new(from: &'a dyn Dataset, columns: usize) -> Self {
        Self { from, columns, pictures: Vec::new(), borders: Vec::new() }
    }

    fn add(&mut self, row: usize, border: Border) -> Result<()> {
        self.pictures.push(self.from.load(ExampleId(row))?.fitted(SIDE)?);
        self.borders.push(border);
        Ok(())
    }

    /// Fills the row with paper.
    fn end_row(&mut self) -> Result<()> {
        while !self.pictures.len().is_multiple_of(self.columns) {
            self.pictures.push(Picture::new(1, 1, 1, vec![238])?);
            self.borders.push(Border::None);
        }
        Ok(())
    }

    fn png(self) -> Result<Option<Vec<u8>>> {
        if self.pictures.is_empty() {
            return Ok(None);
        }
        Ok(Some(encode_png(&contact_sheet(&self.pictures, self.columns, &self.borders)?)?))
    }
}

/// Whether one looks as the other does mirrored or turned, which may make another class of it.
pub fn is_turned(pair: &Twins) -> bool {
    matches!(pair.likeness, Likeness::Turned(_))
}

/// Twins of which a run has learned from one and is judged on the other.
pub fn across_the_split<'t>(run: &Path, data: &dyn Dataset, twins: &'t [Twins]) -> Result<Vec<&'t Twins>> {
    let Some(record) = SplitRecord::read(run)? else { return Ok(Vec::new()) };
    let sides = record.sides_of(data);
    if sides.iter().all(Option::is_none) {
        warn!("note: the run had none of these pictures: its split is not looked at");
    }
    let learned = |example: ExampleId| sides[example.0].map(|side| side == Side::Train);
    let apart = |pair: &Twins| matches!((learned(pair.one), learned(pair.other)), (Some(a), Some(b)) if a != b);
    Ok(twins.iter().filter(|pair| !is_turned(pair) && apart(pair)).collect())
}
