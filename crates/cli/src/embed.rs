use crate::args::Embed;
use crate::{embedded, source};
use anyhow::Result;
use npair_evaluate::{Vectors, check_free};
use npair_recipe::Device;

pub fn run(args: &Embed, device: Device, json: bool) -> Result<()> {
    let files = Vectors::files(&args.out).map_err(|error| source::usage("--out", error.to_string()))?;
    check_free(&files, args.force)?;
    source::only(
        &args.sets,
        &[&["tta", "data.skip_bad", "data.cache_mib", source::VIEWS][..], &source::SPLITTING].concat(),
    )?;
    let open = if args.split.is_some() { source::load } else { source::load_all };
    let loaded = open(&args.run, &args.checkpoint, args.data.as_deref(), &args.sets, device)?;
    loaded.splits.notes.iter().for_each(|note| warn!("note: {note}"));
    let side = loaded.splits.named(args.split.as_deref().unwrap_or("all"))?;
    let vectors = embedded::as_asked(&loaded.config, loaded.model.as_ref(), side.as_ref())?;
    let written = vectors.write(&args.out)?;
    let rows = vectors.values.len() / vectors.width;
    if json {
        say!("{}", serde_json::json!({ "rows": rows, "width": vectors.width, "files": written }));
    } else {
        let files: Vec<String> = written.iter().map(|p| p.display().to_string()).collect();
        say!("{rows} embeddings of width {} in {}", vectors.width, files.join(", "));
    }
    Ok(())
}
