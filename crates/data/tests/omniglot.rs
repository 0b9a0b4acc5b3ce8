//! Omniglot from folders and archives: miniatures in the exact layout, and the real files where they are at hand.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests may, as tests do

use npair_data::{Dataset, Omniglot, Part, Pipeline, PipelineConfig, RotatedClasses, Subset, load_batch};
use npair_data::{Picture, sheet::encode_png};
use npair_testkit::require;
use npair_types::{ClassId, ExampleId};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A drawing of 105 x 105 pixels that differs from file to file.
fn drawing(number: u32, drawer: u32) -> Vec<u8> {
    let mut pixels = vec![255u8; 105 * 105];
    pixels[(number * 105 + drawer) as usize] = 0;
    encode_png(&Picture::new(105, 105, 1, pixels).unwrap()).unwrap()
}

/// Official paths with their contents: characters of an alphabet get the numbers `first..`.
fn alphabet(part: Part, name: &str, first: u32, characters: u32, drawers: u32) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for c in 0..characters {
        for d in 1..=drawers {
            let path = format!("{}/{name}/character{:02}/{:04}_{d:02}.png", part.folder(), c + 1, first + c);
            files.push((path, drawing(first + c, d)));
        }
    }
    files
}

fn small1() -> Vec<(String, Vec<u8>)> {
    [alphabet(Part::Small1, "Korean", 40, 2, 3), alphabet(Part::Small1, "Greek", 10, 2, 3)].concat()
}

fn small2() -> Vec<(String, Vec<u8>)> {
    [alphabet(Part::Small2, "Greek", 10, 2, 3), alphabet(Part::Small2, "N_Ko", 70, 2, 3)].concat()
}

fn zip(path: &Path, files: &[(String, Vec<u8>)]) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in files {
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn unpack(root: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn pictures(set: &Omniglot) -> Vec<(u32, u32, Picture)> {
    let ids = (0..set.len()).map(ExampleId);
    ids.map(|e| (set.labels().get(e.0).0, set.drawer(e), set.load(e).unwrap())).collect()
}

#[test]
fn a_zip_and_a_folder_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = small1();
    files.push(("__MACOSX/images_background_small1/Korean/character01/._0040_01.png".into(), vec![1]));
    files.push(("images_background_small1/.DS_Store".into(), vec![1]));
    files.push(("images_background_small1/readme.txt".into(), vec![1]));
    let path = dir.path().join("images_background_small1.zip");
    zip(&path, &files);
    let zipped = Omniglot::open(&path, &[]).unwrap();
    unpack(dir.path(), &files);
    let folder = Omniglot::open(dir.path().join("images_background_small1"), &[]).unwrap();

    assert_eq!(zipped.len(), 12);
    assert_eq!(zipped.labels().classes(), [10, 11, 40, 41].map(ClassId));
    assert_eq!(zipped.alphabets(), ["Greek", "Korean"]);
    assert_eq!(zipped.class_name(ClassId(41)), "Korean/character02");
    assert_eq!(zipped.group(ClassId(41)), Some("Korean"));
    assert_eq!((zipped.drawer(ExampleId(4)), zipped.part(ExampleId(4))), (2, Part::Small1));
    assert!(zipped.describe(ExampleId(4)).ends_with(".zip/images_background_small1/Greek/character02/0011_02.png"));
    assert!(zipped.notes()[0].starts_with("1 files that are not named"));
    assert_eq!(zipped.load(ExampleId(4)).unwrap().pixel(2, 11), [0]);
    assert_eq!(pictures(&zipped), pictures(&folder));
    assert_eq!(zipped.labels(), folder.labels());
}

#[test]
fn parts_are_chosen_joined_and_overlaps_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    zip(&dir.path().join("images_background_small1.zip"), &small1());
    unpack(dir.path(), &small2());
    let open = |parts: &[Part]| Omniglot::open(dir.path(), parts).unwrap();
    assert_eq!(open(&[Part::Small1]).alphabets(), ["Greek", "Korean"]);
    assert_eq!(open(&[Part::Small2]).alphabets(), ["Greek", "N_Ko"]);
    let both = open(&[]);
    assert_eq!((both.len(), both.alphabets()), (18, vec!["Greek", "Korean", "N_Ko"]));
    assert!(both.notes()[0].starts_with("6 drawings lie in more than one archive"));
    assert_eq!(open(&[Part::Small1, Part::Small2]).labels(), both.labels());
    let paths = [dir.path().join("images_background_small2"), dir.path().join("images_background_small1.zip")];
    assert_eq!(pictures(&Omniglot::join(&paths, &[]).unwrap()), pictures(&both));

    let missing = Omniglot::open(dir.path(), &[Part::Evaluation]).unwrap_err().to_string();
    assert!(missing.contains("neither the folder images_evaluation nor images_evaluation.zip"), "{missing}");
    let korean = Subset::of_groups(Arc::new(both), "test", &["Korean"]).unwrap();
    assert_eq!(korean.labels().classes(), [40, 41].map(ClassId));
    let unknown = Subset::of_groups(korean.inner().clone(), "test", &["Klingon"]).unwrap_err().to_string();
    assert!(unknown.contains("no group Klingon; it has Greek, Korean, N_Ko"), "{unknown}");
}

#[test]
fn bad_archives_are_clear_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("images_background_small1.zip");
    let why = || Omniglot::open(&path, &[]).unwrap_err().to_string();

    for name in ["../evil.png", "/etc/evil.png", "images_background/../../evil.png", "C:\\evil.png"] {
        zip(&path, &[small1(), vec![(name.into(), vec![1])]].concat());
        // The writer may have tidied the name away; then there is nothing to refuse.
        let kept = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        if kept.file_names().any(|n| n.unwrap() == name) {
            assert!(why().contains("climbs out of the archive"), "{name}: {}", why());
        }
    }

    zip(&path, &small1());
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 10, whole.len() / 2, whole.len() - 5] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(why().contains("is no usable zip archive"), "{length}: {}", why());
    }

    // A drawing's bytes spoilt: found when it is loaded, by its checksum or its decoder.
    let mut spoilt = whole.clone();
    (60..160).for_each(|i| spoilt[i + 20] ^= 0x55);
    std::fs::write(&path, &spoilt).unwrap();
    let set = Omniglot::open(&path, &[]).unwrap();
    let bad: Vec<String> = (0..12).filter_map(|i| set.load(ExampleId(i)).err()).map(|e| e.to_string()).collect();
    assert!(!bad.is_empty() && bad.iter().all(|e| e.contains("images_background_small1.zip/")), "{bad:?}");

    // A drawing of 5 MiB of zeros packs well.
    let huge = ("images_background_small1/Korean/character01/0040_09.png".to_owned(), vec![0; 5 << 20]);
    zip(&path, &[small1(), vec![huge]].concat());
    assert!(why().contains("0040_09.png is too large: it claims 5242880 bytes"), "{}", why());

    // Two characters with one number, one character with two.
    let twice = alphabet(Part::Small1, "Latin", 10, 1, 1);
    zip(&path, &[small1(), twice].concat());
    assert!(why().contains("Latin") && why().contains("Greek"), "{}", why());
    zip(&path, &[small1(), vec![("images_background_small1/Greek/character01/0099_09.png".into(), vec![])]].concat());
    assert!(why().contains("the number 10"), "{}", why());

    zip(&path, &[("photos/cat.png".into(), drawing(1, 1))]);
    assert!(why().contains("holds 0 characters in the official layout; give the official zip"), "{}", why());
    assert!(Omniglot::open(dir.path().join("none"), &[]).unwrap_err().to_string().contains("check the path"));
    assert!("evaluation".parse::<Part>().unwrap() == Part::Evaluation && "small3".parse::<Part>().is_err());
}

/// The folder with the real archives, if there is one.
fn real(archive: &str) -> Option<PathBuf> {
    require::data(&format!("omniglot/{archive}"))?.parent().map(Path::to_owned)
}

#[test]
fn the_real_background_set_has_its_known_numbers() {
    let Some(dir) = real("images_background.zip") else { return };
    let set = Omniglot::open(&dir, &[Part::Background]).unwrap();
    assert_eq!((set.len(), set.labels().classes().len(), set.alphabets().len()), (19_280, 964, 30));
    assert!((0..set.len()).all(|i| set.drawer(ExampleId(i)) as usize == i % 20 + 1));
    assert!(set.notes().is_empty(), "{:?}", set.notes());
    let report = npair_data::check(&set);
    assert!(report.is_clean() && report.warnings().is_empty());
    assert_eq!((report.width, report.height, report.grey), (Some([105; 3]), Some([105; 3]), 19_280));
}

#[test]
fn the_real_small_sets_share_ids_and_overlap_in_two_alphabets() {
    let Some(dir) = real("images_background_small2.zip") else { return };
    let open = |parts: &[Part]| Omniglot::open(&dir, parts).unwrap();
    let (one, two) = (open(&[Part::Small1]), open(&[Part::Small2]));
    assert_eq!((one.labels().classes().len(), two.labels().classes().len()), (136, 156));
    assert_eq!(one.alphabets(), ["Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"]);
    let both = open(&[Part::Small1, Part::Small2]);
    // Greek has 24 characters, Latin 26.
    assert_eq!(both.labels().classes().len(), 136 + 156 - 50);
    for class in two.labels().classes().into_iter().filter(|&c| one.group(c).is_some()) {
        assert_eq!(one.class_name(class), two.class_name(class));
        assert!(["Greek", "Latin"].contains(&one.group(class).unwrap()));
    }
    let test = Subset::of_groups(Arc::new(two), "test", &["Japanese_(katakana)", "Sanskrit", "Tagalog"]).unwrap();
    assert_eq!((test.len(), test.labels().classes().len()), (2120, 106));

    // Through the whole path: four rotations as classes, 28 x 28, ink is 1.
    let turned = RotatedClasses::new(Arc::new(test)).unwrap();
    assert_eq!(turned.labels().classes().len(), 424);
    let pipeline = Pipeline::new(PipelineConfig::strokes(28)).unwrap();
    let ids: Vec<ExampleId> = (0..turned.len()).step_by(97).map(ExampleId).collect();
    let batch = load_batch(&turned, &pipeline, &ids).unwrap();
    for row in batch.pixels.chunks_exact(28 * 28) {
        let ink = row.iter().sum::<f32>() / 784.0;
        assert!((0.01..0.3).contains(&ink) && row.iter().all(|v| (-1e-5..1.00001).contains(v)), "{ink}");
    }
}
