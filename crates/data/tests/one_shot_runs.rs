//! The official one-shot runs of Omniglot: miniatures as folder and zip, and wrong ones.
#![allow(clippy::unwrap_used)] // helpers of tests may, as tests do

use npair_data::{Dataset, OneShotRuns, Picture, sheet::encode_png};
use npair_types::{ClassId, ExampleId};
use std::io::Write;
use std::path::Path;

fn drawing(value: u8) -> Vec<u8> {
    encode_png(&Picture::new(1, 1, 1, vec![value]).unwrap()).unwrap()
}

/// Two runs of three characters: item i of run r is the grey value 10 r + i, its training image 100 more, listed in reverse.
fn runs() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for r in 1..=2u8 {
        let mut list = String::new();
        for i in 1..=3u8 {
            files.push((format!("run0{r}/test/item0{i}.png"), drawing(10 * r + i)));
            files.push((format!("run0{r}/training/class0{}.png", 4 - i), drawing(100 + 10 * r + i)));
            list += &format!("run0{r}/test/item0{i}.png run0{r}/training/class0{}.png\n", 4 - i);
        }
        files.push((format!("run0{r}/class_labels.txt"), list.into_bytes()));
    }
    files
}

fn unpack(root: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn zip(path: &Path, prefix: &str, files: &[(String, Vec<u8>)]) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in files {
        writer.start_file(format!("{prefix}{name}"), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn folders_and_zips_hold_the_same_runs() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    unpack(&at("bare"), &runs());
    unpack(&at("whole/all_runs"), &runs());
    std::fs::create_dir(at("zipped")).unwrap();
    zip(&at("zipped/all_runs.zip"), "", &runs());
    zip(&at("nested.zip"), "all_runs/", &runs());
    for place in ["bare", "whole", "whole/all_runs", "zipped", "zipped/all_runs.zip", "nested.zip"] {
        let set = OneShotRuns::open(at(place)).unwrap();
        let grey = |e: &ExampleId| set.load(*e).unwrap().pixels()[0];
        assert_eq!(set.runs().iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["run01", "run02"], "{place}");
        let second = &set.runs()[1];
        assert_eq!(second.test.iter().map(grey).collect::<Vec<_>>(), [21, 22, 23], "{place}");
        assert_eq!(second.training.iter().map(grey).collect::<Vec<_>>(), [121, 122, 123], "{place}");
        // As a data set: a class is a pair.
        assert_eq!(set.labels().as_slice(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5].map(ClassId));
        assert_eq!(
            (set.group(ClassId(2)), set.group(ClassId(3)), set.group(ClassId(6))),
            (Some("run01"), Some("run02"), None)
        );
        assert!(set.describe(second.test[0]).ends_with("run02/test/item01.png"), "{place}");
        assert_eq!(
            set.notes(),
            ["has 2 runs, the published set has 20", "has 6 test images, the published set has 400"]
        );
    }
}

#[test]
fn wrong_runs_are_named_by_line() {
    let said = |from: &str, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        let mut files = runs();
        let list = files.iter_mut().find(|f| f.0 == "run02/class_labels.txt").unwrap();
        let text = String::from_utf8(list.1.clone()).unwrap();
        assert!(text.contains(from), "{from}");
        list.1 = text.replacen(from, to, 1).into_bytes();
        unpack(dir.path(), &files);
        let said = OneShotRuns::open(dir.path()).unwrap_err().to_string();
        assert!(said.contains("class_labels.txt"), "{said}");
        said
    };
    assert!(said("item02", "item01").contains("line 2, names run02/test/item01.png, as line 1 does"));
    assert!(said("class02", "class03").contains("line 2, names run02/training/class03.png, as line 1"));
    assert!(said("item03", "item04").contains("line 3, names run02/test/item04.png, which is not there"));
    assert!(said(" run02/training/class03.png", "").contains("line 1, is `run02/test/item01.png`"));
    assert!(
        said("run02/test/item01.png", "run01/test/item01.png").contains("line 1, has `run01/test/item01.png` where")
    );
    assert!(said("run02/test/item01.png", "run02/test/../../x.png").contains("line 1, has"));
    assert!(said("run02/test/item03.png run02/training/class01.png\n", "").contains("does not name run02/"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("run01")).unwrap();
    assert!(OneShotRuns::open(dir.path()).unwrap_err().to_string().contains("holds no run01/class_labels.txt"));
    assert!(OneShotRuns::open(dir.path().join("no.zip")).unwrap_err().to_string().contains("no.zip"));
    zip(&dir.path().join("out.zip"), "../", &runs());
    assert!(OneShotRuns::open(dir.path().join("out.zip")).unwrap_err().to_string().contains("climbs out"));
}
