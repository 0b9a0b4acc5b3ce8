//! Data sets in official layouts and their protocols, from the command line.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok};
use std::path::Path;

fn picture(path: &Path, grey: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels: Vec<u8> = (0..64).map(|i| grey.wrapping_mul(i)).collect();
    let picture = npair_data::Picture::new(8, 8, 1, pixels).unwrap();
    std::fs::write(path, npair_data::sheet::encode_png(&picture).unwrap()).unwrap();
}

/// Classes 0 to 9 to learn from; 10 and 11 with queries and a gallery.
fn table(dir: &Path) {
    let mut rows = "label,path,split,is_query,is_gallery\n".to_owned();
    for class in 0..12u8 {
        for i in 0..3u8 {
            let sides = match (class < 10, i) {
                (true, _) => "train,,",
                (false, 0) => "validation,1,0",
                (false, _) => "validation,0,1",
            };
            rows += &format!("{class},{class}/{i}.png,{sides}\n");
            picture(&dir.join(format!("{class}/{i}.png")), 7 * class + i);
        }
    }
    std::fs::write(dir.join("table.csv"), rows).unwrap();
}

const TINY: [&str; 12] = [
    "--set",
    "images.size=16",
    "--set",
    "model.width=4",
    "--set",
    "model.embedding=6",
    "--set",
    "batch.classes=4",
    "--set",
    "training.steps=2",
    "--set",
    "data.split.by=official",
];

#[test]
fn a_table_is_learned_from_and_judged_by_its_own_sides() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    table(dir);
    let checked = ok(&["data", "check", "csv=table.csv"], dir);
    assert!(checked.contains("table.csv: 36 pictures of 12 classes"), "{checked}");
    let args = [&["train", "--data", "csv=table.csv", "--out", "run"][..], &TINY].concat();
    ok(&args, dir);
    let plain = ok(&["eval", "run"], dir);
    assert!(plain.contains("--protocol query-gallery") && plain.contains("6 examples, 2 classes"), "{plain}");
    let judged = ok(&["eval", "run", "--protocol", "query-gallery", "--json"], dir);
    let judged: serde_json::Value = serde_json::from_str(&judged).unwrap();
    assert_eq!((judged["scores"][0]["name"].as_str(), &judged["examples"]), (Some("recall@1"), &serde_json::json!(6)));
    assert_eq!(judged["notes"][0], "2 queries in a gallery of 4");
    // Drawn one-shot runs work on any split.
    let drawn = ok(&["eval", "run", "--protocol", "one-shot-within-groups=5", "--split", "train"], dir);
    assert!(drawn.contains("one-shot error") && drawn.contains("10-way, 5 runs"), "{drawn}");
    assert!(drawn.contains("note: the data set knows no groups"), "{drawn}");

    assert!(fails(&["eval", "run", "--protocol", "query-galery"], dir, 2).contains("omniglot-one-shot=PATH"));
    assert!(fails(&["eval", "run", "--protocol", "lfw=nowhere"], dir, 3).contains("nowhere"));
    assert!(fails(&["eval", "run", "--protocol", "lfw=x", "--data", "glyphs"], dir, 2).contains("leave --data out"));
    assert!(fails(&["eval", "run", "--data", "cup=x"], dir, 2).contains("cub=PATH"));
    assert!(fails(&["data", "check", "cup=x"], dir, 2).contains("cub=PATH"));
    assert!(fails(&["data", "check", "cub=x"], dir, 3).contains("classes.txt"));
    assert!(fails(&["train", "--out", "r", "--set", "data.source=cup=x"], dir, 2).contains("cub=PATH"));
}

#[test]
fn official_one_shot_runs_are_judged_without_the_data_learned_from() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    table(dir);
    let args = [&["train", "--data", "csv=table.csv", "--out", "run"][..], &TINY].concat();
    ok(&args, dir);
    std::fs::remove_file(dir.join("table.csv")).unwrap();
    let mut list = String::new();
    for i in 1..=3u8 {
        picture(&dir.join(format!("all_runs/run01/test/item0{i}.png")), 40 * i);
        picture(&dir.join(format!("all_runs/run01/training/class0{i}.png")), 40 * i);
        list += &format!("run01/test/item0{i}.png run01/training/class0{i}.png\n");
    }
    std::fs::write(dir.join("all_runs/run01/class_labels.txt"), list).unwrap();
    // The same pictures on both sides: no error, whatever the network has learned.
    let found = ok(&["eval", "run", "--protocol", "omniglot-one-shot=all_runs", "--json"], dir);
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["scores"][0]["name"], &found["scores"][0]["value"]), (&"one-shot error".into(), &0.0.into()));
    assert_eq!(found["notes"][0], "has 1 runs, the published set has 20");
}
