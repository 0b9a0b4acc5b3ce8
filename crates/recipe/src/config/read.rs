use super::{renamed, written};
use crate::{Config, Error, Result};
use std::path::Path;

impl Config {
    /// Settings from a TOML text and `key=value` overrides (`loss.name="triplet"`, `training.steps=500`), later ones winning.
    /// `place` names the text in errors. A value that is no TOML is taken as a string.
    ///
    /// # Errors
    /// [`Error::Config`] in one line: the place, the key, and the nearest known key.
    pub fn parse(place: &str, text: &str, overrides: &[String]) -> Result<Self> {
        Ok(Self::parse_noting(place, text, overrides)?.0)
    }

    /// The same, with a note for every setting that goes by a name of an earlier release.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_noting(place: &str, text: &str, overrides: &[String]) -> Result<(Self, Vec<String>)> {
        let (config, _, notes) = Self::parse_table(place, text, overrides)?;
        Ok((config, notes))
    }

    /// The same, and the table of what was written.
    fn parse_table(place: &str, text: &str, overrides: &[String]) -> Result<(Self, toml::Table, Vec<String>)> {
        let fail = |place: &str, why: String| Error::Config { place: place.to_owned(), why };
        let mut notes = Vec::new();
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| fail(place, one_line(&e, text, "")))?;
        renamed::keys(&mut table, &mut notes);
        for set in written::ordered(overrides) {
            written::apply(&mut table, set, &mut notes).map_err(|why| fail(&format!("--set {set}"), why))?;
        }
        renamed::keys(&mut table, &mut notes);
        let given = table.clone();
        written::complete(&mut table);
        // Through text again, so that errors know their line; overrides are named by their keys.
        let merged = toml::to_string(&table).map_err(|e| fail(place, e.to_string()))?;
        let parsed = toml::Deserializer::parse(&merged).map_err(|e| fail(place, one_line(&e, &merged, "")))?;
        let config = serde_path_to_error::deserialize(parsed).map_err(|e| {
            let path = e.path().to_string();
            let why = one_line(e.inner(), &merged, &path);
            // The last one counts, where a key is set twice.
            let at_path = |set: &&String| set.split('=').next().is_some_and(|key| key.trim() == path);
            let named = |set: &&String| last_key(set).is_some_and(|key| why.contains(&format!("`{key}`")));
            let culprit = overrides.iter().rfind(at_path).or_else(|| overrides.iter().rfind(named));
            fail(&culprit.map_or(place.to_owned(), |set| format!("--set {set}")), why)
        })?;
        Ok((config, given, notes))
    }

    /// Settings from a file, if one is given, and overrides.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be read, else as [`parse`](Self::parse).
    pub fn read(file: Option<&Path>, overrides: &[String]) -> Result<Self> {
        Ok(Self::read_noting(file, overrides)?.0)
    }

    /// The same, with a note for every setting that goes by a name of an earlier release.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_noting(file: Option<&Path>, overrides: &[String]) -> Result<(Self, Vec<String>)> {
        let (config, _, notes) = Self::read_table(file, overrides)?;
        Ok((config, notes))
    }

    /// The same, and the table of what was written.
    pub(crate) fn read_table(file: Option<&Path>, overrides: &[String]) -> Result<(Self, toml::Table, Vec<String>)> {
        match file {
            None => Self::parse_table("settings", "", overrides),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|e| Error::file(path, format!("cannot be read: {e}; give the path of a TOML file")))?;
                Self::parse_table(&path.display().to_string(), &text, overrides)
            }
        }
    }

    /// The settings as TOML, defaults included.
    ///
    /// # Errors
    /// [`Error::Config`] if they cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Config { place: "settings".to_owned(), why: e.to_string() })
    }
}

fn last_key(set: &str) -> Option<&str> {
    set.split_once('=')?.0.split('.').next_back().map(str::trim)
}

/// A TOML error without its picture, with the section (that of `path`, the key at which reading stopped) and the nearest known key.
fn one_line(e: &toml::de::Error, text: &str, path: &str) -> String {
    let message = e.message().trim().replace('\n', " ");
    let before = e.span().map_or("", |span| text.get(..span.start).unwrap_or(""));
    let mut keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty() && *key != "?").collect();
    // What the message names itself is no section.
    if keys.last().is_some_and(|last| message.contains(&format!("`{last}`"))) || message.starts_with("invalid") {
        keys.pop();
    }
    let place = if keys.is_empty() { String::new() } else { format!(" in [{}]", keys.join(".")) };
    // A part named by the settings has said it already.
    if message.starts_with("unknown key `") || message.starts_with("unknown value `") {
        return message;
    }
    if let Some(said) = unknown(&message, &place) {
        return said;
    }
    if message.starts_with("invalid") && !path.is_empty() && path != "." {
        return format!("{path}: {message}");
    }
    let line = before.lines().count().max(1);
    if place.is_empty() { format!("line {line}: {message}") } else { format!("{message}{place}") }
}

/// Serde's message of an unknown key or value, with the place and the nearest known one; none for another message.
pub(super) fn unknown(message: &str, place: &str) -> Option<String> {
    let what = match message {
        _ if message.starts_with("unknown field") => "key",
        _ if message.starts_with("unknown variant") => "value",
        _ => return None,
    };
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let [unknown, known @ ..] = &quoted[..] else { return None };
    Some(format!("unknown {what} `{unknown}`{place}; {}", suggestion(unknown, known)))
}

fn suggestion(unknown: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|k| (strsim::jaro_winkler(unknown, k), k)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, key)) if likeness > 0.75 => format!("did you mean `{key}`?"),
        _ if known.is_empty() => "no key is allowed here".to_owned(),
        _ => format!("known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Config::parse("c.toml", text, &sets).unwrap_err().to_string()
    }

    #[test]
    fn wrong_settings_are_one_line_with_the_cure() {
        for (text, sets, want) in [
            ("[optimizer]\nlerning_rate = 1", &[][..], "did you mean `learning_rate`?"),
            ("sed = 1", &[], "unknown key `sed`; did you mean `seed`?"),
            ("[loss]\nname = \"n-pair\"", &[], "did you mean `n-pair-mc`?"),
            ("seed = \"x\"", &[], "invalid type"),
            ("seed = ", &[], "c.toml: line 1"),
            (
                "",
                &["training.stepps=3"],
                "--set training.stepps=3: unknown key `stepps` in [training]; did you mean `steps`?",
            ),
            ("", &["steps"], "KEY=VALUE"),
            ("", &["seed=9223372036854775808"], "beyond 9223372036854775807"),
            ("seed = 1", &["seed.x=1"], "`seed` is a value"),
            ("", &["loss.name=triplet", "loss.margin=1"], "unknown key `margin`"),
            ("", &["images.sise=3"], "unknown key `sise` in [images]; did you mean `size`?"),
        ] {
            let got = said(text, sets);
            assert!(got.contains(want), "{got}");
            assert_eq!(got.lines().count(), 1, "{got}");
        }
    }

    #[test]
    fn settings_survive_writing_and_reading() {
        let sets = [
            "loss.name=contrastive",
            "loss.margin=0.5",
            "batch.mining.candidates=70",
            "images.size=32",
            "data.source=photos/",
        ];
        let config = Config::parse("x", "", &sets.map(str::to_owned)).unwrap();
        let again = Config::parse("y", &config.to_toml().unwrap(), &[]).unwrap();
        assert_eq!(config, again);
        assert_eq!(Config::parse("z", &Config::default().to_toml().unwrap(), &[]).unwrap(), Config::default());
    }
}
