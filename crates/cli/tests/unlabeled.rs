//! Pictures without classes: learned from as they lie there, judged by their views, and by classes where others have some.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok, pictures, signs};
use serde_json::Value;

const SMALL: [&str; 6] = ["--set", "training.steps=40", "--set", "model.width=8", "--set", "images.size=20"];

#[test]
fn a_flat_folder_is_learned_from_and_judged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Five drawings of each of 12 signs lie in one folder; five others keep their names.
    signs(&dir.join("labeled"), 12, 10);
    std::fs::create_dir(dir.join("flat")).unwrap();
    for (class, nth) in (0..12).flat_map(|class| (0..5).map(move |nth| (class, nth))) {
        let from = dir.join(format!("labeled/s{class:02}/{nth}.png"));
        std::fs::rename(from, dir.join(format!("flat/p{class:02}{nth}.png"))).unwrap();
    }
    let said = fails(&["train", "--data", "flat", "--out", "run"], dir, 3);
    assert!(said.contains("holds 60 pictures but no class folders"), "{said}");
    assert!(said.contains("data.views=2 (npair train --unlabeled)"), "{said}");

    let said = ok(&["plan", "--data", "flat", "--unlabelled", SMALL[0], SMALL[1]], dir);
    assert!(said.contains("60 pictures, each a class of its own"), "{said}");
    for line in
        ["nt-xent, temperature 0.2", "42 pictures in 2 views", "strongly changed", "known by changed views of it"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("not of finding what shows the same"), "{said}");

    let said = ok(&[&["train", "--data", "flat", "--out", "run", "--unlabeled"][..], &SMALL].concat(), dir);
    assert!(said.contains("84 examples of 42 classes"), "{said}");
    let config: toml::Table = std::fs::read_to_string(dir.join("run/config.toml")).unwrap().parse().unwrap();
    assert_eq!((config["data"]["views"].as_integer(), config["loss"]["name"].as_str()), (Some(2), Some("nt-xent")));
    assert!(config["images"]["augment"]["rotate"].as_float().unwrap() >= 10., "{config}");
    // The split is over pictures: a line each.
    let split = std::fs::read_to_string(dir.join("run/split.csv")).unwrap();
    let side = |side: &str| split.lines().filter(|line| line.starts_with(side)).count();
    assert_eq!([side("train,"), side("val,"), side("test,")], [42, 6, 12]);

    let judged = ok(&["eval", "run"], dir);
    assert!(judged.contains("not of finding what shows the same"), "{judged}");
    let judged: Value = serde_json::from_str(&ok(&["eval", "run", "--json"], dir)).unwrap();
    assert_eq!((&judged["examples"], &judged["classes"]), (&24.into(), &12.into()));
    let names: Vec<&str> =
        judged["baselines"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["chance", "pixels as seen", "untrained network"]);
    // Another view of the same drawing is found more often than by chance, which finds more than three of 24 once in fifty times.
    let recall = |judged: &Value| {
        let scores = judged["scores"].as_array().unwrap();
        scores.iter().find(|score| score["name"] == "recall@1").unwrap()["value"].as_f64().unwrap()
    };
    assert!(recall(&judged) > 3. / 23., "{judged}");

    // Classes of others.
    let judged: Value = serde_json::from_str(&ok(&["eval", "run", "--data", "labeled", "--json"], dir)).unwrap();
    assert_eq!(judged["classes"], 12);
    // And by class, with no class ever told: more than twelve of 60 come by chance, of which four are expected, once in six thousand times.
    assert!(recall(&judged) > 3. * 4. / 59., "{judged}");
    ok(&["embed", "run", "--data", "flat", "--out", "x.npy"], dir);
    assert_eq!(std::fs::read_to_string(dir.join("x.csv")).unwrap().lines().count(), 61);
    let said = fails(&["train", "--resume", "run", "--unlabeled", "--more", "2"], dir, 2);
    assert!(said.contains("leave out --config, --seed and --unlabeled"), "{said}");
    ok(&["train", "--resume", "run", "--more", "2"], dir);
}

/// Folders mean nothing to learning, and everything to judging by them.
#[test]
fn class_folders_are_passed_over_and_judged_by() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Fewer classes than the usual split has room for.
    pictures(&dir.join("data"), 10, 6);
    let said = ok(&[&["train", "--data", "data", "--out", "run", "--set", "data.views=3"][..], &SMALL].concat(), dir);
    assert!(said.contains("126 examples of 42 classes"), "{said}");
    let views: Value = serde_json::from_str(&ok(&["eval", "run", "--json"], dir)).unwrap();
    assert_eq!((&views["examples"], &views["classes"]), (&36.into(), &12.into()));
    let classes: Value =
        serde_json::from_str(&ok(&["eval", "run", "--set", "data.views=0", "--split", "all", "--json"], dir)).unwrap();
    assert_eq!((&classes["examples"], &classes["classes"]), (&60.into(), &10.into()));
    let said =
        fails(&["train", "--data", "data", "--out", "x", "--set", "data.views=2", "--set", "data.levels=1"], dir, 2);
    assert!(said.contains("data.levels: says which folders name the class"), "{said}");
}
