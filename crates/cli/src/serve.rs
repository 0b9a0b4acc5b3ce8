//! A page and a JSON API over an index.

use crate::args::Serve as Args;
use crate::index::model_of;
use crate::source;
use anyhow::Result;
use candle_core::{Device as Place, Tensor};
use npair_backbones::{EmbeddingModel, Mode};
use npair_data::{Picture, Pipeline};
use npair_index::Index;
use npair_recipe::Device;
use npair_serve::{Embedder, ServeSettings, stopper};
use std::net::SocketAddr;
use std::sync::Arc;

/// The longest side of a thumbnail, in pixels.
const THUMBNAIL: u32 = 96;

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    let index = Index::open(&args.index)?;
    let source::Model { model, pipeline, .. } = source::load_model(&model_of(&index)?, "best", &[], device)?;
    let pipeline = pipeline
        .ok_or_else(|| source::usage("INDEX", "its model takes vectors, but the page takes pictures".to_owned()))?;
    let settings = ServeSettings {
        address: args.address,
        hosts: args.host.clone(),
        writable: args.writable,
        token: args.token.clone(),
        far: args.far,
        ..ServeSettings::default()
    };
    let network = Arc::new(Network { model, pipeline });
    let (stop, stopped) = stopper();
    ctrlc::set_handler(move || stop.stop())?;
    let listens = |address: SocketAddr| match json {
        true => say!("{}", serde_json::json!({ "address": address.to_string(), "rows_may_change": args.writable })),
        false => say!("http://{address} (Ctrl-C ends it; the API: http://{address}/api/openapi.json)"),
    };
    npair_serve::run(index, network, settings, listens, stopped).map_err(unfit)
}

/// A setting that does not fit is a wrong option.
fn unfit(error: npair_serve::Error) -> anyhow::Error {
    match error {
        npair_serve::Error::Setting { .. } | npair_serve::Error::Open { .. } => {
            source::usage("serve", error.to_string())
        }
        other => other.into(),
    }
}

/// The index's own network.
struct Network {
    model: Box<dyn EmbeddingModel>,
    pipeline: Pipeline,
}

impl Network {
    fn vector(&self, picture: &Picture) -> Result<Vec<f32>> {
        let mut values = vec![0f32; self.pipeline.num_values()];
        self.pipeline.evaluate(picture, &mut values)?;
        let [c, h, w] = self.pipeline.shape();
        let pixels = Tensor::from_vec(values, (1, c, h, w), &Place::Cpu)?.to_device(&self.model.device())?;
        Ok(self.model.forward(&pixels, &Mode::Eval)?.flatten_all()?.to_device(&Place::Cpu)?.to_vec1()?)
    }
}

impl Embedder for Network {
    fn embed(&self, picture: &[u8]) -> std::result::Result<Vec<f32>, String> {
        let picture = Picture::decode(picture, "the picture").map_err(|e| e.to_string())?;
        self.vector(&picture).map_err(|e| format!("{e:#}"))
    }

    fn thumbnail(&self, picture: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let picture = Picture::decode(picture, "the picture").map_err(|e| e.to_string())?;
        picture.thumbnail(THUMBNAIL).map_err(|e| e.to_string())
    }
}
