//! `cargo xtask publish`: results become a part of docs/results.

use crate::tree;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What is copied; whatever of it is there.
const KINDS: [&str; 4] = ["md", "json", "svg", "png"];
const BEGIN: &str = "<!-- what follows is written by cargo xtask publish -->\n";
const END: &str = "<!-- until here -->";

/// Copies the results of a reproduction to docs/results/NAME and lists all results in docs/results/index.md.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cargo xtask publish target/tables/glyphs glyphs-tables")]
pub struct Args {
    /// Where `cargo xtask reproduce` has written them.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// What they are to be called.
    #[arg(value_name = "NAME")]
    name: String,
}

pub fn run(args: &Args) -> Result<()> {
    publish(&tree::root()?, &args.from, &args.name)
}

/// Copies the results of `out` to docs/results/NAME and lists all results in docs/results/index.md.
fn publish(root: &Path, out: &Path, name: &str) -> Result<()> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        bail!("`{name}`: a name has letters, digits and hyphens");
    }
    let results = root.join("docs/results");
    let place = results.join(name);
    std::fs::create_dir_all(&place).with_context(|| format!("{} cannot be made", place.display()))?;
    for entry in std::fs::read_dir(out).with_context(|| format!("{} cannot be read", out.display()))? {
        let path = entry?.path();
        let is_result = path.extension().and_then(|e| e.to_str()).is_some_and(|e| KINDS.contains(&e));
        if let Some(file) = path.file_name().filter(|_| is_result && path.is_file()) {
            std::fs::copy(&path, place.join(file)).with_context(|| format!("{} cannot be copied", path.display()))?;
        }
    }
    let index = results.join("index.md");
    let text = std::fs::read_to_string(&index).with_context(|| format!("{} cannot be read", index.display()))?;
    let text = with_list(&text, &list(&results)?)
        .with_context(|| format!("{} has no lines `{}` and `{END}`", index.display(), BEGIN.trim()))?;
    std::fs::write(&index, text).with_context(|| format!("{} cannot be written", index.display()))?;
    println!("Published: {}", place.display());
    Ok(())
}

/// A row for every folder with results.
fn list(results: &Path) -> Result<String> {
    let mut rows = String::from("| results | command | date | machine | commit | seeds |\n|---|---|---|---|---|---|\n");
    let mut folders: Vec<_> = std::fs::read_dir(results)?.filter_map(|e| Some(e.ok()?.path())).collect();
    folders.sort();
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("results.json")) else { continue };
        let json: Value = serde_json::from_str(&text).with_context(|| format!("{}/results.json", folder.display()))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let page = if folder.join("results.md").exists() { format!("{name}/results.md") } else { format!("{name}.md") };
        let of = |key: &str| json["origin"][key].as_str().unwrap_or("-").to_owned();
        let seeds = json["seeds"].as_array().map_or(0, Vec::len);
        let machine = format!("{}, {} cores", of("cpu"), json["origin"]["cores"]);
        let (command, date, commit) = (of("command"), of("date"), of("commit"));
        writeln!(rows, "| [{name}]({page}) | `{command}` | {date} | {machine} | {commit} | {seeds} |")?;
    }
    Ok(rows)
}

/// The page with its list replaced; `None` if it has no place for one.
fn with_list(page: &str, list: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}{list}{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_replaced_and_the_rest_stays() {
        let page = format!("# Head\n{BEGIN}old\n{END}\ntail\n");
        assert_eq!(with_list(&page, "new\n").unwrap(), format!("# Head\n{BEGIN}new\n{END}\ntail\n"));
        assert_eq!(with_list("no place", ""), None);
    }

    #[test]
    fn results_are_copied_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, out) = (dir.path(), dir.path().join("target/x"));
        std::fs::create_dir_all(out.join("runs")).unwrap();
        std::fs::create_dir_all(root.join("docs/results")).unwrap();
        std::fs::write(root.join("docs/results/index.md"), format!("{BEGIN}{END}")).unwrap();
        let json =
            r#"{"origin": {"command": "c", "cpu": "p", "cores": 2, "date": "d", "commit": "e"}, "seeds": [1, 2]}"#;
        std::fs::write(out.join("results.json"), json).unwrap();
        std::fs::write(out.join("results.md"), "# it\n").unwrap();
        std::fs::write(out.join("other.log"), "").unwrap();
        publish(root, &out, "a-name").unwrap();
        let index = std::fs::read_to_string(root.join("docs/results/index.md")).unwrap();
        assert!(index.contains("| [a-name](a-name/results.md) | `c` | d | p, 2 cores | e | 2 |"), "{index}");
        assert!(!root.join("docs/results/a-name/other.log").exists());
        assert!(publish(root, &out, "../x").is_err());
    }
}
