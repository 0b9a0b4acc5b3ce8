use crate::args::Settings;
use anyhow::Result;
use npair_train::config::DataSource;
use npair_train::{Config, Device, Error, Run, Sides, Which, predictor_on};
use std::path::{Path, PathBuf};

/// The configuration of a new run.
pub fn config(settings: &Settings, data: Option<&str>) -> Result<Config> {
    let mut config = Config::read(settings.config.as_deref(), &settings.sets)?;
    if let Some(data) = data {
        config.data.source = data_source("--data", data)?;
    }
    if let Some(seed) = settings.seed {
        config.seed = seed;
    }
    Ok(config)
}

/// A source as it is written on the command line; `setting` is what it was given as.
pub fn data_source(setting: &'static str, text: &str) -> Result<DataSource> {
    DataSource::parse(text).map_err(|why| usage(setting, why))
}

/// A trained network and the pipeline that goes with it.
pub struct Model {
    pub config: Config,
    pub net: npair_backbones::EmbeddingNet,
    pub pipeline: npair_data::Pipeline,
}

/// A trained network, the pipeline that goes with it, and pictures for it.
pub struct Loaded {
    pub config: Config,
    pub net: npair_backbones::EmbeddingNet,
    pub pipeline: npair_data::Pipeline,
    pub sides: Sides,
}

/// Opens a run (or a bare model folder, which then needs `data`) and the pictures to use it on.
pub fn load(folder: &Path, checkpoint: &str, data: Option<&str>, sets: &[String], device: Device) -> Result<Loaded> {
    if is_model(folder) && data.is_none() {
        return Err(usage("--data", "a model folder knows no pictures: give some".to_owned()));
    }
    let Model { mut config, net, pipeline } = load_model(folder, checkpoint, sets, device)?;
    if let Some(data) = data {
        let source = data_source("--data", data)?;
        if source != config.data.source {
            // Parts and split were those of other pictures: of these, everything is there to be used.
            config.data =
                npair_train::config::DataConfig { source, skip_bad: config.data.skip_bad, ..Default::default() };
        }
    }
    let sides = Sides::open(&config, &pipeline)?;
    Ok(Loaded { config, net, pipeline, sides })
}

/// Opens a run or a bare model folder; the network computes on the device.
pub fn load_model(folder: &Path, checkpoint: &str, sets: &[String], device: Device) -> Result<Model> {
    let which = match checkpoint {
        "best" => Which::Best,
        "last" => Which::Last,
        other => return Err(usage("--checkpoint", format!("`{other}` is neither best nor last"))),
    };
    let (mut config, model): (Config, PathBuf) = if is_model(folder) {
        (Config::default(), folder.to_owned())
    } else {
        let run = Run::open(folder)?;
        (run.config()?, run.checkpoint(which)?)
    };
    if !sets.is_empty() {
        config = Config::parse("config.toml", &config.to_toml()?, sets)?;
    }
    let (net, pipeline) = predictor_on(device, &model)?;
    Ok(Model { config, net, pipeline })
}

/// Whether a folder is a model's and no run's.
fn is_model(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

pub fn usage(setting: &'static str, why: String) -> anyhow::Error {
    Error::Setting { setting, why }.into()
}
