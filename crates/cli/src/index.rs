//! A folder that answers: made, changed, looked at, exported.

use crate::args::Index as Args;
use crate::verifier::{Asked, percent};
use crate::{embedded, progress, refined, source};
use anyhow::Result;
use npair_data::Dataset;
use npair_evaluate::{Splits, Vectors, check_free};
use npair_index::{Export, GraphSettings, Index, IndexSettings, NewRow, RowFilter};
use npair_metrics::Verifier;
use npair_recipe::Device;
use npair_similarity::Rows;
use npair_types::ExampleId;
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest side of a thumbnail, in pixels.
const THUMBNAIL: u32 = 96;

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    expect_sensible(args)?;
    match &args.out {
        Some(out) => make(args, out, device, json),
        None => change(args, device, json),
    }
}

/// An error for options that do not go together.
fn expect_sensible(args: &Args) -> Result<()> {
    let made = args.out.is_some();
    let stray = [
        ("--add", made && args.add.is_some()),
        ("--remove", made && args.remove.is_some()),
        ("--compact", made && args.compact),
        ("--export", made && args.export.is_some()),
        ("--checkpoint", !made && args.checkpoint != "best"),
        ("--split", !made && args.split.is_some()),
        ("DATA", !made && args.data.is_some()),
    ];
    if let Some((option, _)) = stray.into_iter().find(|(_, stray)| *stray) {
        let why = match (made, option) {
            (true, _) => "changes an index that is there, but --out makes a new one: leave one of them out",
            (false, "DATA") => "an index that is there takes pictures with --add; a new one needs --out",
            (false, _) => "is for a new index: give --out, or leave it out",
        };
        return Err(source::usage(option, why.to_owned()));
    }
    if !made && !args.from.join("index.json").is_file() {
        let cure = "make one with: npair index RUN photos/ --out DIR";
        return Err(source::usage("INDEX", format!("{} is no index; {cure}", args.from.display())));
    }
    Ok(())
}

/// Pictures, or vectors, of which rows are made.
struct Embedded {
    vectors: Vectors,
    thumbnails: Vec<Vec<u8>>,
}

impl Embedded {
    /// Of one side of a model's examples.
    fn of(loaded: &source::Loaded, side: &str, thumbnails: bool) -> Result<Self> {
        let Splits { notes, .. } = &loaded.splits;
        notes.iter().for_each(|note| warn!("note: {note}"));
        let side = loaded.splits.named(side)?;
        let vectors = embedded::plain(loaded.model.as_ref(), side.as_ref())?;
        let small = |pictures: &dyn Dataset| thumbnails_of(pictures);
        let thumbnails = side.pictures().filter(|_| thumbnails).map(small).transpose()?.unwrap_or_default();
        Ok(Self { vectors, thumbnails })
    }

    /// The rows to be added, now: of their folders' classes, or all of one.
    fn rows<'a>(&'a self, enrolled: Option<&'a str>) -> Vec<NewRow<'a>> {
        let added = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let of_folder = |at: usize| self.vectors.classes.get(at).map(String::as_str).filter(|class| !class.is_empty());
        let class = |at: usize| enrolled.or(of_folder(at));
        let row = |at: usize| NewRow {
            path: &self.vectors.names[at],
            class: class(at),
            added,
            thumbnail: self.thumbnails.get(at).map(Vec::as_slice),
        };
        (0..self.vectors.names.len()).map(row).collect()
    }

    fn add_to(&self, index: &mut Index, enrolled: Option<&str>) -> Result<npair_index::Added> {
        let rows = self.rows(enrolled);
        let mut seen = HashSet::new();
        if let Some(twice) = rows.iter().find(|row| !seen.insert(row.path)) {
            return Err(source::usage(
                "DATA",
                format!("{} is there twice: an index has every picture once", twice.path),
            ));
        }
        Ok(index.add(&rows, Rows::new(&self.vectors.values, self.vectors.width)?)?)
    }
}

fn thumbnails_of(pictures: &dyn Dataset) -> Result<Vec<Vec<u8>>> {
    let bar = progress::bar(pictures.len() as u64, "thumbnails");
    let one = |i: usize| {
        let small = pictures.load(ExampleId(i))?.thumbnail(THUMBNAIL);
        bar.inc(1);
        small
    };
    let all = (0..pictures.len()).into_par_iter().map(one).collect::<npair_data::Result<_>>()?;
    bar.finish_and_clear();
    Ok(all)
}

fn make(args: &Args, out: &Path, device: Device, json: bool) -> Result<()> {
    check_free(&[out.to_owned()], false)?;
    let open = if args.split.is_some() { source::load } else { source::load_all };
    let loaded = open(&args.from, &args.checkpoint, args.data.as_deref(), &args.sets, device)?;
    let embedded = Embedded::of(&loaded, args.split.as_deref().unwrap_or("all"), !args.no_thumbnails)?;
    let asked = Asked { folder: &args.from, checkpoint: &args.checkpoint, far: args.far, device };
    let learned = asked.find(&loaded.config)?;
    let measure = loaded.config.evaluation.measure;
    let mut index = Index::create(out, IndexSettings::new(embedded.vectors.width, measure))?;
    index.set_model(&source::model_folder(&args.from, &args.checkpoint)?)?;
    index.set_verifier(learned.map(|learned| learned.verifier))?;
    embedded.add_to(&mut index, None)?;
    match refined::trials(&args.from, &args.checkpoint, device) {
        Ok(trials) => index.set_trials(trials)?,
        Err(error) => {
            warn!("note: query expansion and re-ranking were not tried on the run's validation split: {error:#}")
        }
    }
    if args.approximate {
        graph(&mut index, json)?;
    }
    show(&index, json)
}

fn change(args: &Args, device: Device, json: bool) -> Result<()> {
    let mut index = Index::open(&args.from)?;
    if let Some(list) = &args.remove {
        let gone = removed(&mut index, list)?;
        report(json, "removed", gone, || format!("{gone} rows removed"));
    }
    if let Some(data) = &args.add {
        let loaded = source::load_all(&model_of(&index)?, "best", Some(data), &args.sets, device)?;
        let added = Embedded::of(&loaded, "all", !args.no_thumbnails)?.add_to(&mut index, args.class.as_deref())?;
        let (new, replaced) = (added.ids.len(), added.replaced.len());
        report(json, "added", new, || format!("{new} rows added, of which {replaced} replaced what was there"));
    }
    if args.compact {
        index.compact()?;
    }
    if args.approximate {
        graph(&mut index, json)?;
    }
    if let Some(file) = &args.export {
        exported(&index, file, args.force)?;
    }
    show(&index, json)
}

/// The folder of an index's own network.
pub fn model_of(index: &Index) -> Result<PathBuf> {
    index.model().ok_or_else(|| {
        let why = format!("{} was made without a model: give vectors instead of pictures", index.folder().display());
        source::usage("INDEX", why)
    })
}

fn report(json: bool, what: &str, number: usize, text: impl FnOnce() -> String) {
    match json {
        true => say!("{}", serde_json::json!({ "kind": what, "rows": number })),
        false => say!("{}", text()),
    }
}

/// Takes rows out: those of a class (`class=NAME`), or whose paths stand in a file, a line or the column `path` of a CSV each.
fn removed(index: &mut Index, list: &str) -> Result<usize> {
    if let Some(class) = list.strip_prefix("class=") {
        return Ok(index.remove(RowFilter::Class(class))?.len());
    }
    let wrong = |why: String| source::usage("--remove", why);
    let text = std::fs::read_to_string(list)
        .map_err(|e| wrong(format!("{list}: {e}; give class=NAME, or a file of paths")))?;
    let listed = paths_in(&text);
    let paths: Vec<&str> = listed.iter().map(String::as_str).collect();
    if let Some(unknown) = paths.iter().find(|path| index.find(path).is_none()) {
        return Err(wrong(format!(
            "{unknown} ({list}) is no path of the index; see them with: npair index DIR --export rows.parquet"
        )));
    }
    Ok(index.remove(RowFilter::Paths(&paths))?.len())
}

/// Paths in a text: a line each, or the column `path` (or `name`, `file`) of a CSV.
fn paths_in(text: &str) -> Vec<String> {
    let mut table = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let heads = table.headers().cloned().unwrap_or_default();
    match heads.iter().position(|head| matches!(head.to_lowercase().as_str(), "path" | "name" | "file")) {
        Some(column) => table.records().flatten().filter_map(|row| row.get(column).map(str::to_owned)).collect(),
        None => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect(),
    }
}

/// Builds the graph of approximate search, and says how often it finds what an exact search does.
fn graph(index: &mut Index, json: bool) -> Result<()> {
    let report = progress::told(|tell| {
        tell("the graph of approximate search".to_owned());
        index.build_graph(GraphSettings::default())
    })?;
    if json {
        say!("{}", serde_json::json!({ "kind": "graph", "recall@10": report.recall_at_10 }));
    } else {
        say!("approximate search finds {:.4} of the ten nearest that an exact one does", report.recall_at_10);
    }
    Ok(())
}

/// Rows as other programs read them, by the ending of the file.
fn exported(index: &Index, file: &Path, force: bool) -> Result<()> {
    let form = match file.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
        Some("parquet") => Export::Parquet,
        Some("sql") => Export::Sql { table: "embeddings" },
        _ => {
            let why = format!("{} is no known form: end it in .parquet, or in .sql for pgvector", file.display());
            return Err(source::usage("--export", why));
        }
    };
    check_free(&[file.to_owned()], force)?;
    Ok(index.export(form, file)?)
}

/// What an index is.
fn show(index: &Index, json: bool) -> Result<()> {
    let classes: HashSet<&str> = index.rows().iter().filter_map(|row| row.class.as_deref()).collect();
    if json {
        let verifier = index.verifier();
        let facts = serde_json::json!({ "kind": "index", "folder": index.folder(), "rows": index.len(), "width": index.width(),
            "classes": classes.len(), "measure": index.measure().to_string(), "verifier": verifier, "trials": index.trials() });
        say!("{facts}");
        return Ok(());
    }
    say!(
        "{}: {} rows of width {}, {} classes, compared by {}",
        index.folder().display(),
        index.len(),
        index.width(),
        classes.len(),
        index.measure()
    );
    match index.verifier().map(|verifier| verifier.threshold(Verifier::USUAL)) {
        Some(Ok(usual)) => {
            say!("a match from {:.4} on, at a false accept rate of {}", usual.threshold, percent(usual.far))
        }
        _ => say!(
            "no thresholds: the run of its model had no validation split with pairs of one class to learn them from"
        ),
    }
    refined::all(index).iter().for_each(|line| say!("{line}"));
    Ok(())
}
