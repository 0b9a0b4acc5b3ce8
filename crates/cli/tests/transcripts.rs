//! The transcripts of the guide, run again: every command of every page, and every line that the page says it prints.
//!
//! `NPAIR_WRITE=1` writes what is printed into the pages.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "pages are run, whatever comes of it")]
mod program;

use std::fs;
use std::path::{Path, PathBuf};

/// The pages in the order in which they build on each other.
const PAGES: [&str; 14] = [
    "data-check",
    "plan",
    "train",
    "eval",
    "doctor",
    "report",
    "compare",
    "embed",
    "index",
    "search",
    "verify",
    "cluster",
    "export",
    "serve",
];

/// The folder of the pages.
fn pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/commands")
}

/// What a command of a page prints, on both streams.
fn printed(command: &str, dir: &Path) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "npair", "{command}");
    let out = program::npair(&words[1..], dir);
    let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let text = text.replace(&format!("{}/", dir.display()), "");
    assert!(!text.contains("panicked"), "{command}: {text}");
    let code = out.status.code().unwrap();
    // A page may show an error, and then says so by what it shows.
    assert!(code == 0 || text.contains("error"), "{command}: {code}, {text}");
    text
}

/// What is said of numbers that lie on one side of a bound or the other.
const VERDICTS: [&str; 5] =
    [" helps on ", " harms on ", " makes no difference that can be told on ", "not the same: ", "the same: "];

/// A line without what differs from machine to machine: numbers, the columns that they widen, and on which side of a bound they lie.
fn masked(line: &str) -> String {
    // A comparison's sentence of chance or not ends its line.
    let line = line.find(", p = ").map_or(line, |sentence| &line[..sentence]);
    let line = VERDICTS.iter().fold(line.to_owned(), |line, verdict| line.replace(verdict, " ? "));
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '.' if text.ends_with('#') => {}
            '0'..='9' => {
                text.truncate(text.trim_end_matches(['+', '-']).len());
                text.push('#');
            }
            c => text.push(c),
        }
    }
    let words = text.split_whitespace().map(|word| if word == "match" { "-" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// A line that is printed every ten seconds, as often as a machine needs.
fn is_progress(line: &str) -> bool {
    masked(line).starts_with("step #/#")
}

/// The lines of a page's block that are not printed, in order.
fn missing<'a>(page: &[&'a str], printed: &str) -> Vec<&'a str> {
    let printed: Vec<String> = printed.lines().map(masked).collect();
    let mut at = 0;
    let mut missing = Vec::new();
    for line in page.iter().filter(|line| !line.trim().is_empty() && !is_progress(line)) {
        match printed[at..].iter().position(|found| *found == masked(line)) {
            Some(found) => at += found + 1,
            None => missing.push(*line),
        }
    }
    missing
}

/// A page run again: its text as it would be written now, and what it shows that is not printed.
fn replayed(page: &str, dir: &Path) -> (String, Vec<String>) {
    let (mut now, mut wrong) = (String::new(), Vec::new());
    let mut lines = page.lines().peekable();
    let mut inside = false;
    while let Some(line) = lines.next() {
        now += line;
        now.push('\n');
        inside = if inside { line != "```" } else { line == "```console" };
        let Some(command) = line.strip_prefix("$ ").filter(|_| inside) else { continue };
        let mut shown = Vec::new();
        while let Some(next) = lines.next_if(|next| !next.starts_with("$ ") && *next != "```") {
            shown.push(next);
        }
        let text = printed(command, dir);
        if shown.is_empty() && !text.trim().is_empty() {
            wrong.push(format!("$ {command}: the page shows nothing of what it prints"));
        }
        wrong.extend(missing(&shown, &text).iter().map(|line| format!("$ {command}: {line}\nis not in\n{text}")));
        text.trim_end().lines().for_each(|line| now += &format!("{}\n", line.trim_end()));
    }
    (now, wrong)
}

#[test]
fn what_the_pages_show_is_what_is_printed() {
    let temp = tempfile::tempdir().unwrap();
    // 40 signs of six drawings each.
    program::signs(&temp.path().join("signs"), 40, 6);
    let write = std::env::var_os("NPAIR_WRITE").is_some();
    let mut wrong = Vec::new();
    for name in PAGES {
        let path = pages().join(format!("{name}.md"));
        let page = fs::read_to_string(&path).unwrap();
        let (now, missing) = replayed(&page, temp.path());
        match write {
            true => fs::write(&path, now).unwrap(),
            false => wrong.extend(missing.into_iter().map(|text| format!("{name}.md: {text}"))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_page_is_replayed_and_listed() {
    let list = fs::read_to_string(pages().join("README.md")).unwrap();
    for entry in fs::read_dir(pages()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".md").filter(|stem| *stem != "README") else { continue };
        assert!(PAGES.contains(&stem), "{name} is not replayed");
        assert!(list.contains(&format!("({name})")), "{name} is not in the list");
    }
}

#[test]
fn numbers_and_columns_are_passed_over_and_words_are_not() {
    assert_eq!(masked("recall@1   0.9812 [0.95, 1.00]"), masked("recall@1 1.0000 [0.9,  1.0]"));
    assert_eq!(masked("it helps on 4: +0.1e-3"), masked("it harms on 12: -3.5e4"));
    assert_ne!(masked("recall@1 0.98"), masked("precision@1 0.98"));
    assert!(is_progress("step 50/120  loss 0.7127  rate 6.88e-4") && !is_progress("step 50, val: recall@1 0.9"));
    let printed = "one 1\ntwo 2\nthree 3\n";
    assert_eq!(missing(&["one 7", "three 8"], printed), Vec::<&str>::new());
    assert_eq!(missing(&["three 8", "one 7", "four"], printed), ["one 7", "four"]);
}

/// All source text of the workspace's crates, with strings that go on over lines put together.
fn sources() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(&entry, text);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                *text += &fs::read_to_string(entry).unwrap();
            }
        }
    }
    let mut text = String::new();
    for krate in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap() {
        let source = krate.unwrap().path().join("src");
        if source.is_dir() {
            collect(&source, &mut text);
        }
    }
    let joined: Vec<&str> =
        text.lines().map(|line| line.trim_start().strip_suffix('\\').unwrap_or(line.trim_start())).collect();
    joined.concat()
}

#[test]
fn every_message_that_the_guide_explains_is_one_that_is_printed() {
    let page = fs::read_to_string(pages().join("../troubleshooting.md")).unwrap();
    let sources = sources();
    let messages: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("#### `")?.strip_suffix('`')).collect();
    assert!(messages.len() > 15);
    for part in messages.iter().flat_map(|message| message.split('…')).map(str::trim) {
        assert!(sources.contains(part), "no message says: {part}");
    }
}
