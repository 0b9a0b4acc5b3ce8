use crate::args::Embed;
use crate::{progress, source};
use anyhow::Result;
use npair_evaluate::{TestTimeAugmentation, embed};
use npair_recipe::Device;
use npair_types::Streams;

pub fn run(args: &Embed, device: Device, json: bool) -> Result<()> {
    let loaded = source::load(&args.run, &args.checkpoint, args.data.as_deref(), &args.sets, device)?;
    let side = loaded.splits.named(&args.split)?;
    let how = TestTimeAugmentation::of(loaded.config.tta, Streams::new(loaded.config.seed))?;
    let bar = progress::bar(side.len() as u64, "embed");
    let vectors = embed(loaded.model.as_ref(), side.as_ref(), how, &mut |n| bar.set_position(n as u64))?;
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
