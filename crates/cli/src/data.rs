use crate::args::{Check, Data};
use crate::fail::BadPictures;
use crate::source;
use crate::suspects::{self, LISTED, Suspects, is_turned};
use anyhow::Result;
use npair_data::sheet::{contact_sheet, encode_png};
use npair_data::{Dataset, Likeness, OfficialSide, Report, Stand, Twins, check_twins};
use npair_evaluate::{check_free, write_file};
use npair_recipe::config::DataConfig;
use npair_recipe::{Config, Device, open_source};
use npair_types::{ClassId, ExampleId};
use std::collections::BTreeSet;
use std::path::Path;

pub fn run(args: &Data, device: Option<Device>, json: bool) -> Result<()> {
    let Data::Check(args) = args;
    if device.is_some() && args.run.is_none() {
        let why = "has no effect on pictures that are only looked at: leave it out".to_owned();
        return Err(source::usage("--device", why));
    }
    if let Some(grid) = &args.grid {
        source::expect_png(grid)?;
        check_free(std::slice::from_ref(grid), args.force)?;
    }
    if let Some(folder) = &args.sheets {
        std::fs::create_dir_all(folder).map_err(|e| npair_evaluate::Error::unwritten(folder, &e))?;
        check_free(&SHEETS.map(|name| folder.join(name)), args.force)?;
    }
    let source = source::data_source("SOURCE", &args.data)?;
    source::only(&args.sets, &["data.levels", "data.parts", "data.glyphs"])?;
    let settings = Config::read(None, &args.sets)?.data;
    let data = open_source(&DataConfig { source, ..settings })?;
    let (report, twins) = check_twins(data.as_ref());
    let (across, suspects) = by_run(args, device.unwrap_or_default(), data.as_ref(), (&report, &twins))?;
    if json {
        let mut whole = serde_json::to_value(&report)?;
        whole["twins"] = twins.iter().map(|&pair| described(data.as_ref(), pair)).collect();
        if args.run.is_some() {
            whole["across_the_split"] = across.iter().map(|&&pair| described(data.as_ref(), pair)).collect();
            whole["suspects"] = suspects.as_ref().map(Suspects::json).into();
        }
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
        print_across(data.as_ref(), &across);
        suspects.iter().for_each(Suspects::print);
    }
    if args.grid.is_some() {
        grid(data.as_ref(), args)?;
    }
    if let Some(folder) = &args.sheets {
        sheets(folder, data.as_ref(), &twins, suspects.as_ref())?;
    }
    if report.is_clean() { Ok(()) } else { Err(BadPictures(report.bad.len()).into()) }
}

/// The files of `--sheets`.
const SHEETS: [&str; 3] = ["twins.png", "labels.png", "alike.png"];

/// What a run says of the data, if one is given: copies on two sides of its split, and what its embedding finds.
fn by_run<'t>(
    args: &Check,
    device: Device,
    data: &dyn Dataset,
    (report, twins): (&Report, &'t [Twins]),
) -> Result<(Vec<&'t Twins>, Option<Suspects>)> {
    let Some(run) = &args.run else { return Ok((Vec::new(), None)) };
    let across = suspects::across_the_split(run, data, twins)?;
    if !report.is_clean() {
        warn!("note: nothing is embedded while pictures are bad: put them right first");
        return Ok((across, None));
    }
    Ok((across, Some(Suspects::of(run, &args.data, &args.sets, device)?)))
}

fn print_across(data: &dyn Dataset, across: &[&Twins]) {
    if across.is_empty() {
        return;
    }
    say!(
        "  note: {} pairs are one picture on two sides of the run's split: it learned from one and is judged on the other",
        across.len()
    );
    for pair in across.iter().take(LISTED) {
        say!("    {} ~ {}", data.describe(pair.one), data.describe(pair.other));
    }
    suspects::more(across.len());
}

/// A picture of each list that has something on it.
fn sheets(folder: &Path, data: &dyn Dataset, twins: &[Twins], suspects: Option<&Suspects>) -> Result<()> {
    let drawn = [
        suspects::pairs(data, twins.iter().map(|pair| [pair.one.0, pair.other.0]))?,
        suspects.map(Suspects::draw_labels).transpose()?.flatten(),
        suspects.map(Suspects::draw_alike).transpose()?.flatten(),
    ];
    for (name, png) in SHEETS.iter().zip(drawn) {
        png.map(|png| write_file(&folder.join(name), &png)).transpose()?;
    }
    Ok(())
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
    serde_json::json!({ "one": one, "other": other, "likeness": pair.likeness, "stand": pair.stand(data) })
}

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
        let is_one = |pair: &&Twins| pair.stand(data) == stand && !is_turned(pair);
        let those: Vec<&Twins> = twins.iter().filter(is_one).collect();
        if those.is_empty() {
            continue;
        }
        say!("  note: {} pairs are one picture, {means}", those.len());
        for pair in those.iter().take(LISTED) {
            let sign = if pair.likeness == Likeness::SamePixels { "=" } else { "~" };
            say!("    {} {sign} {}", data.describe(pair.one), data.describe(pair.other));
        }
        suspects::more(those.len());
    }
    print_turned(data, &twins.iter().filter(|pair| is_turned(pair)).collect::<Vec<_>>());
}

fn print_turned(data: &dyn Dataset, turned: &[&Twins]) {
    if turned.is_empty() {
        return;
    }
    say!(
        "  note: {} pairs are one picture mirrored or turned: copies, unless that makes another class of them",
        turned.len()
    );
    for pair in turned.iter().take(LISTED) {
        say!("    {} ~ {}", data.describe(pair.one), data.describe(pair.other));
    }
    suspects::more(turned.len());
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
