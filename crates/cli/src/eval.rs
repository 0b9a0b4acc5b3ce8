use crate::args::Eval;
use crate::{progress, source, table};
use anyhow::Result;
use npair_backbones::EmbeddingModel;
use npair_evaluate::protocol::Protocol;
use npair_evaluate::{
    Inputs, Scores, TestTimeAugmentation, Vectors, check_free, embed, judge, judge_known, neighbor_grid,
    read_embeddings, write_file,
};
use npair_recipe::{Config, Device};
use npair_types::Streams;

pub fn run(args: &Eval, device: Device, json: bool) -> Result<()> {
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
    source::only(&args.sets, &known)?;
    let mut sets = args.sets.clone();
    sets.extend(args.measure.iter().map(|m| format!("evaluation.measure={m}")));
    let scores = match (&args.run, &args.embeddings) {
        (Some(folder), _) => match &args.protocol {
            Some(protocol) => by_protocol(protocol, folder, args, &sets, device)?,
            None => of_run(folder, args, &sets, device)?,
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
    if json {
        say!("{}", serde_json::to_string(&scores)?);
    } else {
        table::print(&scores);
    }
    Ok(())
}

/// The embeddings of inputs, as the settings ask for.
fn embedded(config: &Config, model: &dyn EmbeddingModel, inputs: &dyn Inputs) -> npair_evaluate::Result<Vectors> {
    let how = TestTimeAugmentation::of(config.tta, Streams::new(config.seed))?;
    let bar = progress::bar(inputs.len() as u64, "embed");
    let vectors = embed(model, inputs, how, &mut |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    vectors
}

fn of_run(folder: &std::path::Path, args: &Eval, sets: &[String], device: Device) -> Result<Scores> {
    let loaded = source::load(folder, &args.checkpoint, args.data.as_deref(), sets, device)?;
    let source::Loaded { config, model, splits } = &loaded;
    let split = args.split.as_deref().unwrap_or(splits.usual());
    let side = splits.named(split)?.as_ref();
    let rows = embedded(config, model.as_ref(), side)?;
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
    Ok(scores)
}

fn by_protocol(
    protocol: &str,
    folder: &std::path::Path,
    args: &Eval,
    sets: &[String],
    device: Device,
) -> Result<Scores> {
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
