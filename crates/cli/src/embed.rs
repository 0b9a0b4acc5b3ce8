use crate::args::Embed;
use crate::{progress, source};
use anyhow::Result;
use npair_evaluate::{TestTimeAugmentation, Vectors, check_free, embed};
use npair_recipe::Device;
use npair_types::Streams;

pub fn run(args: &Embed, device: Device, json: bool) -> Result<()> {
    let files = Vectors::files(&args.out).map_err(|error| source::usage("--out", error.to_string()))?;
    check_free(&files, args.force)?;
    source::only(&args.sets, &[&["tta", "data.skip_bad", "data.cache_mib"][..], &source::SPLITTING].concat())?;
    let open = if args.split.is_some() { source::load } else { source::load_all };
    let loaded = open(&args.run, &args.checkpoint, args.data.as_deref(), &args.sets, device)?;
    loaded.splits.notes.iter().for_each(|note| warn!("note: {note}"));
    let side = loaded.splits.named(args.split.as_deref().unwrap_or("all"))?;
    let how = TestTimeAugmentation::of(loaded.config.tta, Streams::new(loaded.config.seed))?;
    let bar = progress::bar(side.len() as u64, "embed");
    let vectors = embed(loaded.model.as_ref(), side.as_ref(), how, &mut |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
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
