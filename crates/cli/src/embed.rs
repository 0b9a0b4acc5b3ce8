use crate::args::Embed;
use crate::{progress, source};
use anyhow::Result;
use npair_train::{Device, Views, embed};
use npair_types::Streams;

pub fn run(args: &Embed, device: Device, json: bool) -> Result<()> {
    let loaded = source::load(&args.run, &args.checkpoint, args.data.as_deref(), &args.sets, device)?;
    let side = loaded.sides.named(&args.split)?;
    let views = Views::of(&loaded.config.evaluation, Streams::new(loaded.config.seed))?;
    let bar = progress::bar(side.len() as u64, "embed");
    let vectors = embed(&loaded.net, side.as_ref(), &loaded.pipeline, views, &mut |n| bar.set_position(n as u64))?;
    bar.finish_and_clear();
    let written = vectors.write(&args.out)?;
    let rows = vectors.values.len() / vectors.width;
    if json {
        println!("{}", serde_json::json!({ "rows": rows, "width": vectors.width, "files": written }));
    } else {
        let files: Vec<String> = written.iter().map(|p| p.display().to_string()).collect();
        println!("{rows} embeddings of width {} in {}", vectors.width, files.join(", "));
    }
    Ok(())
}
