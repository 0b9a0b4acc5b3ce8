//! `cargo xtask tidy` passes on this tree, and fails, naming the invariant, on a copy in which one is broken.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tree;

use std::path::Path;
use std::process::Command;
use tree::copy;

/// Whether tidy passes, and what it says.
fn tidy(root: &Path) -> (bool, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["tidy", "--root"]).arg(root).output().unwrap();
    let said = [out.stdout, out.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (out.status.success(), said.concat())
}

/// A way to break an invariant: what is done to a file.
struct Break {
    mark: &'static str,
    file: &'static str,
    with: With,
    /// What the finding has to say.
    says: &'static str,
}

enum With {
    /// Text added at the end.
    Text(&'static str),
    /// A dependency of a manifest.
    Dependency(&'static str),
    /// Text taken away.
    Without(&'static str),
    /// The file taken away.
    Nothing,
    /// So many empty lines added.
    Lines(usize),
}

const fn adds(mark: &'static str, file: &'static str, text: &'static str, says: &'static str) -> Break {
    Break { mark, file, with: With::Text(text), says }
}

const fn depends(mark: &'static str, file: &'static str, on: &'static str, says: &'static str) -> Break {
    Break { mark, file, with: With::Dependency(on), says }
}

const BATCH: &str = "crates/batch/src/sampler/plan.rs";
const LOSSES: &str = "crates/losses/src/loss.rs";
const METRICS: &str = "crates/metrics/Cargo.toml";

#[allow(clippy::too_many_lines, reason = "a list")]
fn breaks() -> Vec<Break> {
    vec![
        depends(
            "1",
            "crates/batch/Cargo.toml",
            "npair-losses = { workspace = true }",
            "npair-batch depends on npair-losses",
        ),
        depends("1", "crates/types/Cargo.toml", "npair-nn = { workspace = true }", "npair-types depends on npair-nn"),
        depends("2", METRICS, "candle-nn = \"0.11\"", "npair-metrics depends on candle-nn"),
        adds("3", BATCH, "pub fn f(p: *const u8) -> u8 {\n    // SAFETY: none.\n    unsafe { *p }\n}\n", "`unsafe`"),
        adds(
            "3",
            "crates/nn/src/layers/pool.rs",
            "fn f(p: *const u8) -> u8 {\n    unsafe { *p }\n}\n",
            "without a `// SAFETY:`",
        ),
        adds("3", LOSSES, "fn f(_: &candle_core::CudaStorage) {}\n", "`CudaStorage`"),
        adds("3", "crates/evaluate/src/embed.rs", "#[cfg(feature = \"cuda\")]\nfn f() {}\n", "`feature = \"cuda\"`"),
        Break {
            mark: "3",
            file: "crates/data/src/lib.rs",
            with: With::Without("#![forbid(unsafe_code)]"),
            says: "no `#![forbid(unsafe_code)]`",
        },
        adds("4", LOSSES, "fn f() -> bool { std::fs::read(\"x\").is_ok() }\n", "`std::fs`"),
        adds("4", "crates/backbones/src/lib.rs", "use std::net::TcpStream;\n", "`std::net`"),
        depends("5", "crates/batch/Cargo.toml", "image = { workspace = true }", "npair-batch depends on image"),
        adds("5", BATCH, "fn f(net: &impl Net) { net.forward(1); }\n", "`.forward(`"),
        adds("5", LOSSES, "fn f(rows: &mut Vec<u8>, rng: &mut R) { rows.shuffle(rng); }\n", "`shuffle`"),
        adds("5", "crates/metrics/src/lib.rs", "fn f(x: &Tensor) { x.backward(); }\n", "`.backward(`"),
        adds("6", BATCH, "fn f() -> u64 { std::time::SystemTime::now() }\n", "`SystemTime`"),
        adds("6", "crates/nn/src/lib.rs", "fn f() -> bool { std::env::var(\"SEED\").is_ok() }\n", "`env::var`"),
        adds("6", "crates/data/src/picture.rs", "fn f() { let _ = rand::rng(); }\n", "`rand::rng`"),
        adds("7", "crates/train/src/trainer.rs", "fn f() { println!(\"1\"); }\n", "`println!`"),
        adds("7", "crates/data/src/check.rs", "fn f() { std::process::exit(1) }\n", "`process::exit`"),
        depends("7", METRICS, "anyhow = { workspace = true }", "npair-metrics depends on anyhow"),
        Break {
            mark: "7",
            file: "crates/batch/src/error.rs",
            with: With::Without("pub enum Error"),
            says: "npair-batch has no `pub enum Error`",
        },
        adds("8", "crates/backbones/src/lib.rs", "fn f(x: &T) { x.max_pool2d(2); }\n", "`.max_pool2d(`"),
        adds(
            "8",
            "crates/nn/src/lib.rs",
            "fn f(x: &T) { candle_nn::ops::softmax_last_dim(x); }\n",
            "`softmax_last_dim`",
        ),
        Break { mark: "A", file: "crates/nn/README.md", with: With::Nothing, says: "npair-nn has no README.md" },
        Break {
            mark: "A",
            file: "crates/types/src/lib.rs",
            with: With::Without("include_str!(\"../README.md\")"),
            says: "the README is no doctest",
        },
        Break { mark: "B", file: LOSSES, with: With::Lines(600), says: "at most 600 lines" },
        // Put together, so that this file does not break the invariant itself.
        adds("C", "docs/notation.md", concat!("see /", "home/me/notes\n"), concat!("`/", "home/`")),
        adds("C", "crates/nn/README.md", concat!("from crates", ".io\n"), concat!("`crates", ".io`")),
        adds(
            "E",
            LOSSES,
            "/// Something else.\npub struct NPairSampler;\n",
            "`NPairSampler` is the name of something else",
        ),
        adds("D", "crates/nn/src/mode.rs", "/// # Shapes (B, C) to (B, F).\npub fn f() {}\n", "heading `# Shapes`"),
    ]
}

#[test]
fn a_broken_invariant_is_named() {
    let dir = copy();
    let (passes, said) = tidy(dir.path());
    assert!(passes, "the untouched copy fails:\n{said}");
    let mut marks: Vec<&str> = Vec::new();
    for Break { mark, file, with, says } in breaks() {
        let path = dir.path().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        match with {
            With::Text(text) => std::fs::write(&path, format!("{before}\n{text}")).unwrap(),
            With::Dependency(line) => {
                let manifest = before.replacen("[dependencies]\n", &format!("[dependencies]\n{line}\n"), 1);
                assert_ne!(manifest, before);
                std::fs::write(&path, manifest).unwrap();
            }
            With::Without(text) => {
                assert!(before.contains(text), "{file} has no {text}");
                std::fs::write(&path, before.replace(text, "")).unwrap();
            }
            With::Nothing => std::fs::remove_file(&path).unwrap(),
            With::Lines(n) => std::fs::write(&path, before.clone() + &"\n".repeat(n)).unwrap(),
        }
        let (passes, said) = tidy(dir.path());
        let named =
            said.lines().any(|l| l.starts_with(&format!("invariant {mark} ")) && l.contains(file) && l.contains(says));
        assert!(!passes && named, "{mark}, {file}: `{says}` is not found:\n{said}");
        // Nothing else is broken by it.
        let others =
            said.lines().filter(|l| l.starts_with("invariant ") && !l.starts_with(&format!("invariant {mark} ")));
        assert_eq!(others.collect::<Vec<_>>(), Vec::<&str>::new(), "{mark}, {file}");
        std::fs::write(&path, before).unwrap();
        marks.push(mark);
    }
    assert!(tidy(dir.path()).0, "the copy is not whole again");
    // Every invariant was broken once.
    let list = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["tidy", "--list"]).output().unwrap();
    for line in String::from_utf8(list.stdout).unwrap().lines() {
        let mark = line.split_whitespace().next().unwrap();
        assert!(marks.contains(&mark), "nothing breaks invariant {mark}");
    }
}

#[test]
fn what_stands_in_comments_strings_and_tests_is_no_fault() {
    let dir = copy();
    let path = dir.path().join(LOSSES);
    let before = std::fs::read_to_string(&path).unwrap();
    let more = "\n// unsafe { println!() } std::fs::read SystemTime\n/* process::exit /* anyhow */ */\nconst X: &str = \"unsafe \\\" \
                std::fs\";\nconst Y: &str = r#\"rand::rng() \"println!\" \"#;\n#[cfg(test)]\nmod more {\n    fn f() { std::fs::read(\"x\"); \
                println!(\"{}\", std::env::var(\"A\")); }\n}\n";
    std::fs::write(&path, before + more).unwrap();
    let (passes, said) = tidy(dir.path());
    assert!(passes, "{said}");
}
