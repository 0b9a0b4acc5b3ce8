use super::{Hub, LoadReport, Preprocess, Weights, hub, pth, weights_file};
use crate::{BackboneConfig, EmbeddingNet, Error, Result};
use candle_core::{Device, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// What training in parallel, or compiled, puts before every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// What files of whole classifiers hold beside the backbone, by the beginning of a name.
const LEFTOVERS: [&str; 8] =
    ["head.", "fc.", "classifier.", "head_dist.", "aux1.", "aux2.", "mask_token", "backbone.mask_token"];

/// Counters that only PyTorch's batch norm keeps.
const COUNTER: &str = "num_batches_tracked";

impl EmbeddingNet {
    /// Replaces the backbone's weights and running statistics by those of `weights`; the head stays as it was drawn. All or
    /// nothing: if anything is missing, unexpected or of another shape, nothing changes.
    ///
    /// Names are torchvision's and timm's, with or without `backbone.`, `module.` or `_orig_mod.` before them. Classifiers
    /// (`fc.*`, `head.*`, `classifier.*`), auxiliary heads (`aux1.*`, `aux2.*`) and `num_batches_tracked` are left over, as is
    /// expected of them.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Content`] if a file cannot be read or understood, [`Error::Weights`] if the Hub does not
    /// give it, or it does not fit: with counts and names, or both shapes.
    pub fn load_pretrained(&self, weights: &Weights, hub: &Hub) -> Result<LoadReport> {
        let (tensors, ignored) = read(&locate(weights, hub)?)?;
        let fail = |cause, cure: &str| Error::Weights { weights: weights.to_string(), cause, cure: cure.to_owned() };
        let own = self.varmap().tensors()?;
        let (mut all, mut report) = assign(&own, tensors).map_err(|cause| {
            fail(cause, "choose the architecture, width and channels that the weights were trained with")
        })?;
        report.ignored.extend(ignored);
        report.ignored.sort();
        if !report.fits() {
            return Err(fail(report.to_string(), "choose the architecture that the weights were trained with"));
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

/// How pictures were made into pixels for `weights`: what the `config.json` beside them says, else what torchvision does for
/// the architecture; nothing if neither is known (a network for grey pictures, say).
///
/// # Errors
/// Those of [`EmbeddingNet::load_pretrained`] that concern the file.
pub fn pretrained_preprocess(
    weights: &Weights,
    hub: &Hub,
    backbone: &BackboneConfig,
) -> Result<Option<PretrainedPreprocess>> {
    let config = match weights {
        Weights::Folder(dir) => Some(dir.join(weights_file::CONFIG)).filter(|path| path.is_file()),
        Weights::Safetensors(path) | Weights::Pth(path) => {
            Some(path.with_file_name(weights_file::CONFIG)).filter(|path| path.is_file())
        }
        // A repository need not have one; what is wrong with the network shows when the weights are fetched.
        Weights::Hub { repo, revision, .. } => hub::file(hub, weights, repo, revision, weights_file::CONFIG).ok(),
    };
    if let Some(path) = config {
        let text = fs::read(&path).map_err(weights_file::unreadable(&path))?;
        let config: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        if let (Some(_), Some(own)) = (config.get("format"), config.get("preprocess").filter(|own| own.is_object())) {
            return Ok(Some(PretrainedPreprocess::Own(own.clone())));
        }
        if let Some(described) = Preprocess::of_config(&config) {
            return Ok(Some(PretrainedPreprocess::Described(described)));
        }
    }
    let described = serde_json::to_value(backbone).unwrap_or_default();
    let architecture = described["architecture"].as_str().unwrap_or_default();
    Ok((backbone.input().channels == 3).then(|| PretrainedPreprocess::Described(Preprocess::torchvision(architecture))))
}

/// The file on this machine.
fn locate(weights: &Weights, hub: &Hub) -> Result<PathBuf> {
    match weights {
        Weights::Folder(dir) => Ok(dir.join(weights_file::WEIGHTS)),
        Weights::Safetensors(path) | Weights::Pth(path) => Ok(path.clone()),
        Weights::Hub { repo, revision, file } => hub::file(hub, weights, repo, revision, file),
    }
}

/// The tensors of a file by name, and the names of those that hold whole numbers.
fn read(path: &Path) -> Result<(BTreeMap<String, Tensor>, Vec<String>)> {
    let cure = "give a folder, a .safetensors or a .pth file of a trained network";
    let bytes = fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source, cure })?;
    let wrong = |cause, cure| Error::Content { path: path.to_owned(), cause, cure };
    let damaged = "it is damaged or of another kind: download it again, or save a state dictionary";
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|e| wrong(format!("no safetensors file ({})", weights_file::one_line(&e)), damaged))?;
        let (floats, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            tensors.into_iter().partition(|(_, tensor)| tensor.dtype().is_float());
        return Ok((floats, others.into_keys().collect()));
    }
    let content = pth::read(&bytes).map_err(|cause| wrong(cause, damaged))?;
    Ok((content.tensors, content.whole_numbers))
}

/// Gives every tensor its place among the network's own; the error names both shapes of the first that does not fit.
fn assign(
    own: &BTreeMap<String, Tensor>,
    tensors: BTreeMap<String, Tensor>,
) -> std::result::Result<(HashMap<String, Tensor>, LoadReport), String> {
    let (mut all, mut report) = (HashMap::new(), LoadReport::default());
    for (name, tensor) in tensors {
        let plain = WRAPPERS.iter().fold(&name[..], |name, wrapper| name.strip_prefix(wrapper).unwrap_or(name));
        let place = if plain.starts_with("backbone.") { plain.to_owned() } else { format!("backbone.{plain}") };
        match own.get(&place) {
            Some(mine) if mine.dims() == tensor.dims() => {
                match all.insert(place.clone(), tensor) {
                    None => report.matched.push(place),
                    // The same parameter twice, with and without a wrapper's prefix.
                    Some(_) => report.unexpected.push(name),
                }
            }
            Some(mine) => {
                return Err(format!("{name} has shape {:?}, the network's {place} {:?}", tensor.dims(), mine.dims()));
            }
            None if plain.ends_with(COUNTER) || LEFTOVERS.iter().any(|begin| plain.starts_with(begin)) => {
                report.ignored.push(name);
            }
            None => report.unexpected.push(name),
        }
    }
    report.missing = own.keys().filter(|k| k.starts_with("backbone.") && !all.contains_key(*k)).cloned().collect();
    report.matched.sort();
    Ok((all, report))
}
