//! What a run was trained on is never judged as unseen: the split is part of the run.
#![allow(clippy::unwrap_used)]

mod program;

use program::{fails, ok, picture, pictures};
use std::path::Path;

const SMALL: [&str; 16] = [
    "--set",
    "images.size=16",
    "--set",
    "model.width=4",
    "--set",
    "model.blocks=2",
    "--set",
    "model.embedding=6",
    "--set",
    "batch.classes=4",
    "--set",
    "training.steps=4",
    "--set",
    "training.eval_every=0",
    "--set",
    "training.checkpoint_every=2",
];

fn train(dir: &Path, data: &str, run: &str, extra: &[&str]) -> String {
    let args: Vec<&str> = ["train", "--data", data, "--out", run].iter().chain(&SMALL).chain(extra).copied().collect();
    ok(&args, dir)
}

/// The scores of a run as JSON.
fn judged(dir: &Path, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&ok(&[&["eval"], args, &["--json"]].concat(), dir)).unwrap()
}

/// The rows of a run's record on a side: class and example.
fn recorded(run: &Path, side: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(run.join("split.csv")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with(&format!("{side},")));
    rows.map(|line| line.split(',').collect::<Vec<_>>()).map(|f| (f[2].to_owned(), f[6].to_owned())).collect()
}

fn notes(scores: &serde_json::Value) -> String {
    scores["notes"].to_string()
}

#[test]
fn classes_that_are_added_or_removed_do_not_move_the_split() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    train(dir, "data", "run", &[]);
    let before = judged(dir, &["run"]);
    assert_eq!((&before["classes"], &before["examples"]), (&6.into(), &24.into()));
    let test = recorded(&dir.join("run"), "test");
    // A class in front of all others, which moves every class id, and one of the test classes goes.
    picture(&dir.join("data/a-new-class/0.png"), 99, 0);
    picture(&dir.join("data/a-new-class/1.png"), 99, 1);
    let with_new = judged(dir, &["run"]);
    assert_eq!((&with_new["classes"], &with_new["scores"]), (&6.into(), &before["scores"]));
    assert!(notes(&with_new).contains("2 examples are new") && notes(&with_new).contains("a-new-class"), "{with_new}");
    assert!(notes(&with_new).contains("--split new"), "{with_new}");
    std::fs::remove_dir_all(dir.join("data").join(&test[0].0)).unwrap();
    let without = judged(dir, &["run"]);
    assert_eq!(without["classes"], 5);
    assert!(notes(&without).contains("4 examples are gone"), "{without}");
    // What has other content under an old name is no longer what was kept.
    picture(Path::new(&test[5].1), 77, 3);
    let changed = judged(dir, &["run"]);
    assert_eq!(changed["examples"], 19);
    assert!(notes(&changed).contains("1 example is of other content"), "{changed}");
    let csv = ok(&["embed", "run", "--split", "test", "--out", "e.npy"], dir);
    assert!(csv.contains("19 embeddings"), "{csv}");
}

#[test]
fn trained_pictures_are_known_whatever_the_folder_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    train(dir, "data", "run", &["--set", "data.split={by=\"classes\",val=3,test=6}"]);
    let own = judged(dir, &["run"]);
    let absolute = dir.join("data").display().to_string();
    std::fs::create_dir(dir.join("elsewhere")).unwrap();
    for (class, example) in recorded(&dir.join("run"), "train").into_iter().chain(recorded(&dir.join("run"), "test")) {
        let to = dir.join("elsewhere").join(format!("renamed-{class}")).join(Path::new(&example).file_name().unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&example, to).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir.join("data"), dir.join("link")).unwrap();
    for data in ["./data", &absolute, "data/", "link", "elsewhere"] {
        let other = judged(dir, &["run", "--data", data]);
        assert_eq!(other["classes"], 6, "{data}: {other}");
        let score = |s: &serde_json::Value| s["scores"][0].clone();
        assert_eq!(score(&other), score(&own), "{data}");
    }
    // One trained picture makes a class a trained one; the others of it are examples kept from training.
    let (class, example) = recorded(&dir.join("run"), "train").remove(0);
    pictures(&dir.join("fresh"), 5, 3);
    (0..5).for_each(|c| {
        let old = dir.join(format!("fresh/c{c:03}"));
        (0..3).for_each(|n| picture(&old.join(format!("p{n:02}.png")), 500 + c, n));
    });
    std::fs::copy(&example, dir.join("fresh/c000/known.png")).unwrap();
    let fresh = judged(dir, &["run", "--data", "fresh"]);
    assert_eq!((&fresh["classes"], &fresh["examples"]), (&4.into(), &12.into()), "{class}: {fresh}");
    assert!(notes(&fresh).contains("trained on 1 and chosen by 0; 3 more"), "{fresh}");
}

#[test]
fn a_run_goes_on_with_what_it_began_with_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    for run in ["whole", "stopped"] {
        train(dir, "data", run, &["--set", "training.steps=8"]);
    }
    // As if it had been killed after the first checkpoint: the last one is gone, the first is written again by a shorter run.
    train(dir, "data", "short", &["--set", "training.steps=8", "--set", "training.checkpoint_every=4"]);
    let rewind = || {
        let text = std::fs::read_to_string(dir.join("stopped/config.toml")).unwrap();
        std::fs::write(dir.join("stopped/config.toml"), text).unwrap();
        std::fs::remove_dir_all(dir.join("stopped/checkpoints/last")).unwrap();
    };
    rewind();
    std::fs::write(dir.join("stopped/metrics.jsonl"), "").unwrap();
    picture(&dir.join("data/a-new-class/0.png"), 99, 0);
    picture(&dir.join("data/a-new-class/1.png"), 99, 1);
    let said = ok(&["train", "--resume", "stopped"], dir);
    assert!(said.contains("the run goes on with the examples that it began with"), "{said}");
    let weights = |run: &str| std::fs::read(dir.join(run).join("checkpoints/last/model.safetensors")).unwrap();
    assert!(weights("stopped") == weights("whole"));
    let (_, example) = recorded(&dir.join("stopped"), "train").remove(0);
    std::fs::remove_file(&example).unwrap();
    let said = fails(&["train", "--resume", "stopped"], dir, 3);
    assert!(said.contains("1 example is gone") && said.contains(&example) && said.contains("Put it back"), "{said}");
}

#[test]
fn classes_and_bytes_on_two_sides_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 12, 4);
    let mut table = String::from("label,path,split,is_query,is_gallery\n");
    for class in 0..12 {
        for number in 0..4 {
            // Two classes have a picture on the other side as well.
            let test = class >= 8 || (class < 2 && number == 3);
            let side = if test { "validation,True,True" } else { "train,," };
            table += &format!("{class},c{class:03}/p{number:02}.png,{side}\n");
        }
    }
    std::fs::write(dir.join("data/list.csv"), &table).unwrap();
    let said = train(dir, "csv=data/list.csv", "run", &["--set", "data.split={by=\"official\"}"]);
    assert!(said.contains("2 classes are learned from and stand among validation or test too"), "{said}");
    assert!(notes(&judged(dir, &["run"])).contains("2 classes are learned from and stand among"));
    let checked = ok(&["data", "check", "csv=data/list.csv"], dir);
    assert!(checked.contains("2 classes stand on both sides of the split"), "{checked}");
    // The same bytes on two sides.
    pictures(&dir.join("leaky"), 30, 4);
    train(dir, "leaky", "first", &[]);
    let (from, to) =
        (recorded(&dir.join("first"), "train").remove(0).1, recorded(&dir.join("first"), "test").remove(0).1);
    std::fs::copy(&from, &to).unwrap();
    let said = train(dir, "leaky", "second", &[]);
    assert!(said.contains("1 pictures stand on two sides with the same bytes"), "{said}");
    assert!(said.contains(&from) && said.contains(&to), "{said}");
}

#[test]
fn nothing_needs_splitting_to_be_embedded_or_judged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    train(dir, "data", "run", &[]);
    // Three classes, which no split has room for.
    (0..3).for_each(|c| (0..3).for_each(|n| picture(&dir.join(format!("few/k{c}/{n}.png")), 300 + c, n)));
    let few = judged(dir, &["run", "--data", "few"]);
    assert_eq!((&few["classes"], &few["examples"]), (&3.into(), &9.into()));
    assert_eq!(judged(dir, &["run", "--data", "few", "--split", "all"])["scores"], few["scores"]);
    assert!(ok(&["embed", "run", "--data", "few", "--out", "few.npy"], dir).contains("9 embeddings"));
    // A flat folder, one class folder, one picture, a list on standard input.
    (0..3).for_each(|n| picture(&dir.join(format!("flat/{n}.png")), 400, n));
    (0..2).for_each(|n| picture(&dir.join(format!("one/k/{n}.png")), 401, n));
    for (data, out, rows) in [("flat", "flat.npy", 3), ("one", "one.npy", 2), ("flat/1.png", "single.npy", 1)] {
        let said = ok(&["embed", "run", "--data", data, "--out", out], dir);
        assert!(said.contains(&format!("{rows} embeddings")), "{data}: {said}");
    }
    // A table of validation rows alone.
    let rows: Vec<String> =
        (0..9).map(|i| format!("{},few/k{}/{}.png,validation,True,True", i / 3, i / 3, i % 3)).collect();
    std::fs::write(dir.join("val.csv"), format!("label,path,split,is_query,is_gallery\n{}\n", rows.join("\n")))
        .unwrap();
    let table = judged(dir, &["run", "--data", "csv=val.csv"]);
    assert_eq!(table["scores"], few["scores"]);
}

#[test]
fn the_same_picture_twice_is_found_by_check_also_in_another_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Noise in patches: pictures that are not each other's.
    let draw = |seed: u32, size: u32| {
        let value = |x: u32, y: u32| {
            (seed + 1).wrapping_mul(2_654_435_761).wrapping_add((y * 8 + x).wrapping_mul(2_246_822_519))
        };
        image::RgbImage::from_fn(size, size, |x, y| {
            let v = value(x * 8 / size, y * 8 / size);
            let v = (v ^ (v >> 15)).wrapping_mul(2_246_822_519);
            image::Rgb([(v >> 8) as u8, (v >> 16) as u8, (v >> 24) as u8])
        })
    };
    for (class, number) in (0..4).flat_map(|class| (0..5).map(move |number| (class, number))) {
        let path = dir.join(format!("data/k{class}/{number}.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        draw(class * 5 + number, 64).save(path).unwrap();
    }
    let clean = ok(&["data", "check", "data"], dir);
    assert!(!clean.contains("one picture"), "{clean}");
    std::fs::copy(dir.join("data/k0/0.png"), dir.join("data/k0/copy.png")).unwrap();
    draw(7, 96).save(dir.join("data/k2/again.jpg")).unwrap();
    let said = ok(&["data", "check", "data"], dir);
    assert!(
        said.contains("1 pairs are one picture, in one class") && said.contains("0.png = data/k0/copy.png"),
        "{said}"
    );
    assert!(said.contains("1 pairs are one picture, in two classes"), "{said}");
    assert!(said.contains("k1/2.png ~ data/k2/again.jpg"), "{said}");
    let json: serde_json::Value = serde_json::from_str(&ok(&["data", "check", "data", "--json"], dir)).unwrap();
    assert_eq!(json["twins"].as_array().unwrap().len(), 2);
    // A table whose test side has a training picture.
    let mut table = String::from("label,path,split,is_query,is_gallery\n");
    for class in 0..4 {
        let side = if class < 2 { "train,," } else { "validation,True,True" };
        (0..5).for_each(|n| table += &format!("{class},k{class}/{n}.png,{side}\n"));
    }
    table += "2,k2/again.jpg,validation,True,True\n";
    std::fs::write(dir.join("data/list.csv"), table).unwrap();
    let said = ok(&["data", "check", "csv=data/list.csv"], dir);
    assert!(said.contains("1 pairs are one picture, on two sides of the split"), "{said}");
}

#[test]
fn folders_named_by_the_sides_of_a_split_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (side, first, count) in [("train", 0, 20), ("test", 20, 8)] {
        for (class, number) in (first..first + count).flat_map(|class| (0..4).map(move |number| (class, number))) {
            picture(&dir.join(format!("data/{side}/c{class:03}/{number}.png")), class, number);
        }
    }
    let said = train(dir, "data", "run", &[]);
    assert!(said.contains("the sides that the folders are named by"), "{said}");
    assert_eq!(judged(dir, &["run"])["classes"], 8);
    assert!(recorded(&dir.join("run"), "test").iter().all(|(_, example)| example.contains("/test/")));
    // Said otherwise, the sides are two classes.
    let text = fails(&["train", "--data", "data", "--out", "two", "--set", "data.levels=9"], dir, 3);
    assert!(text.contains("data"), "{text}");
}

#[test]
fn another_split_may_be_asked_for_but_nothing_trained_on_becomes_unseen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    train(dir, "data", "run", &[]);
    let trained = recorded(&dir.join("run"), "train").remove(0).0;
    let test: Vec<String> = recorded(&dir.join("run"), "test").into_iter().map(|(class, _)| class).collect();
    let names = format!("data.split={{by=\"class-names\",test=[\"{trained}\",\"{}\",\"{}\"]}}", test[0], test[4]);
    let scores = judged(dir, &["run", "--set", &names]);
    assert_eq!((&scores["classes"], &scores["examples"]), (&2.into(), &8.into()), "{scores}");
    assert!(notes(&scores).contains("trained on 84 and chosen by 12"), "{scores}");
}

#[test]
fn a_record_that_is_gone_or_changed_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 30, 4);
    train(dir, "data", "run", &[]);
    let path = dir.join("run/split.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let cut = [&lines[..20], &lines[40..]].concat().join("\n");
    for changed in [text.replacen("\ntest,", "\ntrain,", 1), cut, lines[..50].join("\n")] {
        std::fs::write(&path, changed).unwrap();
        for command in [
            &["eval", "run"][..],
            &["embed", "run", "--split", "test", "--out", "e.npy"],
            &["train", "--resume", "run"],
        ] {
            let said = fails(command, dir, 3);
            assert!(said.contains("split.csv") && said.contains("checksum"), "{said}");
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert!(notes(&judged(dir, &["run"])).contains("has no split.csv"));
    // Other pictures of classes that are called alike.
    std::fs::write(&path, text).unwrap();
    (0..5).for_each(|c| (0..3).for_each(|n| picture(&dir.join(format!("alike/c{c:03}/{n}.png")), 800 + c, n)));
    assert!(
        notes(&judged(dir, &["run", "--data", "alike"])).contains("are called as classes that the run was trained on")
    );
}

#[test]
fn a_small_table_with_a_split_of_its_own_is_trained_without_validation() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pictures(&dir.join("data"), 18, 4);
    let mut table = String::from("label,path,split,is_query,is_gallery\n");
    for (class, number) in (0..18).flat_map(|class| (0..4).map(move |number| (class, number))) {
        let side = if class < 14 { "train,," } else { "validation,True,True" };
        table += &format!("{class},c{class:03}/p{number:02}.png,{side}\n");
    }
    std::fs::write(dir.join("data/list.csv"), table).unwrap();
    let said = train(dir, "csv=data/list.csv", "run", &[]);
    assert!(said.contains("none of the 14 classes to learn from are kept"), "{said}");
    assert_eq!(judged(dir, &["run"])["classes"], 4);
}
