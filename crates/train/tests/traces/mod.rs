//! What a run leaves in its folder, to be compared with another's.

use std::collections::BTreeMap;
use std::path::Path;

/// The journal but for times, and the files of its checkpoints.
pub fn left(folder: &Path) -> (Vec<String>, BTreeMap<String, Vec<u8>>) {
    let journal = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |text: &str| {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        value.as_object_mut().unwrap().retain(|key, _| !key.ends_with("seconds"));
        value.to_string()
    };
    let files = ["last", "best"].map(|which| folder.join("checkpoints").join(which));
    let files =
        files.iter().filter_map(|place| std::fs::read_dir(place).ok()).flatten().map(|file| file.unwrap().path());
    let named = files.map(|f| (f.strip_prefix(folder).unwrap().display().to_string(), std::fs::read(&f).unwrap()));
    (journal.lines().map(line).collect(), named.collect())
}
