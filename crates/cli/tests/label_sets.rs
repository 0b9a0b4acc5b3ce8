//! Pictures that have several labels: planned, learned from, judged by what they share, refused where that makes no sense.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok};
use serde_json::Value;
use std::path::Path;

const COLOURS: [(&str, [u8; 3]); 4] =
    [("red", [220, 30, 30]), ("green", [20, 180, 60]), ("blue", [30, 60, 220]), ("yellow", [230, 210, 30])];
const SHAPES: [&str; 5] = ["bar", "pillar", "frame", "dots", "corner"];

/// Whether a pixel of a 24 x 24 picture belongs to a shape.
fn inside(shape: &str, x: u32, y: u32) -> bool {
    match shape {
        "bar" => (9..15).contains(&y),
        "pillar" => (9..15).contains(&x),
        "frame" => !(4..20).contains(&x) || !(4..20).contains(&y),
        "dots" => x % 6 < 2 && y % 6 < 2,
        _ => x < 10 && y < 10,
    }
}

/// Six drawings of every colour and shape, a table with both as the label of each.
fn draw(dir: &Path) {
    std::fs::create_dir(dir.join("all")).unwrap();
    let mut table = "path,label\n".to_owned();
    for (c, (colour, rgb)) in COLOURS.iter().enumerate() {
        for (s, shape) in SHAPES.iter().enumerate() {
            for n in 0..6u32 {
                let name = format!("all/{c}{s}{n}.png");
                let shade = |x: u32, y: u32| ((x * 7 + y * 13 + n * 29) % 40) as u8;
                let pixel = |x: u32, y: u32| match inside(shape, (x + n) % 24, y) {
                    true => image::Rgb(rgb.map(|v| v.saturating_sub(shade(x, y)))),
                    false => image::Rgb([120 + shade(y, x); 3]),
                };
                image::RgbImage::from_fn(24, 24, pixel).save(dir.join(&name)).unwrap();
                // In whatever order and with whatever space: the same set.
                let label = if n % 2 == 0 { format!("{colour} + {shape}") } else { format!("{shape}+{colour}") };
                table += &format!("{name},{label}\n");
            }
        }
    }
    std::fs::write(dir.join("table.csv"), table).unwrap();
}

const ASKED: [&str; 8] = [
    "--set",
    "data.label_separator=+",
    "--set",
    "training.steps=60",
    "--set",
    "model.width=16",
    "--set",
    "training.eval_every=60",
];

#[test]
fn pictures_of_several_labels_are_learned_from_and_judged_by_what_they_share() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    draw(dir);
    let said = ok(&[&["plan", "--data", "csv=table.csv"][..], &ASKED[..2]].concat(), dir);
    for part in ["multi-sup-con", "every label that two examples share", "9 labels, 4 examples of each"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = ok(&[&["train", "--data", "csv=table.csv", "--out", "run"][..], &ASKED].concat(), dir);
    assert!(said.contains("overlap@1"), "{said}");
    let config: toml::Table = std::fs::read_to_string(dir.join("run/config.toml")).unwrap().parse().unwrap();
    assert_eq!(config["loss"]["name"].as_str(), Some("multi-sup-con"));
    assert_eq!(config["data"]["label_separator"].as_str(), Some("+"));

    // Combinations that were never seen, of labels that were.
    let judged: Value = serde_json::from_str(&ok(&["eval", "run", "--json"], dir)).unwrap();
    assert_eq!((&judged["examples"], &judged["classes"]), (&24.into(), &4.into()));
    let score = |name: &str| {
        let scores = judged["scores"].as_array().unwrap();
        scores.iter().find(|score| score["name"] == name).unwrap()["value"].as_f64().unwrap()
    };
    let notes = judged["notes"].to_string();
    assert!(notes.contains("drawn at random the labels overlap by"), "{notes}");
    // The nearest of six drawings of each of four combinations is nearly always one of the same: chance is 5 in 23.
    assert!(score("overlap@1") > 0.6 && score("shared@1") >= score("overlap@1"), "{judged}");
    assert!(score("shared@10") >= score("shared@4") && score("overlap@10") > 0.2, "{judged}");
    let table = ok(&["eval", "run"], dir);
    assert!(table.contains("overlap@10") && !table.contains("same or not"), "{table}");
    // No set stands on two sides.
    let split = std::fs::read_to_string(dir.join("run/split.csv")).unwrap();
    let mut sides = std::collections::BTreeMap::<String, Vec<String>>::new();
    for row in csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(split.as_bytes()).records() {
        let row = row.unwrap();
        sides.entry(row[2].to_owned()).or_default().push(row[0].to_owned());
    }
    assert_eq!(sides.len(), 20, "{sides:?}");
    assert!(sides.iter().all(|(set, of)| of.len() == 6 && of.iter().all(|side| *side == of[0]) && set.contains('+')));
    ok(&["train", "--resume", "run", "--more", "5"], dir);
    answers(dir);
}

/// Everything that comes behind training goes by shared labels, or says why it does not.
fn answers(dir: &Path) {
    let said = ok(&["doctor", "run"], dir);
    assert!(said.contains("shares no label with another"), "{said}");
    ok(&["report", "run"], dir);
    let page = std::fs::read_to_string(dir.join("run/report.html")).unwrap();
    assert!(page.contains("overlap@10") && !page.contains("Verification"));
    ok(
        &[&["train", "--data", "csv=table.csv", "--out", "other", "--set", "loss.name=multi-similarity"][..], &ASKED]
            .concat(),
        dir,
    );
    let compared = ok(&["compare", "run", "other"], dir);
    assert!(compared.contains("overlap@10") && !compared.contains("recall@1"), "{compared}");
    let said = ok(&["index", "run", "--out", "shop"], dir);
    assert!(
        said.contains("no thresholds: the run of its model had no validation split with pairs of one class"),
        "{said}"
    );
    let said = ok(&["search", "shop", "all/000.png", "-k", "3"], dir);
    assert!(said.contains("bar+red"), "{said}");
    let said = fails(&["data", "check", "csv=table.csv", "--run", "run"], dir, 2);
    assert!(said.contains("--run") && said.contains("learned sets of labels"), "{said}");
    let said = fails(&["verify", "shop", "all/000.png", "all/001.png"], dir, 2);
    assert!(said.contains("one of sets of labels has none"), "{said}");
}

#[test]
fn what_does_not_go_with_sets_of_labels_is_said_first() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    draw(dir);
    let refused = |sets: &[&str], parts: &[&str]| {
        let mut args = vec!["train", "--data", "csv=table.csv", "--out", "run"];
        sets.iter().for_each(|set| args.extend(["--set", set]));
        let said = fails(&args, dir, 2);
        assert!(parts.iter().all(|part| said.contains(part)), "{sets:?}: {said}");
        assert!(!dir.join("run").exists());
    };
    refused(&["data.label_separator= "], &["data.label_separator", "is empty"]);
    refused(&["data.label_separator=#"], &["data.label_separator", "stands in no class's name"]);
    refused(&["data.label_separator=+", "loss.name=n-pair-mc"], &["loss.name", "is n-pair-mc", "multi-sup-con"]);
    refused(&["data.label_separator=+", "loss.name=sup-con"], &["loss.name", "is sup-con", "exactly the same labels"]);
    refused(&["data.label_separator=+", "batch.per_class=1"], &["batch.per_class", "at least 2"]);
    refused(&["data.label_separator=+", "data.seen=1"], &["data.seen", "hardly two have the same labels"]);
    refused(&["data.label_separator=+", "batch.temper=0.5"], &["batch.temper", "labels do"]);
    refused(&["data.label_separator=+", "batch.classes=40"], &["batch.classes", "at most 9"]);
}
