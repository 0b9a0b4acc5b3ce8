use super::strip::{is_word, strip};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// A Rust file, ready to be searched.
pub struct Source {
    /// Relative to the root.
    pub file: String,
    /// Its lines as they are.
    pub lines: Vec<String>,
    /// Its lines without comments and strings; those of tests inside the file are empty.
    pub code: Vec<String>,
    /// The same, with the tests inside the file.
    pub code_and_tests: Vec<String>,
    /// Whether all of it is tests, benches or examples.
    pub is_test: bool,
}

impl Source {
    /// Lines (from 1) with one of the words, and the word.
    pub fn hits<'a>(&'a self, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
        let lines = self.code.iter().enumerate();
        lines.filter_map(|(i, line)| words.iter().find(|w| has(line, w)).map(|w| (i + 1, *w)))
    }
}

/// Whether a line has `word` with no other letter on either side of it.
pub fn has(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let touches = |c: Option<char>, edge: Option<char>| c.is_some_and(is_word) && edge.is_some_and(is_word);
        let before = touches(line[..at].chars().next_back(), word.chars().next());
        let after = touches(line[at + word.len()..].chars().next(), word.chars().next_back());
        !before && !after
    })
}

pub fn load(root: &Path, files: &[String]) -> Result<Vec<Source>> {
    let mut test_modules = BTreeSet::new();
    let mut sources = Vec::new();
    for file in files.iter().filter(|f| f.ends_with(".rs")) {
        let text = std::fs::read_to_string(root.join(file)).with_context(|| format!("{file} cannot be read"))?;
        let bare = strip(&text);
        let (code, modules) = without_tests(&bare);
        let folder = module_folder(file);
        for name in modules {
            test_modules.insert(format!("{folder}/{name}.rs"));
            test_modules.insert(format!("{folder}/{name}/mod.rs"));
        }
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        let is_test = file.split('/').any(|part| matches!(part, "tests" | "benches" | "examples"));
        // The workspace has a folder `benches` of its own, a crate.
        let is_test = is_test && !file.starts_with("benches/src/");
        sources.push(Source {
            file: file.clone(),
            lines: lines(&text),
            code: lines(&code),
            code_and_tests: lines(&bare),
            is_test,
        });
    }
    for source in &mut sources {
        source.is_test |= test_modules.contains(&source.file);
    }
    Ok(sources)
}

/// Where the modules of a file are.
fn module_folder(file: &str) -> String {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

/// Blanks the items under `#[cfg(test)]`; also returns the names of modules of tests in files of their own.
fn without_tests(bare: &str) -> (String, Vec<String>) {
    let mut out: Vec<char> = bare.chars().collect();
    let mut modules = Vec::new();
    let mark: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut i = 0;
    while i + mark.len() <= out.len() {
        if out[i..i + mark.len()] != mark[..] {
            i += 1;
            continue;
        }
        let end = item_end(&out, i + mark.len());
        let item: String = out[i + mark.len()..end].iter().collect();
        if let Some(name) = item.trim().strip_suffix(';').and_then(|s| s.rsplit_once("mod ")) {
            modules.push(name.1.trim().to_owned());
        }
        out[i..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
        i = end;
    }
    (out.into_iter().collect(), modules)
}

/// The place after the item that begins at `from`: after its `;` or its last brace.
fn item_end(c: &[char], from: usize) -> usize {
    let (mut braces, mut others) = (0usize, 0usize);
    for (i, x) in c.iter().enumerate().skip(from) {
        match x {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            '{' => braces += 1,
            '}' if braces <= 1 => return i + 1,
            '}' => braces -= 1,
            ';' if braces == 0 && others == 0 => return i + 1,
            _ => {}
        }
    }
    c.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has("let x = unsafe { y };", "unsafe"));
        assert!(!has("unsafe_op(x)", "unsafe"));
        assert!(has("fs::read(p)", "fs::") && !has("buffs::read(p)", "fs::"));
        assert!(has("x.max_pool2d(2)", ".max_pool2d("));
        assert!(has("eprintln!(); println!()", "println!") && !has("eprintln!()", "println!"));
    }

    #[test]
    fn tests_in_a_file_are_left_out() {
        let (code, modules) = without_tests("a();\n#[cfg(test)]\n#[x(y)]\nmod tests {\n  fn f() { b() }\n}\nc();\n");
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a();", "c();"]);
        assert_eq!((code.lines().count(), modules.len()), (7, 0));
        let (code, modules) = without_tests("#[cfg(test)]\nmod oracle;\nuse a::{b, c};");
        assert_eq!((code.trim(), modules), ("use a::{b, c};", vec!["oracle".to_owned()]));
    }
}
