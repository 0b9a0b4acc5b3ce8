//! What a library may do besides computing.

use super::{Finding, Tree, floors};

/// Libraries in which nothing can fail: arithmetic on slices, and texts.
const NOTHING_FAILS: &[&str] = &["npair-simd", "npair-similarity-cuda", "npair-similarity-metal"];
/// Runs while cargo builds, and calls nvcc: a program, not a part of its library.
const BUILD_SCRIPT: &str = "crates/similarity-cuda/build.rs";
/// All others are below `train`: they compute, from what they are given. A server is above: it times its clients, and says when a row
/// was added.
const AT_OR_ABOVE_TRAIN: &[&str] = &[
    "crates/train",
    "crates/recipe",
    "crates/serve",
    "crates/cli",
    "crates/testkit",
    "benches",
    "xtask",
    BUILD_SCRIPT,
];

const FILE_WORDS: &[&str] = &[
    "std::fs",
    "fs::",
    "tokio::fs",
    "File::",
    "OpenOptions",
    "read_dir",
    "std::net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "safetensors::load",
    "save_safetensors",
];

pub fn files(tree: &Tree) -> Vec<Finding> {
    let edge = [
        "crates/data",
        "crates/evaluate",
        "crates/index",
        "crates/train",
        "crates/recipe",
        "crates/serve",
        "crates/cli",
        "crates/testkit",
        "xtask",
        "crates/backbones/src/pretrained",
        "crates/backbones/src/pretrained.rs",
        BUILD_SCRIPT,
    ];
    let why = "files and network are touched only in data, backbones::pretrained, evaluate, index, train, recipe, serve, cli and xtask";
    words(tree, &edge, FILE_WORDS, why, "take bytes or slices, and let the caller read and write")
}

const HIDDEN_INPUTS: &[&str] = &[
    "thread_rng",
    "rand::rng",
    "rand::random",
    "from_entropy",
    "from_os_rng",
    "OsRng",
    "SystemTime",
    "Instant::now",
    "env::var",
    "env::var_os",
    "env::vars",
    "env::args",
    "set_seed",
    "Tensor::rand",
    "Tensor::randn",
    "Var::rand",
    "Var::randn",
];

/// Places that may look at the clock all the same.
const CLOCKS: &[(&str, &str)] = &[
    // The step's wait for pictures, which is reported and decides nothing.
    ("crates/data/src/prefetch.rs", "Instant::now"),
    ("crates/evaluate/src/inputs/ahead.rs", "Instant::now"),
];

pub fn hidden_inputs(tree: &Tree) -> Vec<Finding> {
    let why = "below train everything comes in as an argument, so that a seed gives the same bits anywhere";
    let cure = "take a generator of npair_types::Streams, or the value, as an argument";
    let mut findings = words(tree, AT_OR_ABOVE_TRAIN, HIDDEN_INPUTS, why, cure);
    findings.retain(|f| !CLOCKS.iter().any(|(file, word)| f.file == *file && f.what == format!("`{word}`")));
    findings
}

pub fn voices(tree: &Tree) -> Vec<Finding> {
    // Tests say what they could not run.
    let above = ["crates/cli", "crates/testkit", "xtask", BUILD_SCRIPT];
    let spoken =
        ["println!", "eprintln!", "print!", "eprint!", "dbg!", "process::exit", "process::abort", "anyhow", "anyhow!"];
    let why = "only the programs print, exit and use anyhow";
    let mut findings = words(tree, &above, &spoken, why, "return a value or an error of the crate's own");
    for package in &tree.packages {
        let folder = package.folder(&tree.root);
        let is_program = above.contains(&folder.as_str());
        if !is_program && package.dependencies.iter().any(|d| d.name == "anyhow") {
            let what = format!("{} depends on anyhow", package.name);
            let cure = "give the crate a thiserror enum";
            findings.push(floors::finding(tree, package, "anyhow", what, why, cure));
        }
        let may_fail = !NOTHING_FAILS.contains(&package.name.as_str());
        if may_fail && package.has_library() && package.is_published() && !has_error(tree, &folder) {
            findings.push(Finding {
                file: format!("{folder}/src/error.rs"),
                line: 1,
                what: format!("{} has no `pub enum Error` made with thiserror", package.name),
                why: "every library has one error that names the thing, the cause and the cure",
                cure: "write it here",
            });
        }
    }
    findings
}

fn has_error(tree: &Tree, folder: &str) -> bool {
    let inside = format!("{folder}/src/");
    let mut own = tree.sources.iter().filter(|s| s.file.starts_with(&inside));
    own.any(|s| {
        let mut code = s.code.iter();
        code.any(|l| l.contains("pub enum Error")) && s.code.iter().any(|l| l.contains("#[error("))
    })
}

/// Every use of one of the words outside tests and exempt folders.
pub fn words(tree: &Tree, exempt: &[&str], words: &[&str], why: &'static str, cure: &'static str) -> Vec<Finding> {
    let found =
        |(line, word), file: &str| Finding { file: file.to_owned(), line, what: format!("`{word}`"), why, cure };
    tree.code(exempt).flat_map(|s| s.hits(words).map(|hit| found(hit, &s.file)).collect::<Vec<_>>()).collect()
}
