use crate::args::Eval;
use crate::{progress, source, table};
use anyhow::{Context, Result};
use npair_train::protocol::Protocol;
use npair_train::{
    Config, Device, Scores, Side, Vectors, Views, embed, judge, judge_known, neighbour_sheet, read_labels,
};
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
                vectors.labels = Some(read_labels(labels)?);
            }
            let name = file.display().to_string();
            let (n, streams) = (config.batch.classes, Streams::new(config.seed));
            progress::told(|tell| judge(&name, &vectors.labelled()?, &config.evaluation, n, streams, tell))?
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

fn of_run(folder: &std::path::Path, args: &Eval, sets: &[String], device: Device) -> Result<Scores> {
    let loaded = source::load(folder, &args.checkpoint, args.data.as_deref(), sets, device)?;
    let source::Loaded { config, net, pipeline, sides } = &loaded;
    let views = Views::of(&config.evaluation, Streams::new(config.seed))?;
    let vectors = |side: &Side| -> Result<Vectors> {
        let bar = progress::bar(side.len() as u64, "embed");
        let vectors = embed(net, side.as_ref(), pipeline, views, &mut |n| bar.set_position(n as u64));
        bar.finish_and_clear();
        Ok(vectors?)
    };
    let side = sides.named(&args.split)?;
    let rows = vectors(side)?;
    let (n, streams) = (config.batch.classes, Streams::new(config.seed));
    if let Some(path) = &args.sheet {
        let png = neighbour_sheet(side.as_ref(), &rows, config.evaluation.measure, 10, 10)?;
        std::fs::write(path, png).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let scores = if args.split == "known" {
        let gallery = vectors(&sides.gallery)?.labelled()?;
        judge_known(side.name(), &gallery, &rows.labelled()?, &config.evaluation, n, streams)
    } else {
        progress::told(|tell| judge(side.name(), &rows.labelled()?, &config.evaluation, n, streams, tell))
    };
    let mut scores = scores?;
    if args.split == "test" && sides.search.is_some() {
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
    let embedded = |config: &Config, net: &_, pipeline: &_, side: &Side| {
        let views = Views::of(&config.evaluation, Streams::new(config.seed))?;
        let bar = progress::bar(side.len() as u64, "embed");
        let vectors = embed(net, side.as_ref(), pipeline, views, &mut |n| bar.set_position(n as u64));
        bar.finish_and_clear();
        vectors
    };
    let protocol: Protocol = protocol.parse().map_err(|why| source::usage("--protocol", why))?;
    if !protocol.judges_a_split() && args.data.is_some() {
        return Err(source::usage("--data", "this protocol has data of its own: leave --data out".to_owned()));
    }
    if protocol.judges_a_split() {
        let source::Loaded { config, net, pipeline, sides } =
            &source::load(folder, &args.checkpoint, args.data.as_deref(), sets, device)?;
        let embed = &mut |side: &Side| embedded(config, net, pipeline, side);
        return Ok(protocol.judge_split(sides, &args.split, embed, &config.evaluation, Streams::new(config.seed))?);
    }
    let source::Model { config, net, pipeline } = &source::load_model(folder, &args.checkpoint, sets, device)?;
    let embed = &mut |side: &Side| embedded(config, net, pipeline, side);
    Ok(protocol.judge(embed, &config.evaluation, Streams::new(config.seed))?)
}
