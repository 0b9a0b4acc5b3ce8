use crate::args::Eval;
use crate::table::{self, Judged, Verified};
use crate::verifier::{self, Asked};
use crate::{beside, embedded, progress, source};
use anyhow::Result;
use npair_evaluate::protocol::Protocol;
use npair_evaluate::{
    Inputs, PartFile, Scores, Splits, check_free, judge, judge_known, judge_label_sets, neighbor_grid, read_embeddings,
    write_file,
};
use npair_metrics::Embeddings;
use npair_recipe::report::JudgedRun;
use npair_recipe::{Config, Device, Run, Which, label_sets};
use npair_types::Streams;
use std::path::Path;
use std::sync::Arc;

pub fn run(args: &Eval, device: Option<Device>, json: bool) -> Result<()> {
    expect_sensible(args, device)?;
    let device = device.unwrap_or_default();
    let mut sets = args.sets.clone();
    sets.extend(args.measure.iter().map(|m| format!("evaluation.measure={m}")));
    let mut judged = None;
    let scores = match (&args.run, &args.embeddings) {
        (Some(folder), _) => match &args.protocol {
            Some(protocol) => by_protocol(protocol, folder, args, &sets, device)?,
            None => {
                let (scores, of) = of_args(folder, args, &sets, device)?;
                judged = Some(of);
                scores
            }
        },
        (None, Some(file)) => {
            let config = Config::read(None, &sets)?;
            let set = read_embeddings(file, args.labels.as_deref())?;
            let name = file.display().to_string();
            let (n, streams) = (config.batch.classes, Streams::new(config.seed));
            progress::told(|tell| judge(&name, &set, &config.evaluation, n, streams, tell))?
        }
        (None, None) => return Err(source::usage("RUN", "give a run's folder, or --embeddings".to_owned())),
    };
    match (json, judged) {
        (true, None) => say!("{}", serde_json::to_string(&scores)?),
        (true, Some(Judged { checkpoint, step, baselines, verified })) => {
            let mut whole = serde_json::to_value(&scores)?;
            whole["verification"] = serde_json::to_value(verified)?;
            whole["checkpoint"] = serde_json::json!({ "name": checkpoint, "step": step });
            whole["baselines"] = serde_json::to_value(baselines)?;
            say!("{whole}");
        }
        (false, None) => table::print(&scores),
        (false, Some(judged)) => table::print_judged(&scores, &judged),
    }
    Ok(())
}

/// An error for options that do not go together, or would have no effect.
fn expect_sensible(args: &Eval, device: Option<Device>) -> Result<()> {
    if device.is_some() && args.run.is_none() {
        let why = "has no effect on embeddings that are there already: leave it out".to_owned();
        return Err(source::usage("--device", why));
    }
    if args.measure.is_some() && args.sets.iter().any(|set| set.trim_start().starts_with("evaluation.measure")) {
        let why = "and --set evaluation.measure say the same thing: leave one of them out".to_owned();
        return Err(source::usage("--measure", why));
    }
    if let Some(grid) = &args.grid {
        source::expect_png(grid)?;
        check_free(std::slice::from_ref(grid), args.force)?;
    }
    // The parser does not say it: an option that goes with --embeddings is let through beside a run.
    let stray = [
        ("--labels", args.run.is_some() && args.labels.is_some()),
        ("--split", args.run.is_none() && args.split.is_some()),
        ("--data", args.run.is_none() && args.data.is_some()),
        ("--protocol", args.run.is_none() && args.protocol.is_some()),
        ("--grid", args.run.is_none() && args.grid.is_some()),
    ];
    if let Some((option, _)) = stray.into_iter().find(|(_, stray)| *stray) {
        let with = if option == "--labels" { "--embeddings" } else { "a run" };
        return Err(source::usage(option, format!("goes with {with}: leave it out here")));
    }
    let known = match args.run {
        Some(_) => [
            &["evaluation", "tta", "data.skip_bad", "data.cache_mib", "batch.classes", source::VIEWS][..],
            &source::SPLITTING,
        ]
        .concat(),
        None => vec!["evaluation", "batch.classes", "seed"],
    };
    source::only(&args.sets, &known)
}

/// What the command line asks for, of a run.
fn of_args(folder: &Path, args: &Eval, sets: &[String], device: Device) -> Result<(Scores, Judged)> {
    let (data, split) = (args.data.as_deref(), args.split.as_deref());
    let against = if args.no_baselines { Against::Nothing } else { Against::Baselines };
    let part = Part { folder, checkpoint: &args.checkpoint, data, split, far: args.far, against, device };
    let found = of_run(part, sets)?;
    if let Some(path) = &args.grid {
        let pictures =
            found.side.pictures().ok_or_else(|| source::usage("--grid", "there are no pictures to show".to_owned()))?;
        let grid = neighbor_grid(pictures, &found.set, found.config.evaluation.measure, 10, 10)?;
        write_file(path, &grid)?;
    }
    Ok((found.scores, found.judged))
}

/// What of a run is judged.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    folder: &'a Path,
    checkpoint: &'a str,
    data: Option<&'a str>,
    split: Option<&'a str>,
    far: Option<f64>,
    against: Against,
    device: Device,
}

/// What scores are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Guessing, pixels, the network before training.
    Baselines,
    /// Nothing: they are wanted alone, or beside another run.
    Nothing,
}

/// A run's embeddings of a side of some data, and what was found.
struct OfRun {
    config: Config,
    side: Arc<dyn Inputs>,
    set: Embeddings,
    scores: Scores,
    judged: Judged,
}

/// A run judged on a side of its own data, with all that a page shows.
pub fn judged_run(
    folder: &Path,
    checkpoint: &str,
    split: Option<&str>,
    against: Against,
    device: Device,
) -> Result<JudgedRun> {
    let part = Part { folder, checkpoint, data: None, split, far: None, against, device };
    let OfRun { config, side, set, scores, judged } = of_run(part, &[])?;
    let name = folder.display().to_string().trim_end_matches(['/', '\\']).to_owned();
    let Judged { checkpoint, step, baselines, verified } = judged;
    let (folder, verifier) = (folder.to_owned(), verified.map(|verified| verified.learned));
    Ok(JudgedRun { name, folder, config, side, set, checkpoint: (checkpoint, step), scores, baselines, verifier })
}

fn of_run(part: Part<'_>, sets: &[String]) -> Result<OfRun> {
    let sets = match part.against {
        Against::Baselines => sets.to_vec(),
        Against::Nothing => source::looked_at_once(sets),
    };
    let source::Loaded { config, model, splits } =
        source::load(part.folder, part.checkpoint, part.data, &sets, part.device)?;
    let split = part.split.unwrap_or(splits.usual());
    let side = splits.named(split)?.clone();
    let folder = source::model_folder(part.folder, part.checkpoint)?;
    let job = embedded::job(&config, (&folder, model.as_ref()), side.as_ref())?;
    let run = Run::open(part.folder).ok();
    let (set, kept) = match &run {
        Some(run) => embedded::kept(run.folder(), split, job)?,
        None => (embedded::as_asked(&config, model.as_ref(), side.as_ref())?, None),
    };
    let (n, streams) = (config.batch.classes, Streams::new(config.seed));
    let seen = splits.gallery.as_ref().filter(|_| matches!(split, "seen" | "known"));
    let sets = label_sets(&config, side.as_ref());
    let scores = if let Some(sets) = &sets {
        judge_label_sets(side.name(), &set, sets, &config.evaluation, streams)
    } else if let Some(gallery) = seen {
        let gallery = embedded::as_asked(&config, model.as_ref(), gallery.as_ref())?;
        judge_known(side.name(), &gallery, &set, &config.evaluation, n, streams)
    } else {
        progress::told(|tell| judge(side.name(), &set, &config.evaluation, n, streams, tell))
    };
    let mut scores = scores?;
    scores.notes.extend(splits.notes.iter().cloned());
    scores.notes.extend(notes_of(split, &splits));
    let which = if part.checkpoint == "last" { Which::Last } else { Which::Best };
    let step = run.as_ref().and_then(|run| run.step_of(which));
    let mut judged = Judged { checkpoint: part.checkpoint.to_owned(), step, baselines: Vec::new(), verified: None };
    // Seen classes are recognised in a gallery, which is another question.
    if part.against == Against::Baselines && seen.is_none() && scores.get("recall@1").is_some() {
        // A model folder does not tell how its network began.
        let first = run.as_ref().map(|_| part.device);
        judged.baselines = beside::baselines(&config, &side, &set, first, &mut scores.notes)?;
    }
    if seen.is_none() && scores.get("EER").is_some() {
        let asked = Asked { folder: part.folder, checkpoint: part.checkpoint, far: part.far, device: part.device };
        judged.verified = verified(asked, &config, &set, split)?;
        match &judged.verified {
            Some(_) => {}
            None if part.far.is_some() => return Err(no_thresholds("--far")),
            None => scores
                .notes
                .push("no thresholds: there are no pairs of a validation split to learn them from".to_owned()),
        }
    }
    kept.map(PartFile::remove).transpose()?;
    Ok(OfRun { config, side, set, scores, judged })
}

/// What has to be said of scores of a split.
fn notes_of(split: &str, splits: &Splits) -> Option<String> {
    if split == "all" && splits.train.is_some() {
        return Some("among these are the examples that the run was trained on".to_owned());
    }
    (split == "test" && splits.search.is_some()).then(|| {
        "this data has queries apart from a gallery, which these scores mix: judge with --protocol query-gallery"
            .to_owned()
    })
}

/// An error where thresholds are asked for and there is nothing to learn them from.
fn no_thresholds(option: &'static str) -> anyhow::Error {
    let why = "thresholds are learned from pairs of the validation split, and the run has none with two classes: \
               train with data.split.val above 0";
    source::usage(option, why.to_owned())
}

/// What the run's thresholds do on these rows.
fn verified(asked: Asked<'_>, config: &Config, set: &Embeddings, split: &str) -> Result<Option<Verified>> {
    let Some(learned) = asked.find(config)? else { return Ok(None) };
    let rates = verifier::rates_on(&learned.verifier, set, &config.evaluation, Streams::new(config.seed))?;
    Ok(Some(Verified { learned, rates, on_itself: split == "val" }))
}

fn by_protocol(protocol: &str, folder: &Path, args: &Eval, sets: &[String], device: Device) -> Result<Scores> {
    let protocol: Protocol = protocol.parse().map_err(|why| source::usage("--protocol", why))?;
    if !protocol.judges_a_split() && args.data.is_some() {
        return Err(source::usage("--data", "this protocol has data of its own: leave --data out".to_owned()));
    }
    if protocol.judges_a_split() {
        let source::Loaded { config, model, splits } =
            &source::load(folder, &args.checkpoint, args.data.as_deref(), sets, device)?;
        let embed = &mut |inputs: &dyn Inputs| embedded::as_asked(config, model.as_ref(), inputs);
        return Ok(protocol.judge_split(
            splits,
            args.split.as_deref().unwrap_or("test"),
            embed,
            &config.evaluation,
            Streams::new(config.seed),
        )?);
    }
    let source::Model { config, model, pipeline } = &source::load_model(folder, &args.checkpoint, sets, device)?;
    let Some(pipeline) = pipeline else {
        return Err(source::usage("--protocol", "is one of pictures, but the model takes vectors".to_owned()));
    };
    let embed = &mut |inputs: &dyn Inputs| embedded::as_asked(config, model.as_ref(), inputs);
    Ok(protocol.judge(pipeline, embed, &config.evaluation, Streams::new(config.seed))?)
}
