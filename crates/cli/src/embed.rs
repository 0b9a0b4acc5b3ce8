use crate::args::Embed;
use crate::launched::Launched;
use crate::{embedded, source};
use anyhow::Result;
use npair_evaluate::{OtherPart, PartFile, Vectors, check_free};
use npair_recipe::Device;

pub fn run(args: &Embed, launched: &Launched, device: Option<Device>, json: bool) -> Result<()> {
    let device = launched.device(device);
    let ranks = launched.ranks(device)?;
    let ranks = ranks.as_deref();
    let files = Vectors::files(&args.out).map_err(|error| source::usage("--out", error.to_string()))?;
    let leads = ranks.is_none_or(|ranks| ranks.rank() == 0);
    if leads {
        check_free(&files, args.force || PartFile::is_placing(&args.out))?;
    }
    source::only(
        &args.sets,
        &[&["tta", "data.skip_bad", "data.cache_mib", source::VIEWS][..], &source::SPLITTING].concat(),
    )?;
    let open = if args.split.is_some() { source::load } else { source::load_all };
    let loaded = open(
        &args.run,
        &args.checkpoint,
        args.data.as_deref(),
        &source::looked_at_once(&args.sets),
        device.unwrap_or_default(),
    )?;
    loaded.splits.notes.iter().for_each(|note| warn!("note: {note}"));
    let side = loaded.splits.named(args.split.as_deref().unwrap_or("all"))?;
    let folder = source::model_folder(&args.run, &args.checkpoint)?;
    let job = embedded::job(&loaded.config, (&folder, loaded.model.as_ref()), side.as_ref())?;
    if let Some(ranks) = ranks.filter(|_| !leads) {
        return Ok(job.take_part(ranks)?);
    }
    let other = if args.force { OtherPart::Replace } else { OtherPart::Refuse };
    let mut part = PartFile::open(&args.out, job, other)?;
    embedded::fill(&mut part, side.as_ref(), ranks)?;
    let (rows, width) = (part.rows(), part.width());
    let written = part.place()?;
    if json {
        say!("{}", serde_json::json!({ "rows": rows, "width": width, "files": written }));
    } else {
        let files: Vec<String> = written.iter().map(|p| p.display().to_string()).collect();
        say!("{rows} embeddings of width {width} in {}", files.join(", "));
    }
    Ok(())
}
