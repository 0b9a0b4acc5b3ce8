//! A program that changes an index is killed, again and again: the index is as it was before or after a change, never between.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use npair_index::{Index, IndexSettings, NewRow, RowFilter};
use npair_similarity::Rows;
use npair_types::{Measure, Purpose, Streams};
use rand::Rng;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where the child finds its index.
const FOLDER: &str = "NPAIR_INDEX_CRASH";
const D: usize = 64;

/// The change that an index of this generation gets, which always has an effect.
fn step(index: &mut Index) {
    let number = index.generation();
    let oldest: Vec<String> = index.rows().iter().take(2).map(|row| row.path.to_string()).collect();
    let fresh: Vec<String> = (0..3).map(|i| format!("{number}-{i}.png")).collect();
    match number % 6 {
        5 => index.compact().unwrap(),
        4 => {
            let oldest: Vec<&str> = oldest.iter().map(String::as_str).collect();
            index.remove(RowFilter::Paths(&oldest)).unwrap();
        }
        kind => {
            let paths: Vec<&String> =
                if kind == 2 { oldest.iter().chain(&fresh).collect() } else { fresh.iter().collect() };
            let thumbnail = number.to_le_bytes();
            let new = |path| NewRow { path, class: Some("owl"), added: number, thumbnail: Some(&thumbnail) };
            let new: Vec<NewRow> = paths.iter().map(|path| new(path.as_str())).collect();
            let values: Vec<f32> = (0..new.len() * D).map(|i| (i as u64 + number) as f32).collect();
            index.add(&new, Rows::new(&values, D).unwrap()).unwrap();
        }
    }
}

type Contents = (Vec<npair_index::IndexRow>, Vec<f32>);

fn contents(index: &Index) -> Contents {
    for row in index.rows() {
        assert_eq!(index.thumbnail(row.id).unwrap().unwrap(), row.added.to_le_bytes());
    }
    (index.rows().to_vec(), index.vectors().as_slice().to_vec())
}

/// Not a test by itself: what the other one kills.
#[test]
fn child_that_changes_an_index() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut index = Index::open(Path::new(&folder)).unwrap();
    loop {
        step(&mut index);
        println!("done {}", index.generation());
    }
}

/// Lets a child change the index until it is killed; the last change that it has seen to be done.
fn run_and_kill(folder: &Path, after: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_changes_an_index", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: &String| line.rsplit_once("done ").and_then(|(_, n)| n.parse::<u64>().ok());
    // From the first change on, so that starting the program is not what is killed.
    let mut last = lines.by_ref().find_map(|line| number(&line)).unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        last = number(&line).unwrap_or(last);
    }
    last
}

#[test]
fn a_kill_leaves_the_state_before_or_after_a_change() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (folder, settings) = (dir.path().join("killed"), IndexSettings::new(D, Measure::Cosine));
    Index::create(&folder, settings).unwrap();
    // What an index has at each generation if nobody is killed.
    let mut whole = Index::create(&dir.path().join("whole"), settings).unwrap();
    let mut known: HashMap<u64, Contents> = HashMap::from([(0, contents(&whole))]);
    let mut rng = Streams::new(11).open(Purpose::Evaluation, [0, 0]);
    let mut between = 0;
    for _ in 0..20 {
        let last = run_and_kill(&folder, Duration::from_micros(rng.random_range(0..30_000)));
        between += usize::from(std::fs::read_dir(&folder).unwrap().flatten().any(|e| is_leftover(&e.path(), &folder)));
        let index = Index::open(&folder).unwrap();
        assert!(index.generation() == last || index.generation() == last + 1, "{last} {}", index.generation());
        while whole.generation() < index.generation() {
            step(&mut whole);
            known.insert(whole.generation(), contents(&whole));
        }
        assert_eq!(contents(&index), known[&index.generation()]);
        let left = std::fs::read_dir(&folder).unwrap().flatten().filter(|e| is_leftover(&e.path(), &folder)).count();
        assert_eq!(left, 0, "opening sweeps what the killed program left");
    }
    println!("{} changes, {between} of 20 kills within one", whole.generation());
    assert!(whole.generation() >= 20);
}

/// Whether a file is named nowhere in `index.json`.
fn is_leftover(path: &Path, folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    !["lock", "index.json"].contains(&name) && !text.contains(&format!("\"{name}\""))
}
