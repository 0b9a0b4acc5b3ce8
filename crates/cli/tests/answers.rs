//! From a trained run to an answer: thresholds, an index, searches, groups, a page, a comparison.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok, pictures};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A run of a few steps on 30 classes of 6 pictures.
fn trained(dir: &Path, name: &str, more: &[&str]) {
    if !dir.join("photos").exists() {
        pictures(&dir.join("photos"), 30, 6);
    }
    let small = ["model.width=8", "model.blocks=2", "images.size=16", "training.steps=30", "training.eval_every=10"];
    let seed = if more.contains(&"--seed") { &[][..] } else { &["--seed", "1"] };
    let mut args = vec!["train", "--data", "photos", "--out", name];
    args.extend(seed);
    small.iter().for_each(|set| args.extend(["--set", set]));
    args.extend(more);
    ok(&args, dir);
}

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn thresholds_are_kept_with_the_run_and_judged_on_other_classes() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    trained(dir, "run", &[]);
    let kept: Value = serde_json::from_str(&fs::read_to_string(dir.join("run/thresholds.json")).unwrap()).unwrap();
    let rates = |verifier: &Value| -> Vec<f64> {
        verifier["thresholds"].as_array().unwrap().iter().map(|t| t["far"].as_f64().unwrap()).collect()
    };
    assert_eq!(rates(&kept["verifier"]), [0.001, 0.01, 0.1]);
    assert_eq!(kept["verifier"]["measure"], "cosine");
    let text = ok(&["eval", "run", "--no-baselines"], dir);
    assert!(text.contains("same or not, from the similarity that 18 examples of 3 classes"), "{text}");
    // Few pairs tell no low rate: that is said.
    assert!(text.contains("pairs of two classes are too few to know a false accept rate of 0.001"), "{text}");
    let judged = &json(&ok(&["eval", "run", "--no-baselines", "--far", "5%", "--json"], dir))[0]["verification"];
    assert_eq!(rates(&judged["learned"]["verifier"]), [0.001, 0.01, 0.05, 0.1]);
    assert_eq!((judged["rates"].as_array().unwrap().len(), &judged["on_itself"]), (4, &Value::Bool(false)));
    for rates in judged["rates"].as_array().unwrap() {
        let [far, frr, accuracy] = ["far", "frr", "accuracy"].map(|name| rates[name].as_f64().unwrap());
        assert!((accuracy - (2. - far - frr) / 2.).abs() < 1e-12, "{rates}");
    }
    // Other data is judged where the run's own is gone, with its thresholds or without.
    fs::rename(dir.join("photos"), dir.join("moved")).unwrap();
    let text = ok(&["eval", "run", "--no-baselines", "--data", "moved", "--split", "all"], dir);
    assert!(text.contains("same or not"), "{text}");
    fs::remove_file(dir.join("run/thresholds.json")).unwrap();
    let text = ok(&["eval", "run", "--no-baselines", "--data", "moved", "--split", "all"], dir);
    assert!(text.contains("no thresholds") && !text.contains("same or not"), "{text}");
    fs::rename(dir.join("moved"), dir.join("photos")).unwrap();
    // A damaged file is named, with the cure.
    fs::write(dir.join("run/thresholds.json"), "{").unwrap();
    let said = fails(&["eval", "run", "--no-baselines"], dir, 3);
    assert!(said.contains("thresholds.json") && said.contains("remove it"), "{said}");
    let refused = program::npair(&["eval", "run", "--far", "2"], dir);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("between 0 and 1"), "{said}");
}

#[test]
fn an_index_answers_and_changes() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    trained(dir, "run", &[]);
    let text = ok(&["index", "run", "photos", "--out", "shop"], dir);
    assert!(text.contains("shop: 180 rows of width 64, 30 classes, compared by cosine"), "{text}");
    // What is there already finds itself first, in its own folder.
    let query = "photos/c007/p03.png";
    let found = json(&ok(&["search", "shop", query, "-k", "4", "--json"], dir));
    let answers = found[0]["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 4);
    assert!(answers[0]["path"].as_str().unwrap().ends_with(query), "{found:?}");
    assert!(answers[0]["similarity"].as_f64().unwrap() > 0.9999 && answers[0]["matches"] == true);
    assert!(answers.windows(2).all(|two| two[0]["similarity"].as_f64() >= two[1]["similarity"].as_f64()));
    let text = ok(&["search", "shop", query, "--class", "c003", "--grid", "found.png"], dir);
    assert!(text.lines().skip(1).all(|line| line.contains("c003")), "{text}");
    assert!(image::open(dir.join("found.png")).unwrap().width() > 16 * 6);
    assert!(fails(&["search", "shop", query, "--grid", "found.png"], dir, 2).contains("--force"));
    // Both ways to find more were tried on the validation classes, and say what came of it.
    let known = json(&ok(&["index", "shop", "--json"], dir));
    assert_eq!(known[0]["trials"].as_array().unwrap().len(), 2, "{known:?}");
    for (option, what) in [("--rerank", "re-ranking "), ("--expand", "query expansion ")] {
        let out = program::npair(&["search", "shop", query, "-k", "4", option], dir);
        let (found, said) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
        assert!(out.status.success() && found.lines().count() == 5 && found.contains(query), "{found}{said}");
        assert!(said.contains(what) && said.contains("on 3 classes that were not learned from: MAP@R"), "{said}");
    }
    let refused = program::npair(&["search", "shop", query, "--rerank", "--expand"], dir);
    assert!(refused.status.code() == Some(2), "{refused:?}");
    // A new class is enrolled by its pictures, and taken out again.
    pictures(&dir.join("more"), 1, 2);
    fs::rename(dir.join("more/c000"), dir.join("more/owl")).unwrap();
    let text = ok(&["index", "shop", "--add", "more"], dir);
    assert!(text.contains("2 rows added") && text.contains("182 rows"), "{text}");
    let text = ok(&["index", "shop", "--add", "more", "--json"], dir);
    assert_eq!(json(&text)[1]["rows"], 182, "{text}");
    let text =
        ok(&["index", "shop", "--remove", "class=owl", "--compact", "--approximate", "--export", "shop.sql"], dir);
    assert!(text.contains("2 rows removed") && text.contains("approximate search finds 1.0000"), "{text}");
    assert!(fs::read_to_string(dir.join("shop.sql")).unwrap().contains("vector(64)"));
    let near = json(&ok(&["search", "shop", query, "--approximate", "-k", "4", "--json"], dir));
    assert_eq!(near, found);
    let path = found[0]["answers"][0]["path"].as_str().unwrap();
    fs::write(dir.join("old.csv"), format!("why,path\n\"old, worn\",\"{path}\"\n")).unwrap();
    assert!(ok(&["index", "shop", "--remove", "old.csv"], dir).contains("1 rows removed"));
    assert!(fails(&["index", "shop", "--remove", "old.csv"], dir, 2).contains("is no path of the index"));
    assert!(fails(&["index", "run", "photos", "--out", "shop"], dir, 2).contains("is there already"));
    assert!(fails(&["index", "photos"], dir, 2).contains("is no index"));
    assert!(fails(&["index", "shop", "photos"], dir, 2).contains("--add"));
}

#[test]
fn two_pictures_are_the_same_or_not_and_groups_are_found() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    trained(dir, "run", &[]);
    ok(&["index", "run", "--split", "test", "--out", "shop"], dir);
    let (a, b) = ("photos/c001/p00.png", "photos/c001/p01.png");
    let text = ok(&["verify", "shop", a, a], dir);
    assert!(text.starts_with("the same: cosine 1.0000"), "{text}");
    let decided = &json(&ok(&["verify", "shop", a, b, "--far", "0.1", "--json"], dir))[0];
    let [similarity, threshold] = ["similarity", "threshold"].map(|name| decided[name].as_f64().unwrap());
    assert_eq!(decided["matches"], similarity >= threshold);
    assert!(
        fails(&["verify", "shop", a, b, "--far", "0.00001"], dir, 2).contains("no threshold for a false accept rate")
    );
    assert!(fails(&["verify", "shop", a, "photos"], dir, 2).contains("holds 180 pictures: give one"));
    let text = ok(&["cluster", "shop", "--out", "groups", "--threshold", "0.9"], dir);
    assert!(text.contains("36 pictures in") && text.contains("NMI"), "{text}");
    let table = fs::read_to_string(dir.join("groups/groups.csv")).unwrap();
    assert_eq!(table.lines().count(), 37);
    assert!(dir.join("groups/groups.png").is_file() && fs::read_dir(dir.join("groups/00000")).unwrap().count() > 0);
    let scores = &json(&ok(&["cluster", "shop", "--data", "photos", "--k", "30", "--out", "k", "--json"], dir))[0];
    assert_eq!((scores["examples"].as_u64(), scores["groups"].as_u64()), (Some(180), Some(30)));
    assert!(fails(&["cluster", "shop", "--out", "groups"], dir, 2).contains("is there already"));
}

#[test]
fn a_network_is_taken_elsewhere_and_used_from_there() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    trained(dir, "run", &[]);
    let text = ok(&["export", "run", "--to", "hub", "--out", "hub"], dir);
    assert!(
        text.contains("README.md, check.safetensors, config.json, load.py, model.safetensors, thresholds.json"),
        "{text}"
    );
    let card = fs::read_to_string(dir.join("hub/README.md")).unwrap();
    assert!(
        card.starts_with("---\nlibrary_name: npair") && card.contains("| recall@1 | R-precision | EER |"),
        "{card}"
    );
    ok(&["export", "run", "--to", "torch", "--out", "torch"], dir);
    let loader = fs::read_to_string(dir.join("torch/load.py")).unwrap();
    assert!(loader.contains("CHANNELS, WIDTH, BLOCKS = 3, 8, 2"), "{loader}");
    assert!(fails(&["export", "run", "--to", "torch", "--out", "torch"], dir, 2).contains("is there already"));
    // The folder is used as a run is, and brings its thresholds along; it has no validation classes to try anything on.
    let of = |folder: &str, out: &str| ok(&["index", folder, "photos", "--out", out], dir).replace(out, "x");
    let (run, hub) = (of("run", "one"), of("hub", "two"));
    assert!(run.starts_with(&hub) && hub.lines().count() == 2, "{run}{hub}");
}

#[test]
fn a_page_tells_of_runs_and_a_comparison_of_chance() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    trained(dir, "a", &[]);
    trained(dir, "b", &["--set", "training.steps=31"]);
    ok(&["report", "a"], dir);
    let page = fs::read_to_string(dir.join("a/report.html")).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("recall@1") && page.contains("data:image/jpeg;base64,")
    );
    assert!(!page.contains("http://") && !page.contains("https://"), "asks somebody");
    assert!(fails(&["report", "a"], dir, 2).contains("--force"));
    ok(&["report", "a", "b", "--out", "both.html"], dir);
    assert!(fs::read_to_string(dir.join("both.html")).unwrap().len() > page.len());
    let found = json(&ok(&["compare", "a", "b", "--json"], dir));
    let scores: Vec<&str> = found.iter().map(|line| line["score"].as_str().unwrap()).collect();
    assert_eq!(scores, ["recall@1", "R-precision", "MAP@R"]);
    for line in &found {
        let p = line["p"].as_f64().unwrap();
        assert_eq!(line["verdict"].as_str().unwrap().contains("chance"), p >= 0.05, "{line}");
    }
    trained(dir, "c", &["--seed", "2"]);
    let said = fails(&["compare", "a", "c"], dir, 2);
    assert!(said.contains("other examples") && said.contains("--seed"), "{said}");
}
