use crate::args::Settings;
use anyhow::Result;
use npair_backbones::EmbeddingModel;
use npair_data::Pipeline;
use npair_evaluate::{Predictor, Splits};
use npair_recipe::config::{DataConfig, DataSource};
use npair_recipe::{Config, Device, Error, Run, Which, open_splits};
use std::path::{Path, PathBuf};

/// The configuration of a new run.
pub fn config(settings: &Settings, data: Option<&str>) -> Result<Config> {
    let (mut config, notes) = Config::read_noting(settings.config.as_deref(), &settings.sets)?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
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

/// A trained model, and the settings that it was trained by.
pub struct Model {
    pub config: Config,
    pub model: Box<dyn EmbeddingModel>,
    /// None for a model of vectors.
    pub pipeline: Option<Pipeline>,
}

/// A trained model, and examples for it.
pub struct Loaded {
    pub config: Config,
    pub model: Box<dyn EmbeddingModel>,
    pub splits: Splits,
}

/// Opens a run (or a bare model folder, which then needs `data`) and the examples to use it on.
pub fn load(folder: &Path, checkpoint: &str, data: Option<&str>, sets: &[String], device: Device) -> Result<Loaded> {
    if is_model(folder) && data.is_none() {
        return Err(usage("--data", "a model folder knows no pictures: give some".to_owned()));
    }
    let Model { mut config, model, pipeline } = load_model(folder, checkpoint, sets, device)?;
    if let Some(data) = data {
        let source = data_source("--data", data)?;
        if source != config.data.source {
            // Parts and split were those of other data: of these, everything is there to be used.
            config.data = DataConfig { source, skip_bad: config.data.skip_bad, ..Default::default() };
        }
    }
    if pipeline.is_none() != config.data.source.is_vectors() {
        let [takes, are] = if pipeline.is_none() { ["vectors", "pictures"] } else { ["pictures", "vectors"] };
        return Err(usage("--data", format!("these are {are}, but the model takes {takes}")));
    }
    let splits = open_splits(&config, pipeline.as_ref())?;
    Ok(Loaded { config, model, splits })
}

/// Opens a run or a bare model folder; the model computes on the device.
pub fn load_model(folder: &Path, checkpoint: &str, sets: &[String], device: Device) -> Result<Model> {
    let which = match checkpoint {
        "best" => Which::Best,
        "last" => Which::Last,
        other => return Err(usage("--checkpoint", format!("`{other}` is neither best nor last"))),
    };
    let (mut config, folder): (Config, PathBuf) = if is_model(folder) {
        (Config::default(), folder.to_owned())
    } else {
        let run = Run::open(folder)?;
        (run.config()?, run.checkpoint(which)?)
    };
    if !sets.is_empty() {
        config = Config::parse("config.toml", &config.to_toml()?, sets)?;
    }
    let Predictor { model, pipeline } = Predictor::open(&device.open()?, &folder)?;
    Ok(Model { config, model, pipeline })
}

/// Whether a folder is a model's and no run's.
fn is_model(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

pub fn usage(setting: &'static str, why: String) -> anyhow::Error {
    Error::Setting { setting, why }.into()
}
