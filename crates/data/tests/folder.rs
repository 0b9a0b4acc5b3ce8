//! A folder per class, and what a check of it finds.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests may, as tests do

use npair_data::{
    Dataset, ImageFolder, Picture, Pipeline, PipelineConfig, check, load_batch, sheet::encode_png, skip_bad,
};
use npair_types::{ClassId, ExampleId};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn put(root: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn png(width: u32, height: u32, channels: u8) -> Vec<u8> {
    let n = (width * height) as usize * usize::from(channels);
    encode_png(&Picture::new(width, height, channels, (0..n).map(|i| (i * 31) as u8).collect::<Vec<_>>()).unwrap())
        .unwrap()
}

fn why(root: &Path) -> String {
    ImageFolder::open(root).unwrap_err().to_string()
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "zebra/b.png", &png(8, 6, 3));
    put(root, "zebra/deeper/still/a.PNG", &png(8, 6, 1));
    put(root, "apple/1.png", &png(4, 4, 3));
    put(root, "apple/.hidden.png", b"x");
    put(root, ".git/x.png", b"x");
    put(root, "apple/notes.txt", b"x");
    put(root, "loose.png", b"x");
    std::fs::create_dir(root.join("middle")).unwrap();
    let set = ImageFolder::open(root).unwrap();
    assert_eq!(set.labels().as_slice(), [0, 1, 1].map(ClassId));
    assert_eq!((set.class_name(ClassId(0)), set.class_name(ClassId(1))), ("apple".into(), "zebra".into()));
    assert!(set.describe(ExampleId(1)).ends_with("zebra/b.png") && set.describe(ExampleId(2)).ends_with("a.PNG"));
    assert_eq!(set.load(ExampleId(1)).unwrap().pixels()[..4], [0, 31, 62, 93]);
    assert_eq!((set.ignored().len(), set.empty_folders()), (2, &["middle".to_owned()][..]));
    assert!(set.notes()[0].contains("2 files were ignored") && set.notes()[1].contains("middle"));
    assert!(set.load(ExampleId(3)).unwrap_err().to_string().contains("its examples are 0 to 2"));
}

#[test]
fn jpeg_and_webp_are_read_whatever_they_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let rgb = image::RgbImage::from_pixel(16, 12, image::Rgb([200, 100, 50]));
    for (name, format) in [("a/x.jpg", image::ImageFormat::Jpeg), ("a/y.webp", image::ImageFormat::WebP)] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        rgb.write_to(&mut bytes, format).unwrap();
        put(dir.path(), name, bytes.get_ref());
        put(dir.path(), "b/wrong-ending.png", bytes.get_ref());
    }
    let set = ImageFolder::open(dir.path()).unwrap();
    for i in 0..3 {
        let picture = set.load(ExampleId(i)).unwrap();
        assert_eq!((picture.width(), picture.height(), picture.channels()), (16, 12, 3));
        // JPEG is off by a few levels.
        assert!(picture.pixel(8, 6).iter().zip([200, 100, 50]).all(|(&a, b): (&u8, u8)| a.abs_diff(b) <= 4));
    }
}

#[test]
fn folders_that_cannot_be_learned_from_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    assert!(why(root).contains("holds no PNG, JPEG, WebP, GIF, BMP or TIFF pictures"));
    put(root, "loose.png", &png(2, 2, 1));
    assert!(why(root).contains("holds 1 pictures but no class folders; lay it out as CLASS/picture.png"));
    put(root, "only/a.png", &png(2, 2, 1));
    assert!(why(root).contains("holds a single class, only"));
    assert!(why(&root.join("nowhere")).contains("check the path"));
    assert!(why(&root.join("loose.png")).contains("cannot be read"));
}

/// Twelve good pictures of three classes, and a bad one of each kind.
fn with_bad_files(root: &Path) -> Vec<(&'static str, &'static str)> {
    for class in ["a", "b", "c"] {
        for i in 0..4 {
            put(root, &format!("{class}/good{i}.png"), &png(20 + i, 16, if i == 0 { 1 } else { 3 }));
        }
    }
    let good = png(40, 40, 3);
    put(root, "a/truncated.png", &good[..good.len() / 2]);
    put(root, "b/text.jpg", b"this is no picture at all");
    put(root, "b/void.webp", b"");
    put(root, "single/corrupt.png", &[&good[..60], &[0x55; 40][..], &good[100..]].concat());
    put(root, "single/good.png", &png(16, 16, 3));
    vec![
        ("truncated.png", "is no readable picture"),
        ("text.jpg", "neither PNG, JPEG, WebP, GIF, BMP nor TIFF"),
        ("void.webp", "the file is empty"),
        ("corrupt.png", "is no readable picture"),
    ]
}

#[test]
fn a_check_lists_every_bad_file_and_skipping_leaves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let bad = with_bad_files(dir.path());
    let set: Arc<dyn Dataset> = Arc::new(ImageFolder::open(dir.path()).unwrap());
    let report = check(set.as_ref());
    assert_eq!((report.examples, report.bad.len(), report.grey, report.rgb), (17, 4, 3, 10));
    for ((name, cause), found) in bad.iter().zip(&report.bad) {
        assert!(found.file.ends_with(name) && found.error.contains(cause) && found.error.contains(name), "{found:?}");
        assert!(found.error.contains("replace or remove it"));
    }
    assert_eq!((report.width, report.height), (Some([16, 21, 23]), Some([16; 3])));
    let counts: Vec<_> = report.classes.iter().map(|c| (c.name.as_str(), c.good, c.bad)).collect();
    assert_eq!(counts, [("a", 4, 1), ("b", 4, 2), ("c", 4, 0), ("single", 1, 1)]);
    assert_eq!(report.warnings(), ["1 classes have a single picture, which can have no positive: single"]);

    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| check(set.as_ref())), report);
    }

    let skipped = skip_bad(set.clone(), &report).unwrap();
    assert_eq!((skipped.kept.len(), skipped.bad.len()), (13, 4));
    assert!(check(&skipped.kept).is_clean());
    let pipeline = Pipeline::new(PipelineConfig { size: 8.into(), ..PipelineConfig::default() }).unwrap();
    let ids = |n: usize| (0..n).map(ExampleId).collect::<Vec<_>>();
    assert_eq!(load_batch(&skipped.kept, &pipeline, &ids(13)).unwrap().shape, [13, 1, 8, 8]);
    // Without skipping, the first bad row is the one that is told.
    let error = load_batch(set.as_ref(), &pipeline, &ids(17)).unwrap_err().to_string();
    assert!(error.contains("truncated.png"), "{error}");
    let other = skip_bad(Arc::new(skipped.kept), &report).unwrap_err().to_string();
    assert!(other.contains("check it again"), "{other}");
}

#[test]
fn loading_a_batch_gives_the_same_bits_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    with_bad_files(dir.path());
    let set: Arc<dyn Dataset> = Arc::new(ImageFolder::open(dir.path()).unwrap());
    let kept = skip_bad(set.clone(), &check(set.as_ref())).unwrap().kept;
    let pipeline = Pipeline::new(PipelineConfig::photos(14)).unwrap();
    let ids: Vec<ExampleId> = (0..13).map(ExampleId).collect();
    let load = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| load_batch(&kept, &pipeline, &ids)).unwrap()
    };
    assert_eq!(load(1), load(2));
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_named_with_the_cure() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a/x.png", &png(2, 2, 1));
    let path = put(dir.path(), "b/y.png", &png(2, 2, 1));
    let lock = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    lock(&path, 0o000);
    if std::fs::read(&path).is_ok() {
        println!("not run: this user may read everything");
        return;
    }
    let set = ImageFolder::open(dir.path()).unwrap();
    let error = set.load(ExampleId(1)).unwrap_err().to_string();
    assert!(error.contains("y.png cannot be read") && error.contains("chmod u+r"), "{error}");
    let folder = path.parent().unwrap();
    lock(folder, 0o000);
    let error = why(dir.path());
    lock(folder, 0o755);
    assert!(error.contains("chmod"), "{error}");
}
