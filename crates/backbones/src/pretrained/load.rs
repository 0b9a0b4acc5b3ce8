use super::assign::{Names, assign};
use super::{Hub, LoadReport, Preprocess, Weights, hub, open, weights_file};
use crate::{BackboneConfig, EmbeddingNet, Error, Result};
use std::path::Path;

/// Most names of either side that are listed where nothing matched.
const LISTED: usize = 3;

impl EmbeddingNet {
    /// Replaces the backbone's weights and running statistics by those of `weights`; the head stays as it was drawn. All or
    /// nothing: if anything is missing, unexpected or of another shape, nothing changes.
    ///
    /// Names are torchvision's and timm's, behind any prefix that all of them have (`backbone.`, `module._orig_mod.`,
    /// `model.encoder_q.`), which is found by itself and [said](LoadReport::prefix). Of a file with several networks, the one is
    /// taken that has most of the names, wherever it is nested. Classifiers, projections and other heads, what does not have the
    /// prefix, and `num_batches_tracked` are left over, as is expected of them.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Content`] if a file cannot be read or understood, [`Error::Weights`] if the Hub does not
    /// give it, or it does not fit: with counts and names, or both shapes.
    pub fn load_pretrained(&self, weights: &Weights, hub: &Hub) -> Result<LoadReport> {
        self.load_pretrained_but(weights, hub, &[])
    }

    /// The same, leaving out tensors whose names begin with one of `ignore`, with the prefix or without.
    ///
    /// # Errors
    /// Those of [`Self::load_pretrained`].
    pub fn load_pretrained_but(&self, weights: &Weights, hub: &Hub, ignore: &[String]) -> Result<LoadReport> {
        let own = self.varmap().tensors()?;
        let content = open::read(weights, hub, &Names::of(&own))?;
        let fail = |cause, cure: &str| Error::Weights { weights: weights.to_string(), cause, cure: cure.to_owned() };
        let there: Vec<String> = content.tensors.keys().take(LISTED).cloned().collect();
        let (mut all, mut report) = assign(&own, content.tensors, ignore).map_err(|cause| {
            fail(cause, "choose the architecture, width and channels that the weights were trained with")
        })?;
        report.ignored.extend(content.others);
        report.ignored.sort();
        if report.matched.is_empty() {
            let wanted: Vec<&str> = report.missing.iter().take(LISTED).map(|name| &name["backbone.".len()..]).collect();
            let has = if there.is_empty() { "no tensors of floats".to_owned() } else { there.join(", ") + ", ..." };
            let cause = format!("{report}: the file has {has}, the network {}, ...", wanted.join(", "));
            return Err(fail(cause, "choose the architecture that the weights were trained with"));
        }
        if !report.missing.is_empty() {
            return Err(fail(report.to_string(), "choose the architecture that the weights were trained with"));
        }
        if !report.unexpected.is_empty() {
            let cure = "choose the architecture that the weights were trained with, or leave out with model.ignore what is none of it";
            return Err(fail(report.to_string(), cure));
        }
        for (name, tensor) in own {
            all.entry(name).or_insert(tensor);
        }
        self.varmap()
            .load(&all)
            .map_err(|e| fail(weights_file::one_line(&e), "report this with the name of the weights"))?;
        Ok(report)
    }
}

/// How pictures became pixels.
#[derive(Debug, Clone, PartialEq)]
pub enum PretrainedPreprocess {
    /// In npair's own words: `preprocess` of its `config.json`.
    Own(serde_json::Value),
    /// In those of the field.
    Described(Preprocess),
}

/// How pictures were made into pixels for `weights`: what the `config.json` beside them says, else what the architecture was
/// [published with](BackboneConfig::pretraining); nothing if neither is known (a network for grey pictures, say).
///
/// # Errors
/// Those of [`EmbeddingNet::load_pretrained`] that concern the file.
pub fn pretrained_preprocess(
    weights: &Weights,
    hub: &Hub,
    backbone: &BackboneConfig,
) -> Result<Option<PretrainedPreprocess>> {
    if let Some(config) = config_of(weights, hub)? {
        if let (Some(_), Some(own)) = (config.get("format"), config.get("preprocess").filter(|own| own.is_object())) {
            return Ok(Some(PretrainedPreprocess::Own(own.clone())));
        }
        if let Some(described) = Preprocess::of_config(&config) {
            return Ok(Some(PretrainedPreprocess::Described(described)));
        }
    }
    Ok(backbone.pretraining().map(PretrainedPreprocess::Described))
}

/// The `config.json` beside weights, if there is one; null if it is no JSON.
pub(super) fn config_of(weights: &Weights, hub: &Hub) -> Result<Option<serde_json::Value>> {
    let path = match weights {
        Weights::Folder(dir) => {
            beside(&open::in_folder(weights, dir).unwrap_or_else(|_| dir.join(weights_file::WEIGHTS)))
        }
        Weights::Safetensors(path) | Weights::Pth(path) => beside(path),
        // A repository need not have one; what is wrong with the network shows when the weights are fetched.
        Weights::Hub { repo, revision, .. } => hub::file(hub, weights, repo, revision, weights_file::CONFIG).ok(),
    };
    let Some(path) = path else { return Ok(None) };
    let text = weights_file::read(&path, weights_file::CURE)?;
    Ok(Some(serde_json::from_slice(&text).unwrap_or_default()))
}

/// The `config.json` beside a file, if there is one.
fn beside(file: &Path) -> Option<std::path::PathBuf> {
    Some(file.with_file_name(weights_file::CONFIG)).filter(|path| path.is_file())
}
