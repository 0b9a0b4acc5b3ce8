//! Looking at a data set before and after training: what is there twice, what is called wrongly.
#![allow(clippy::unwrap_used)]

mod program;

use npair_evaluate::{Vectors, suspect_labels};
use npair_types::Measure;
use program::{fails, npair, ok, signs};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// 30 signs of 8 drawings; the sixth drawing of four of them lies with another sign, and a larger copy of the first of ten too.
fn planted(dir: &Path) -> Vec<String> {
    signs(&dir.join("photos"), 30, 8);
    let at = |class: u32, file: &str| dir.join(format!("photos/s{class:02}/{file}"));
    let mut moved = Vec::new();
    for class in 0..4 {
        fs::rename(at(class, "5.png"), at(class + 20, &format!("moved{class}.png"))).unwrap();
        moved.push(format!("s{:02}/moved{class}.png", class + 20));
    }
    for class in 4..14 {
        let picture = image::open(at(class, "0.png")).unwrap();
        let larger = picture.resize_exact(64, 64, image::imageops::FilterType::Triangle);
        larger.save(at(class + 14, &format!("copy{class}.png"))).unwrap();
    }
    moved
}

/// A small run on some pictures.
fn train(data: &str, out: &str, dir: &Path) {
    let sets = ["model.width=16", "model.blocks=2", "images.size=28", "training.steps=100", "training.eval_every=100"];
    let mut args = vec!["train", "--data", data, "--out", out, "--seed", "1"];
    sets.iter().for_each(|set| args.extend(["--set", set]));
    ok(&args, dir);
}

#[test]
fn a_run_says_which_labels_look_wrong_and_what_is_on_two_sides_of_it() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let moved = planted(dir);
    // A network that has not learned the wrong labels by heart.
    signs(&dir.join("clean"), 30, 8);
    train("clean", "good", dir);
    let text = ok(&["data", "check", "photos", "--run", "good", "--sheets", "looks"], dir);
    assert!(text.contains("labels look wrong: these lie much nearer to another class"), "{text}");
    let found: Value = serde_json::from_str(&ok(&["data", "check", "photos", "--run", "good", "--json"], dir)).unwrap();
    let labels = found["suspects"]["labels"].as_array().unwrap();
    let named = |suspect: &Value| suspect["example"].as_str().unwrap().to_owned();
    let is_planted = |name: &str| moved.iter().any(|m| name.ends_with(m.as_str())) || name.contains("copy");
    // They are what the library finds in the run's embeddings, and the first is one that was moved or copied.
    ok(&["embed", "good", "--data", "photos", "--out", "x.safetensors"], dir);
    let embedded = Vectors::read(&dir.join("x.safetensors")).unwrap();
    let want = suspect_labels(&embedded.labeled().unwrap(), Measure::Cosine).unwrap();
    let mut list = csv::Reader::from_path(dir.join("x.csv")).unwrap();
    let all: Vec<String> = list.records().map(|row| row.unwrap()[3].to_owned()).collect();
    let names = |row: usize| all[row].clone();
    assert_eq!(labels.iter().map(named).collect::<Vec<_>>(), want.iter().map(|s| names(s.row)).collect::<Vec<_>>());
    assert!(labels.first().is_some_and(|first| is_planted(&named(first))), "{labels:#?}");
    for sheet in ["twins.png", "labels.png"] {
        assert!(image::open(dir.join("looks").join(sheet)).unwrap().width() > 90, "{sheet}");
    }
    assert!(fails(&["data", "check", "photos", "--sheets", "looks"], dir, 2).contains("--force"));
    assert!(fails(&["data", "check", "photos", "--device", "cpu"], dir, 2).contains("has no effect"));
    copies_on_two_sides(dir);
    // A bad picture is said first.
    fs::write(dir.join("photos/s00/bad.png"), "no picture").unwrap();
    let out = npair(&["data", "check", "photos", "--run", "run"], dir);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(3) && said.contains("nothing is embedded while pictures are bad"), "{said}");
}

/// What the run learned from and is judged on is known by its own split.
fn copies_on_two_sides(dir: &Path) {
    train("photos", "run", dir);
    let text = ok(&["data", "check", "photos", "--run", "run"], dir);
    let found: Value = serde_json::from_str(&ok(&["data", "check", "photos", "--run", "run", "--json"], dir)).unwrap();
    let split = fs::read_to_string(dir.join("run/split.csv")).unwrap();
    let mut table = csv::Reader::from_reader(split.as_bytes());
    let rows = table.records().flatten().filter(|row| row.len() == 7);
    // By the names within the folder.
    let inner = |path: &str| path.rsplit_once("photos/").unwrap().1.to_owned();
    let sides: HashMap<String, String> = rows.map(|row| (inner(&row[6]), row[0].to_owned())).collect();
    let across = found["across_the_split"].as_array().unwrap();
    assert!(!across.is_empty() && text.contains("on two sides of the run's split"), "{text}");
    for pair in across {
        let side = |name: &str| sides[&inner(pair[name].as_str().unwrap())].clone();
        assert!((side("one") == "train") != (side("other") == "train"), "{pair}");
    }
    // Pictures are known by their content, wherever they lie now.
    fs::rename(dir.join("photos"), dir.join("moved")).unwrap();
    let moved: Value = serde_json::from_str(&ok(&["data", "check", "moved", "--run", "run", "--json"], dir)).unwrap();
    assert_eq!(moved["across_the_split"].as_array().unwrap().len(), across.len());
    fs::rename(dir.join("moved"), dir.join("photos")).unwrap();
}
