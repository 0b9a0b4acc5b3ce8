//! docs/guide/settings.md says what is.
#![allow(clippy::unwrap_used)]

use npair_recipe::config::LossConfig;
use npair_recipe::{Config, settings_tables};

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
        "views",
        "[data.split]",
        "[miner]",
        "backbone",
        "pretrained",
        "freeze",
        "temper",
        "mining",
        "allow_dead",
        "layer_decay",
        "[[optimizer.group]]",
        "lr_scale",
        "decay_scale",
    ] {
        assert!(whole.contains(&format!("# {key}")), "{key}");
    }
    let sum = Config::parse("the page", sum, &[]).unwrap().loss;
    let parts = sum.settings()["parts"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!((sum.name(), names), ("weighted-sum", vec!["n-pair-mc", "proxy-anchor"]));
    let photos = Config::parse("the page", "[data]\nsource = \"photos/\"", &[]).unwrap().images();
    assert_eq!(Config::parse("the page", images, &[]).unwrap().images(), photos);
}

/// The tables of losses, miners and regularizers are written of the registry: `NPAIR_WRITE=1 cargo test -p npair-recipe` writes
/// them anew.
#[test]
fn the_page_has_the_tables_of_the_registry() {
    let mut page = PAGE.to_owned();
    for (name, table) in settings_tables() {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let from = page.find(&begin).unwrap_or_else(|| panic!("{begin} is missing")) + begin.len();
        let to = page.find(&end).unwrap_or_else(|| panic!("{end} is missing"));
        page.replace_range(from..to, &format!("\n{table}\n"));
    }
    if std::env::var_os("NPAIR_WRITE").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/settings.md");
        std::fs::write(path, &page).unwrap();
    }
    assert!(page == PAGE, "docs/guide/settings.md is not what the registry says: NPAIR_WRITE=1 writes it");
    assert_eq!(Config::default().loss, LossConfig::named("n-pair-mc").unwrap());
    assert_eq!(Config::default().miner, None);
}

#[test]
fn reducers_stand_on_the_page() {
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
