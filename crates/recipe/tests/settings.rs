//! docs/guide/settings.md says what is.
#![allow(clippy::unwrap_used)]

use npair_train::Config;
use npair_train::config::LossConfig;

const PAGE: &str = include_str!("../../../docs/guide/settings.md");

/// The TOML blocks of the page.
fn blocks() -> Vec<&'static str> {
    PAGE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Keys of a TOML text with their sections.
fn keys(text: &str) -> Vec<String> {
    fn walk(prefix: &str, table: &toml::Table, out: &mut Vec<String>) {
        for (key, value) in table {
            let name = format!("{prefix}.{key}");
            match value {
                toml::Value::Table(inner) => walk(&name, inner, out),
                _ => out.push(name),
            }
        }
    }
    let mut out = Vec::new();
    walk("", &text.parse().unwrap(), &mut out);
    out.sort();
    out
}

#[test]
fn the_page_has_every_setting_with_its_default() {
    let [whole, images, sum] = blocks()[..] else { panic!("{} blocks", blocks().len()) };
    assert_eq!(Config::parse("the page", whole, &[]).unwrap(), Config::default());
    assert_eq!(keys(whole), keys(&Config::default().to_toml().unwrap()));
    // What has no default stands there as a comment that can be switched on.
    for key in [
        "[data.split]",
        "[miner]",
        "backbone",
        "pretrained",
        "freeze",
        "mining",
        "allow_dead",
        "[[optimiser.group]]",
        "lr_scale",
        "decay_scale",
    ] {
        assert!(whole.contains(&format!("# {key}")), "{key}");
    }
    let LossConfig::WeightedSum { parts } = Config::parse("the page", sum, &[]).unwrap().loss else { panic!("{sum}") };
    assert_eq!(parts.iter().map(|part| part.loss.name()).collect::<Vec<_>>(), ["n-pair-mc", "proxy-anchor"]);
    let photos = Config::parse("the page", "[data]\nsource = \"photos/\"", &[]).unwrap().images();
    assert_eq!(Config::parse("the page", images, &[]).unwrap().images(), photos);
}

#[test]
fn the_page_has_every_loss_with_its_settings() {
    let said = Config::parse("test", "[loss]\nname = \"?\"", &[]).unwrap_err().to_string();
    let (_, known) = said.split_once("known are ").unwrap();
    for name in known.split(", ") {
        let row = PAGE
            .lines()
            .find(|l| l.starts_with('|') && l.contains(&format!("`{name}`")))
            .unwrap_or_else(|| panic!("{name}"));
        if name == "weighted-sum" {
            continue;
        }
        let margin = if row.contains("to be given") { "margin = 1.0" } else { "" };
        let config = Config::parse("test", &format!("[loss]\nname = \"{name}\"\n{margin}"), &[]).unwrap();
        let table: toml::Table = toml::Table::try_from(config.loss).unwrap();
        for (key, value) in table.iter().filter(|(key, _)| *key != "name" && margin.is_empty()) {
            let given = row.contains(&format!("`{key} = {value}`")) || (key == "reducer" && row.contains("`reducer"));
            assert!(given, "{name}: {key} = {value} is not in {row}");
        }
    }
    assert_eq!(Config::default().loss, LossConfig::NPairMc {});
}

#[test]
fn the_page_has_every_miner_with_its_settings() {
    let said = Config::parse("test", "[miner]\nname = \"?\"", &[]).unwrap_err().to_string();
    let (_, known) = said.split_once("known are ").unwrap();
    let (_, page) = PAGE.split_once("## Miners").unwrap();
    for name in known.split(", ") {
        let row = page.lines().find(|l| l.starts_with(&format!("| `{name}`"))).unwrap_or_else(|| panic!("{name}"));
        let config = Config::parse("test", &format!("[miner]\nname = \"{name}\""), &[]).unwrap();
        let table: toml::Table = toml::Table::try_from(config.miner.unwrap()).unwrap();
        for (key, value) in table.iter().filter(|(key, _)| *key != "name") {
            assert!(row.contains(&format!("`{key} = {value}`")), "{name}: {key} = {value} is not in {row}");
        }
    }
    assert_eq!(Config::default().miner, None);
}

#[test]
fn the_page_has_every_regulariser_and_reducer() {
    let said = Config::parse("test", "[[regulariser]]\nname = \"?\"\nweight = 1.0", &[]).unwrap_err().to_string();
    let (_, known) = said.split_once("known are ").unwrap();
    for name in known.split(", ") {
        let row = PAGE.lines().find(|l| l.starts_with(&format!("| `{name}` |"))).unwrap_or_else(|| panic!("{name}"));
        let centres = if row.contains("to be given") { "centres = 3" } else { "" };
        let text = format!("[[regulariser]]\nname = \"{name}\"\nweight = 1.0\n{centres}");
        let config = Config::parse("test", &text, &[]).unwrap();
        let table = toml::Table::try_from(config.regulariser[0].kind).unwrap();
        for (key, value) in table.iter().filter(|(key, _)| *key != "name" && centres.is_empty()) {
            assert!(row.contains(&format!("`{key} = {value}`")), "{name}: {key} = {value} is not in {row}");
        }
        assert_eq!(Config::parse("again", &config.to_toml().unwrap(), &[]).unwrap(), config);
        let misspelt = Config::parse("test", &format!("{text}\nwide = 3"), &[]).unwrap_err().to_string();
        assert!(misspelt.contains("unknown key `wide`"), "{misspelt}");
    }
    let said = Config::parse("test", "[loss]\nname = \"margin\"\nreducer = \"?\"", &[]).unwrap_err().to_string();
    let (_, known) = said.split_once("known are ").unwrap();
    let paragraph = PAGE.split("\n\n").find(|p| p.starts_with("`reducer` is")).unwrap();
    for name in known.split(", ") {
        assert!(paragraph.contains(name), "{name}");
    }
}

#[test]
fn parts_of_a_sum_refuse_what_is_no_setting_of_theirs() {
    let parse = |part: &str| {
        let text = format!("[loss]\nname = \"weighted-sum\"\n[[loss.parts]]\n{part}");
        Config::parse("test", &text, &[]).map(|config| config.loss.name())
    };
    assert_eq!(parse("name = \"circle\"\nweight = 1.0\ngamma = 64.0").unwrap(), "weighted-sum");
    let said = |part: &str| parse(part).unwrap_err().to_string();
    assert!(said("name = \"circle\"\nweight = 1.0\ngama = 64.0").contains("did you mean `gamma`?"));
    assert!(said("name = \"circel\"\nweight = 1.0").contains("did you mean `circle`?"));
    assert!(said("name = \"circle\"").contains("missing field `weight`"));
}

/// What `cargo xtask reproduce` trains by.
#[test]
fn every_experiment_file_is_understood() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/experiments");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".toml") || name == "data.toml" || name == "methods.toml" {
            continue;
        }
        let config = Config::read(Some(&path), &[]).unwrap();
        npair_data::Pipeline::new(config.images()).unwrap();
        if let Some(weights) = &config.model.pretrained {
            weights.parse::<npair_backbones::Weights>().unwrap();
        }
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
    // And what sets the methods apart.
    let methods: toml::Table = std::fs::read_to_string(folder.join("methods.toml")).unwrap().parse().unwrap();
    for (name, method) in methods {
        let sets = method["set"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned());
        Config::read(None, &sets.collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
