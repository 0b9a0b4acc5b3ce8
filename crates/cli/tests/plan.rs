//! Settings chosen from the data: shown before training, taken where nothing else is written, with their reasons.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok, picture, pictures};
use std::path::Path;

fn settings(run: &Path) -> toml::Table {
    std::fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

#[test]
fn a_plan_is_shown_without_training() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 24, 6);
    let said = ok(&["plan", "--data", "data", "--minutes", "0.05"], dir);
    assert!(said.contains("144 examples of 24 classes, 6 to 6 a class"), "{said}");
    for key in ["images", "loss", "batch", "optimizer", "training.steps"] {
        assert!(said.lines().any(|line| line.trim_start().starts_with(&format!("{key} "))), "{key}: {said}");
    }
    assert_eq!(std::fs::read_dir(dir).unwrap().count(), 1, "nothing is written");
    let json: serde_json::Value =
        serde_json::from_str(&ok(&["plan", "--data", "data", "--minutes", "0.05", "--json"], dir)).unwrap();
    assert_eq!((&json["plan"]["facts"]["classes"], &json["settings"]["batch"]["per_class"]), (&24.into(), &5.into()));
    // What the plan prints as TOML is what a run can be started with.
    let toml = ok(&["plan", "--data", "data", "--toml", "--set", "training.steps=3", "--set", "model.width=4"], dir);
    std::fs::write(dir.join("plan.toml"), toml).unwrap();
    ok(&["train", "--config", "plan.toml", "--out", "run"], dir);
    assert_eq!(settings(&dir.join("run"))["batch"]["per_class"].as_integer(), Some(5));
}

#[test]
fn what_is_written_is_not_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 24, 6);
    let sets =
        ["training.steps=3", "model.width=4", "images.size=12", "images.augment.flip=0.25", "loss.name=n-pair-mc"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    ok(&[&["train", "--data", "data", "--out", "run"][..], &sets].concat(), dir);
    let made = settings(&dir.join("run"));
    assert_eq!(made["images"]["size"].as_integer(), Some(12));
    assert_eq!(made["images"]["channels"].as_str(), Some("rgb"));
    assert_eq!(made["images"]["augment"]["flip"].as_float(), Some(0.25));
    assert_eq!((made["loss"]["name"].as_str(), made["batch"]["per_class"].as_integer()), (Some("n-pair-mc"), Some(2)));
    // Without a plan everything has its usual value.
    ok(&[&["train", "--no-plan", "--data", "data", "--out", "usual"][..], &sets[..4]].concat(), dir);
    let usual = settings(&dir.join("usual"));
    assert_eq!(usual["loss"]["name"].as_str(), Some("n-pair-mc"));
    assert_eq!(usual["optimizer"]["learning_rate"].as_float(), Some(0.003));
    let minutes = ["train", "--data", "data", "--out", "x", "--minutes", "1", "--set", "training.steps=3"];
    assert!(fails(&minutes, dir, 2).contains("--minutes: and training.steps both say how long"));
    assert!(fails(&["train", "--data", "data", "--out", "x", "--minutes", "0"], dir, 2).contains("above 0"));
    assert!(!dir.join("x").exists());
}

/// Pictures are made as a network wants them that was named and nothing else.
#[test]
fn a_network_by_its_name_gets_pictures_of_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 24, 6);
    for (name, size, resize, channels) in [("resnet18", 224, 259, "rgb"), ("casia-net", 100, 116, "grey")] {
        let network = format!("model.backbone={name}");
        let made = ok(&["plan", "--data", "data", "--set", &network, "--set", "training.steps=1", "--toml"], dir);
        let made: toml::Table = made.parse().unwrap();
        let images = &made["images"];
        assert_eq!((images["size"].as_integer(), images["channels"].as_str()), (Some(size), Some(channels)), "{made}");
        assert_eq!(images["resize"]["short-side"].as_integer(), Some(resize), "{made}");
    }
}

#[test]
fn a_finished_run_goes_on_for_more_steps() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 24, 6);
    let sets = ["training.steps=3", "model.width=4", "images.size=12", "training.average=0.9", "training.patience=5"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    ok(&[&["train", "--data", "data", "--out", "run"][..], &sets].concat(), dir);
    let said = ok(&["train", "--resume", "run", "--more", "4"], dir);
    assert!(said.contains("7 steps instead of 3"), "{said}");
    assert_eq!(settings(&dir.join("run"))["training"]["steps"].as_integer(), Some(7));
    let journal = std::fs::read_to_string(dir.join("run/metrics.jsonl")).unwrap();
    let steps = journal.lines().filter(|line| line.contains("\"kind\":\"step\"")).count();
    assert_eq!(steps, 7);
    assert!(journal.contains("average of weights"));
    let fewer = ["train", "--resume", "run", "--set", "training.steps=5"];
    assert!(fails(&fewer, dir, 2).contains("training.steps: cannot go below the 7"));
    let judged: serde_json::Value = serde_json::from_str(&ok(&["eval", "run", "--json"], dir)).unwrap();
    assert!(judged["checkpoint"]["step"].as_u64().is_some_and(|step| (1..=7).contains(&step)), "{judged}");
    let names: Vec<&str> =
        judged["baselines"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["chance", "pixels 8 x 8", "pixels 16 x 16", "pixels 64 x 64", "untrained network"]);
}

/// A part of a data set that is all for training has no side of its own to be judged on.
#[test]
fn a_part_for_training_alone_is_split_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (class, number) in (0..24).flat_map(|class| (0..4).map(move |number| (class, number))) {
        let (alphabet, character) = (class / 8, class % 8 + 1);
        let name = format!("character{character:02}/{:04}_{:02}.png", class + 1, number + 1);
        picture(&dir.join(format!("omni/images_background/A{alphabet}/{name}")), class, number);
    }
    let sets = ["training.steps=3", "model.width=4", "images.size=12"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    ok(&[&["train", "--data", "omniglot=omni", "--out", "run"][..], &sets].concat(), dir);
    let split = std::fs::read_to_string(dir.join("run/split.csv")).unwrap();
    for side in ["train,", "val,", "test,"] {
        assert!(split.lines().any(|line| line.starts_with(side)), "{side} {split}");
    }
}

/// The head learns on features of the backbone as it is, is judged, and only then everything trains.
#[test]
fn a_network_with_weights_learns_in_stages() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 24, 6);
    let sets = ["training.steps=3", "model.width=4", "images.size=12"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    ok(&[&["train", "--data", "data", "--out", "first"][..], &sets].concat(), dir);
    // Neither a name nor a config.json tells the network.
    std::fs::copy(dir.join("first/checkpoints/best/model.safetensors"), dir.join("w.safetensors")).unwrap();
    let said = fails(&["train", "--data", "data", "--out", "x", "--set", "model.pretrained=w.safetensors"], dir, 2);
    assert!(said.contains("neither a config.json beside w.safetensors nor its name tells which network"), "{said}");
    // A run's own settings do.
    let told = ok(&["plan", "--data", "data", "--set", "model.pretrained=first", "--set", "training.steps=3"], dir);
    assert!(told.contains("model.backbone") && told.contains("that of first"), "{told}");
    let net = "model.backbone={architecture=\"conv-net\",channels=3,size=12,width=4,blocks=2}";
    let sets = ["model.pretrained=first", net, "images.size=12", "model.head_steps=5", "training.steps=3"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let said = ok(&[&["train", "--data", "data", "--out", "fine"][..], &sets].concat(), dir);
    assert!(said.contains("the head alone learned for 5 steps"), "{said}");
    assert!(said.contains("recall@1 of the features as they come was"), "{said}");
    let made = settings(&dir.join("fine"));
    assert_eq!(made["model"]["frozen_norms"].as_bool(), Some(true));
    assert_eq!(made["optimizer"]["group"][0]["prefix"].as_str(), Some("head"));
    let journal = std::fs::read_to_string(dir.join("fine/metrics.jsonl")).unwrap();
    let first = journal.lines().find(|line| line.contains("\"kind\":\"evaluation\"")).unwrap();
    assert!(first.contains("\"step\":0"), "{first}");
    let judged: serde_json::Value = serde_json::from_str(&ok(&["eval", "fine", "--json"], dir)).unwrap();
    assert_eq!(judged["baselines"][4]["name"], "pretrained features");
}
