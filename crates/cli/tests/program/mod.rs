//! The program under test, run in a folder: what it says, and what it refuses in one line.
#![allow(clippy::unwrap_used)]

use npair_data::sheet::encode_png;
use npair_data::{Dataset, GlyphConfig, GlyphSet};
use npair_types::ExampleId;
use std::path::Path;
use std::process::{Command, Output};

/// Runs it to its end, whatever comes of it.
pub fn npair(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_npair")).args(args).current_dir(dir).output().unwrap()
}

/// What it writes to standard output, when it succeeds.
pub fn ok(args: &[&str], dir: &Path) -> String {
    let out = npair(args, dir);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The error: its exit code, and the single line on standard error.
pub fn fails(args: &[&str], dir: &Path, code: i32) -> String {
    let out = npair(args, dir);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{args:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{args:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A picture of a class: a patch of the class's colours at a place of the picture's own.
#[allow(dead_code, reason = "not every test has pictures")]
pub fn picture(path: &Path, class: u32, number: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mixed = |salt: u32| (class.wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(40_503)) >> 8) as u8;
    let at = number.wrapping_mul(7) % 8;
    let pixel = |x: u32, y: u32| {
        let inside = (at..at + 8).contains(&x) && (4..12).contains(&y);
        let shade = |salt: u32| if inside { mixed(salt) } else { (number * 5 + salt) as u8 };
        image::Rgb([shade(1), shade(2), shade(3)])
    };
    image::RgbImage::from_fn(16, 16, pixel).save(path).unwrap();
}

/// A folder per class, `c000` and so on, of some pictures each.
#[allow(dead_code, reason = "not every test has pictures")]
pub fn pictures(root: &Path, classes: u32, each: u32) {
    for (class, number) in (0..classes).flat_map(|class| (0..each).map(move |number| (class, number))) {
        picture(&root.join(format!("c{class:03}/p{number:02}.png")), class, number);
    }
}

/// A folder per class, `s00` and so on, of some drawings of one sign each.
#[allow(dead_code, reason = "not every test has signs")]
pub fn signs(root: &Path, classes: u32, each: u32) {
    let config = GlyphConfig { classes, instances: each, size: 32, ..Default::default() };
    let set = GlyphSet::new(config).unwrap();
    for example in 0..set.len() {
        let (class, nth) = (example / each as usize, example % each as usize);
        let path = root.join(format!("s{class:02}/{nth}.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, encode_png(&set.load(ExampleId(example)).unwrap()).unwrap()).unwrap();
    }
}
