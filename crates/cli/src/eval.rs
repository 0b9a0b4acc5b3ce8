use crate::args::Eval;
use crate::{progress, source, table};
use anyhow::Result;
use npair_backbones::EmbeddingModel;
use npair_evaluate::protocol::Protocol;
use npair_evaluate::{
    Inputs, Scores, TestTimeAugmentation, Vectors, embed, judge, judge_known, neighbor_grid, write_file,
};
use npair_recipe::{Config, Device};
use npair_types::Streams;

pub fn run(args: &Eval, device: Device, json: bool) -> Result<()> {
    let mut sets = args.sets.clone();
    sets.extend(args.measure.iter().map(|m| format!("evaluation.measure={m}")));
    let scores = match (&args.run, &args.embeddings) {
        (Some(folder), _) => match &args.protocol {
            Some(protocol) => by_protocol(protocol, folder, args, &sets, device)?,
            None => of_run(folder, args, &sets, device)?,
        },
        (None, Some(file)) => {
            let config = Config::read(None, &sets)?;
            let mut vectors = Vectors::read(file)?;
            if let Some(labels) = &args.labels {
                vectors.label_from(labels)?;
            }
            let name = file.display().to_string();
            let (n, streams) = (config.batch.classes, Streams::new(config.seed));
            progress::told(|tell| judge(&name, &vectors.labeled()?, &config.evaluation, n, streams, tell))?
        }
        (None, None) => return Err(source::usage("RUN", "give a run's folder, or --embeddings".to_owned())),
    };
    if json {
        println!("{}", serde_json::to_string(&scores)?);
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
    let side = splits.named(&args.split)?.as_ref();
    let rows = embedded(config, model.as_ref(), side)?;
    let (n, streams) = (config.batch.classes, Streams::new(config.seed));
    if let Some(path) = &args.grid {
        let pictures =
            side.pictures().ok_or_else(|| source::usage("--grid", "there are no pictures to show".to_owned()))?;
        write_file(path, &neighbor_grid(pictures, &rows, config.evaluation.measure, 10, 10)?)?;
    }
    let scores = if matches!(args.split.as_str(), "seen" | "known") {
        let gallery = embedded(config, model.as_ref(), splits.gallery.as_ref())?.labeled()?;
        judge_known(side.name(), &gallery, &rows.labeled()?, &config.evaluation, n, streams)
    } else {
        progress::told(|tell| judge(side.name(), &rows.labeled()?, &config.evaluation, n, streams, tell))
    };
    let mut scores = scores?;
    if args.split == "test" && splits.search.is_some() {
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
        return Ok(protocol.judge_split(splits, &args.split, embed, &config.evaluation, Streams::new(config.seed))?);
    }
    let source::Model { config, model, pipeline } = &source::load_model(folder, &args.checkpoint, sets, device)?;
    let Some(pipeline) = pipeline else {
        return Err(source::usage("--protocol", "is one of pictures, but the model takes vectors".to_owned()));
    };
    let embed = &mut |inputs: &dyn Inputs| embedded(config, model.as_ref(), inputs);
    Ok(protocol.judge(pipeline, embed, &config.evaluation, Streams::new(config.seed))?)
}
