use crate::args::{Check, Data};
use crate::fail::BadPictures;
use crate::source;
use anyhow::Result;
use npair_data::sheet::{contact_sheet, encode_png};
use npair_data::{Dataset, OfficialSide, Report, Stand, Twins, check_twins};
use npair_evaluate::{check_free, write_file};
use npair_recipe::config::DataConfig;
use npair_recipe::{Config, open_source};
use npair_types::{ClassId, ExampleId};
use std::collections::BTreeSet;

pub fn run(args: &Data, json: bool) -> Result<()> {
    let Data::Check(args) = args;
    if let Some(grid) = &args.grid {
        source::expect_png(grid)?;
        check_free(std::slice::from_ref(grid), args.force)?;
    }
    let source = source::data_source("SOURCE", &args.data)?;
    source::only(&args.sets, &["data.levels", "data.parts", "data.glyphs"])?;
    let settings = Config::read(None, &args.sets)?.data;
    let data = open_source(&DataConfig { source, ..settings })?;
    let (report, twins) = check_twins(data.as_ref());
    if json {
        let mut whole = serde_json::to_value(&report)?;
        whole["twins"] = twins.iter().map(|&pair| described(data.as_ref(), pair)).collect();
        say!("{whole}");
    } else {
        print(&report);
        match classes_on_two_sides(data.as_ref()) {
            0 => {}
            n => say!(
                "  note: {n} classes stand on both sides of the split: scores of its test side are not of unseen classes"
            ),
        }
        print_twins(data.as_ref(), &twins);
    }
    if args.grid.is_some() {
        grid(data.as_ref(), args)?;
    }
    if report.is_clean() { Ok(()) } else { Err(BadPictures(report.bad.len()).into()) }
}

fn print(report: &Report) {
    let classes = report.classes.len();
    say!("{}: {} pictures of {classes} classes", report.dataset, report.examples);
    let counts: Vec<usize> = {
        let mut counts: Vec<usize> = report.classes.iter().map(|c| c.good).collect();
        counts.sort_unstable();
        counts
    };
    if let (Some(least), Some(most)) = (counts.first(), counts.last()) {
        say!("  per class: {least} to {most}, median {}", counts[counts.len() / 2]);
    }
    for (what, spread) in [("width", report.width), ("height", report.height)] {
        if let Some([low, median, high]) = spread {
            say!("  {what}: {low} to {high} pixels, median {median}");
        }
    }
    say!("  {} grey, {} colour", report.grey, report.rgb);
    for text in report.notes.iter().chain(&report.warnings()) {
        say!("  note: {text}");
    }
    for bad in &report.bad {
        say!("  bad: {}", bad.error);
    }
}

/// A pair with its files.
fn described(data: &dyn Dataset, pair: Twins) -> serde_json::Value {
    let [one, other] = [pair.one, pair.other].map(|example| data.describe(example));
    serde_json::json!({ "one": one, "other": other, "same_pixels": pair.same_pixels, "stand": pair.stand(data) })
}

/// Pairs of each kind that are printed; all are in the JSON.
const LISTED: usize = 10;

/// How many classes the data set's own split has on both of its sides.
fn classes_on_two_sides(data: &dyn Dataset) -> usize {
    let of = |learned: bool| -> BTreeSet<ClassId> {
        let side = |i: usize| data.official(ExampleId(i)).map(|side| (side == OfficialSide::Train) == learned);
        (0..data.len()).filter(|&i| side(i) == Some(true)).map(|i| data.labels().get(i)).collect()
    };
    of(true).intersection(&of(false)).count()
}

fn print_twins(data: &dyn Dataset, twins: &[Twins]) {
    let kinds = [
        (Stand::TwoSides, "on two sides of the split: what is judged on was learned from; take one away"),
        (Stand::TwoClasses, "in two classes: a label is wrong, or a split by classes can put them on two sides"),
        (Stand::OneClass, "in one class: they count twice"),
    ];
    for (stand, means) in kinds {
        let those: Vec<&Twins> = twins.iter().filter(|pair| pair.stand(data) == stand).collect();
        if those.is_empty() {
            continue;
        }
        say!("  note: {} pairs are one picture, {means}", those.len());
        for pair in those.iter().take(LISTED) {
            let sign = if pair.same_pixels { "=" } else { "~" };
            say!("    {} {sign} {}", data.describe(pair.one), data.describe(pair.other));
        }
        if those.len() > LISTED {
            say!("    and {} more: --json lists them", those.len() - LISTED);
        }
    }
}

fn grid(data: &dyn Dataset, args: &Check) -> Result<()> {
    let Some(path) = &args.grid else { return Ok(()) };
    let index = data.class_index();
    let rows = index.len().min(12);
    let columns = (0..rows).map(|i| index.examples(i * index.len() / rows).len()).min().unwrap_or(1).min(12);
    let mut pictures = Vec::new();
    for i in 0..rows {
        for &id in &index.examples(i * index.len() / rows)[..columns] {
            pictures.push(data.load(id)?);
        }
    }
    let png = encode_png(&contact_sheet(&pictures, columns, &[])?)?;
    Ok(write_file(path, &png)?)
}
