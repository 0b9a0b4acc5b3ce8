use super::Entry;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::{BTreeMap, HashMap};

/// How many names of a kind a message lists.
const LISTED: usize = 3;

pub(super) fn load(entries: &BTreeMap<String, Entry>, tensors: &HashMap<String, Tensor>) -> Result<()> {
    let missing: Vec<String> = entries.keys().filter(|name| !tensors.contains_key(*name)).cloned().collect();
    let mut unexpected: Vec<String> = tensors.keys().filter(|name| !entries.contains_key(*name)).cloned().collect();
    unexpected.sort();
    let pairs = || entries.iter().filter_map(|(name, entry)| Some((name, entry, tensors.get(name)?)));
    let shapes: Vec<String> = pairs()
        .filter(|(_, entry, tensor)| entry.var.dims() != tensor.dims())
        .map(|(name, entry, tensor)| format!("{name} has {:?} instead of {:?}", tensor.dims(), entry.var.dims()))
        .collect();
    let types: Vec<String> = pairs()
        .filter(|(_, _, tensor)| !tensor.dtype().is_float())
        .map(|(name, _, tensor)| format!("{name} has {:?}", tensor.dtype()))
        .collect();
    let complaints =
        [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes), ("no floats", types)];
    let said: Vec<String> =
        complaints.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| list(what, names)).collect();
    if !said.is_empty() {
        return Err(Error::Mismatch(said.join("; ")));
    }
    // All conversions come before the first change: what can fail fails while nothing has changed.
    let ready = pairs()
        .map(|(_, entry, tensor)| {
            let tensor = tensor.detach().to_dtype(entry.var.dtype())?.to_device(entry.var.device())?;
            // A tensor that shares the variable's memory cannot be set.
            Ok((&entry.var, tensor.copy()?))
        })
        .collect::<Result<Vec<_>>>()?;
    for (var, tensor) in ready {
        var.set(&tensor)?;
    }
    Ok(())
}

fn list(what: &str, names: &[String]) -> String {
    let more = if names.len() > LISTED { ", ..." } else { "" };
    format!("{} {what} ({}{more})", names.len(), names[..names.len().min(LISTED)].join(", "))
}
