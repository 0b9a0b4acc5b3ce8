use crate::args::Eval;
use crate::table::{self, Judged};
use crate::{progress, source};
use anyhow::Result;
use npair_backbones::EmbeddingModel;
use npair_evaluate::protocol::Protocol;
use npair_evaluate::{
    Baseline, Inputs, Scores, TestTimeAugmentation, Vectors, check_free, embed, judge, judge_known, neighbor_grid,
    read_embeddings, write_file,
};
use npair_recipe::{Config, Device, Run, Which};
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
                let (scores, of) = of_run(folder, args, &sets, device)?;
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
        (true, Some(Judged { checkpoint, step, baselines })) => {
            let mut whole = serde_json::to_value(&scores)?;
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
        Some(_) => [&["evaluation", "tta", "data.skip_bad", "data.cache_mib", "batch.classes"][..], &source::SPLITTING]
            .concat(),
        None => vec!["evaluation", "batch.classes", "seed"],
    };
    source::only(&args.sets, &known)
}

/// The embeddings of inputs, as the settings ask for.
fn embedded(config: &Config, model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> npair_evaluate::Result<Vectors> {
    let how = TestTimeAugmentation::of(config.tta, Streams::new(config.seed))?;
    let bar = progress::bar(inputs.len() as u64, "embed");
    let vectors = embed(model, inputs, how, &mut |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    vectors
}

fn of_run(folder: &Path, args: &Eval, sets: &[String], device: Device) -> Result<(Scores, Judged)> {
    let loaded = source::load(folder, &args.checkpoint, args.data.as_deref(), sets, device)?;
    let source::Loaded { config, model, splits } = &loaded;
    let split = args.split.as_deref().unwrap_or(splits.usual());
    let side = splits.named(split)?;
    let rows = embedded(config, model.as_ref(), side.as_ref())?;
    let (n, streams) = (config.batch.classes, Streams::new(config.seed));
    if let Some(path) = &args.grid {
        let pictures =
            side.pictures().ok_or_else(|| source::usage("--grid", "there are no pictures to show".to_owned()))?;
        write_file(path, &neighbor_grid(pictures, &rows, config.evaluation.measure, 10, 10)?)?;
    }
    let seen = splits.gallery.as_ref().filter(|_| matches!(split, "seen" | "known"));
    let scores = if let Some(gallery) = seen {
        let gallery = embedded(config, model.as_ref(), gallery.as_ref())?.labeled()?;
        judge_known(side.name(), &gallery, &rows.labeled()?, &config.evaluation, n, streams)
    } else {
        progress::told(|tell| judge(side.name(), &rows.labeled()?, &config.evaluation, n, streams, tell))
    };
    let mut scores = scores?;
    scores.notes.extend(splits.notes.iter().cloned());
    if split == "all" && splits.train.is_some() {
        scores.notes.push("among these are the examples that the run was trained on".to_owned());
    }
    if split == "test" && splits.search.is_some() {
        let why =
            "this data has queries apart from a gallery, which these scores mix: judge with --protocol query-gallery";
        scores.notes.push(why.to_owned());
    }
    let which = if args.checkpoint == "last" { Which::Last } else { Which::Best };
    let run = Run::open(folder).ok();
    let step = run.as_ref().and_then(|run| run.step_of(which));
    let mut judged = Judged { checkpoint: args.checkpoint.clone(), step, baselines: Vec::new() };
    // Seen classes are recognised in a gallery, which is another question.
    if !args.no_baselines && seen.is_none() && scores.get("recall@1").is_some() {
        judged.baselines = baselines(config, side)?;
        // A model folder does not tell how its network began.
        if run.is_some() {
            match first_network(&Config { device, ..config.clone() }, side) {
                Ok(first) => judged.baselines.push(first),
                Err(error) => scores.notes.push(format!("the network before training is left out: {error:#}")),
            }
        }
    }
    Ok((scores, judged))
}

/// What the scores of a split are held against.
fn baselines(config: &Config, side: &Arc<dyn Inputs>) -> Result<Vec<Baseline>> {
    let streams = Streams::new(config.seed);
    let mut found = vec![Baseline::chance(side.labels())];
    if let Some(pictures) = side.pictures() {
        found.extend(progress::told(|tell| {
            tell("pixels".to_owned());
            Baseline::pixels(pictures, config.images().channels, streams)
        })?);
    }
    Ok(found)
}

/// The scores of the network as it was before training.
fn first_network(config: &Config, side: &Arc<dyn Inputs>) -> Result<Baseline> {
    let (name, rows) = progress::told(|tell| {
        tell("the network as it was before training".to_owned());
        npair_recipe::first_embeddings(config, side)
    })?;
    Ok(Baseline::of_embeddings(name, &rows.labeled()?, Streams::new(config.seed))?)
}

fn by_protocol(protocol: &str, folder: &Path, args: &Eval, sets: &[String], device: Device) -> Result<Scores> {
    let protocol: Protocol = protocol.parse().map_err(|why| source::usage("--protocol", why))?;
    if !protocol.judges_a_split() && args.data.is_some() {
        return Err(source::usage("--data", "this protocol has data of its own: leave --data out".to_owned()));
    }
    if protocol.judges_a_split() {
        let source::Loaded { config, model, splits } =
            &source::load(folder, &args.checkpoint, args.data.as_deref(), sets, device)?;
        let embed = &mut |inputs: &dyn Inputs| embedded(config, model.as_ref(), inputs);
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
    let embed = &mut |inputs: &dyn Inputs| embedded(config, model.as_ref(), inputs);
    Ok(protocol.judge(pipeline, embed, &config.evaluation, Streams::new(config.seed))?)
}
