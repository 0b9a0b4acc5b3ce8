use crate::args::Settings;
use anyhow::Result;
use npair_backbones::EmbeddingModel;
use npair_data::Pipeline;
use npair_evaluate::{Predictor, Splits};
use npair_recipe::config::{DataConfig, DataSource};
use npair_recipe::{Config, Device, Draft, Error, Run, Which, Whose, open_all, open_files, open_for_run};
use std::path::{Path, PathBuf};

/// The settings of a new run as they were written.
pub fn draft(settings: &Settings, data: Option<&str>) -> Result<Draft> {
    // Before what is set, so that a number of views that is given counts.
    let unlabeled = settings.unlabeled.then(|| "data.views=2".to_owned());
    let mut sets: Vec<String> = unlabeled.into_iter().chain(settings.sets.iter().cloned()).collect();
    // As a setting, so that what depends on the data (its usual split) goes by it.
    sets.extend(
        data.map(|data| data_source("--data", data)).transpose()?.map(|s| format!("data.source={}", quoted(s))),
    );
    let (mut draft, notes) = Draft::read(settings.config.as_deref(), &sets)?;
    notes.iter().for_each(|note| warn!("note: {note}"));
    let source = draft.config.data.source.clone();
    draft.set_source(source);
    if let Some(seed) = settings.seed {
        draft.config.seed = seed;
    }
    Ok(draft)
}

/// A source as a string of TOML.
fn quoted(source: DataSource) -> String {
    toml::Value::String(source.into()).to_string()
}

/// An error for a picture that would not be what its name says.
pub fn expect_png(path: &Path) -> Result<()> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("png") => Ok(()),
        _ => Err(usage("--grid", format!("{} is to be a PNG: end its name in .png", path.display()))),
    }
}

/// An error for the first `--set` that has no effect on what is done: only keys that begin with one of these have.
pub fn only(sets: &[String], known: &[&str]) -> Result<()> {
    let key = |set: &str| set.split('=').next().unwrap_or("").trim().to_owned();
    let counts =
        |key: &str| known.iter().any(|k| key.strip_prefix(k).is_some_and(|r| r.is_empty() || r.starts_with('.')));
    match sets.iter().map(|set| key(set)).find(|key| !counts(key)) {
        None => Ok(()),
        Some(key) => {
            let why = format!("{key} has no effect here; what has: {}", known.join(", "));
            Err(usage("--set", why))
        }
    }
}

/// Settings by which no picture is kept in memory, unless it is looked at more than once or somebody asks for it.
pub fn looked_at_once(sets: &[String]) -> Vec<String> {
    let begins = |set: &String| ["tta", "data.cache_mib"].iter().any(|key| set.trim_start().starts_with(key));
    let uncached = (!sets.iter().any(begins)).then(|| "data.cache_mib=0".to_owned());
    sets.iter().cloned().chain(uncached).collect()
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

/// Opens a run (or a bare model folder, which then needs `data`) and the examples to use it on, those that it was trained on apart.
pub fn load(folder: &Path, checkpoint: &str, data: Option<&str>, sets: &[String], device: Device) -> Result<Loaded> {
    needs_data(folder, data)?;
    let Model { mut config, model, pipeline } = load_model(folder, checkpoint, sets, device)?;
    let mut whose = other_data(&mut config, pipeline.is_none(), data)?;
    if whose == Whose::Other && !sets.is_empty() {
        // What is said of the other data counts for it.
        config = Config::parse("config.toml", &config.to_toml()?, sets)?;
    }
    let says = |keys: &[&str]| sets.iter().any(|set| keys.iter().any(|key| set.trim_start().starts_with(key)));
    if says(&[VIEWS]) {
        // Other classes than the run's: of these, everything that it has not seen is there to be judged on.
        whose = Whose::Other;
    }
    if says(&SPLITTING) {
        whose = Whose::Asked;
    }
    let splits = open_for_run(&config, pipeline.as_ref(), Some(folder), whose)?;
    Ok(Loaded { config, model, splits })
}

/// The same for all examples that there are, on whatever side and with or without labels.
pub fn load_all(
    folder: &Path,
    checkpoint: &str,
    data: Option<&str>,
    sets: &[String],
    device: Device,
) -> Result<Loaded> {
    needs_data(folder, data)?;
    let Model { mut config, model, pipeline } = load_model(folder, checkpoint, sets, device)?;
    if data == Some("-") {
        let splits = open_files(&config, pipeline.as_ref(), "standard input", listed()?)?;
        return Ok(Loaded { config, model, splits });
    }
    other_data(&mut config, pipeline.is_none(), data)?;
    let splits = open_all(&config, pipeline.as_ref())?;
    Ok(Loaded { config, model, splits })
}

/// The paths on standard input, a line each.
fn listed() -> Result<Vec<PathBuf>> {
    let lines = std::io::stdin().lines().collect::<std::io::Result<Vec<String>>>()?;
    Ok(lines.into_iter().filter(|line| !line.trim().is_empty()).map(PathBuf::from).collect())
}

fn needs_data(folder: &Path, data: Option<&str>) -> Result<()> {
    if is_model(folder) && data.is_none() {
        return Err(usage("--data", "a model folder knows no pictures: give some".to_owned()));
    }
    Ok(())
}

/// Settings that ask for another split than the run's.
pub const SPLITTING: [&str; 4] = ["data.split", "data.parts", "data.seen", "data.levels"];
/// The setting that asks for other classes: pictures of their own, or those of folders.
pub const VIEWS: &str = "data.views";

/// Puts other data, if any is named, in the place of the run's own.
fn other_data(config: &mut Config, takes_vectors: bool, data: Option<&str>) -> Result<Whose> {
    let mut whose = Whose::Own;
    if let Some(data) = data {
        let source = data_source("--data", data)?;
        let source = source.absolute();
        if source != config.data.source {
            // Parts and split were those of other data: of these, everything is there to be used.
            let DataConfig { skip_bad, cache_mib, .. } = config.data;
            config.data = DataConfig { source, skip_bad, cache_mib, ..Default::default() };
            whose = Whose::Other;
        }
    }
    if whose == Whose::Own {
        config.data.source.expect_there()?;
    }
    if takes_vectors != config.data.source.is_vectors() {
        let [takes, are] = if takes_vectors { ["vectors", "pictures"] } else { ["pictures", "vectors"] };
        return Err(usage("--data", format!("these are {are}, but the model takes {takes}")));
    }
    Ok(whose)
}

/// Opens a run or a bare model folder; the model computes on the device.
pub fn load_model(folder: &Path, checkpoint: &str, sets: &[String], device: Device) -> Result<Model> {
    let which = which(checkpoint)?;
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

/// The folder of a network: of a run's checkpoint, or itself.
pub fn model_folder(from: &Path, checkpoint: &str) -> Result<PathBuf> {
    match is_model(from) {
        true => Ok(from.to_owned()),
        false => Ok(Run::open(from)?.checkpoint(which(checkpoint)?)?),
    }
}

/// The checkpoint of a name.
fn which(checkpoint: &str) -> Result<Which> {
    match checkpoint {
        "best" => Ok(Which::Best),
        "last" => Ok(Which::Last),
        other => Err(usage("--checkpoint", format!("`{other}` is neither best nor last"))),
    }
}

/// Whether a folder is a model's and no run's.
fn is_model(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

pub fn usage(setting: &'static str, why: String) -> anyhow::Error {
    Error::Setting { setting, why }.into()
}
