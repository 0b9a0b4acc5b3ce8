//! npair's side of loading in `benches/peers/loader_rounds.py`: all pictures of a folder on one thread, timed on request. The
//! conversation is that of `benches/peers/protocol.py`.
#![forbid(unsafe_code)]

use clap::Parser;
use npair_benches::{Result, serve};
use npair_data::{AugmentConfig, Dataset, ImageFolder, Pipeline, PipelineConfig};
use npair_types::{ExampleId, Purpose, Streams};
use serde_json::json;
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    /// A folder per class, as `loader.py --make` writes it
    folder: PathBuf,
    /// Height and width of the result
    #[arg(long, default_value_t = 224)]
    size: u32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let data = ImageFolder::open(&args.folder)?;
    let photos = PipelineConfig::photos(args.size);
    let strong = PipelineConfig::photos_strong(args.size);
    let crops = AugmentConfig { resized_crop: strong.augment.resized_crop, flip: 0.5, ..AugmentConfig::default() };
    let [usual, strong, crops] =
        [photos.clone(), strong, PipelineConfig { augment: crops, ..photos }].map(Pipeline::new);
    let (usual, strong, crops) = (usual?, strong?, crops?);
    let mut out = vec![0f32; usual.num_values()];
    let mut pass = 0;
    let about = json!({ "pictures": data.len() });
    serve("loader", about, move |request| {
        let pipeline = match request {
            "decode" | "evaluate" => &usual,
            "crops" => &crops,
            "strong" => &strong,
            _ => return Ok(None),
        };
        pass += 1;
        for id in (0..data.len()).map(ExampleId) {
            let picture = data.load(id)?;
            match request {
                "decode" => {}
                "evaluate" => pipeline.evaluate(&picture, &mut out)?,
                _ => {
                    let mut rng = Streams::new(1).open(Purpose::Augmentation, [pass, id.0 as u64]);
                    pipeline.augment(&picture, &mut rng, &mut out)?;
                }
            }
        }
        Ok(Some(()))
    })
}
