//! The tables of the guide's settings page, written of the registry.

use crate::config::Choice;
use crate::registry::{Losses, Miners, Registered, Regularizers};

/// The tables by the marks between which they stand on the page.
pub fn settings_tables() -> [(&'static str, String); 3] {
    [
        ("losses", table::<Losses>("loss.name")),
        ("miners", table::<Miners>("miner.name")),
        ("regularizers", table::<Regularizers>("name")),
    ]
}

/// A row for every part: its name, its settings with their usual values, and what they are.
fn table<K: Registered>(key: &str) -> String {
    let mut out = format!("| `{key}` | what it is | settings |\n|---|---|---|\n");
    for row in K::rows() {
        let usual = Choice::<K>::named(row.name).map(|choice| choice.settings().clone()).unwrap_or_default();
        let settings: Vec<String> = row.fields.iter().map(|f| setting(f.name, f.about, usual.get(f.name))).collect();
        out += &format!("| `{}` | {} | {} |\n", row.name, one_line(row.about), settings.join("; "));
    }
    out
}

fn setting(name: &str, about: &str, usual: Option<&toml::Value>) -> String {
    let about = one_line(about);
    let about = about.trim_end_matches('.');
    match usual {
        // What has no usual value has to be given.
        Some(toml::Value::Float(v)) if v.is_nan() => format!("`{name}`, to be given: {about}"),
        Some(value) => format!("`{name} = {value}`: {about}"),
        None => format!("`{name}`: {about}"),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
