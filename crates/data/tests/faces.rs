//! CASIA-WebFace and LFW: miniatures in the exact layouts, and wrong ones.
#![allow(clippy::unwrap_used)] // helpers of tests may, as tests do

use npair_data::{Dataset, Lfw, LfwImage, OfficialSide, Picture, WebFace, sheet::encode_png};
use npair_types::{ClassId, ExampleId};
use std::path::Path;

fn touch(root: &Path, files: &[&str]) {
    let picture = encode_png(&Picture::new(2, 1, 1, vec![0, 255]).unwrap()).unwrap();
    for file in files {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &picture).unwrap();
    }
}

fn classes(data: &dyn Dataset) -> Vec<u32> {
    data.labels().as_slice().iter().map(|c| c.0).collect()
}

#[test]
fn web_face_is_a_folder_per_number_without_those_in_lfw() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("CASIA-WebFace");
    touch(&root, &["0000045/002.jpg", "0000045/001.jpg", "0000099/001.jpg", "0166921/001.jpg", "1193098/001.jpg"]);
    touch(&root, &["0000045/notes.txt", "aligned/001.jpg", "0000100/.DS_Store"]);
    std::fs::write(root.join("names.txt"), "0000045 Adam Ant\n0166921 Someone Else\n").unwrap();
    for place in [dir.path(), root.as_path()] {
        let faces = WebFace::open(place).unwrap();
        assert_eq!(classes(&faces), [45, 45, 99]);
        assert!((0..3).all(|i| faces.official(ExampleId(i)) == Some(OfficialSide::Train)));
        assert_eq!(
            (faces.class_name(ClassId(45)), faces.class_name(ClassId(99))),
            ("Adam Ant".into(), "0000099".into())
        );
        assert!(faces.describe(ExampleId(0)).ends_with("001.jpg"));
        assert_eq!(faces.load(ExampleId(2)).unwrap().pixels(), [0, 255]);
        let notes = faces.notes().join("\n");
        assert!(notes.contains("has 5 pictures, the published set has 494414"), "{notes}");
        assert!(notes.contains("has 4 people, the published set has 10575"), "{notes}");
        assert!(notes.contains("left out 2 pictures of people who are in LFW too"), "{notes}");
        assert!(notes.contains("2 files and folders that are no person's pictures were ignored"), "{notes}");
    }
    let said = |names: &str| {
        std::fs::write(root.join("names.txt"), names).unwrap();
        WebFace::open(&root).unwrap_err().to_string()
    };
    assert!(said("0000045 Adam\n45 Adam\n").contains("names.txt, line 2, is `45 Adam`"));
    assert!(said("0000045 Adam\n0000045 Eve\n").contains("line 2, has 0000045 a second time"));
}

#[test]
fn folders_without_faces_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["cats/1.jpg", "123456/1.jpg", "12345678/1.jpg"]);
    assert!(WebFace::open(dir.path()).unwrap_err().to_string().contains("no folder named by 7 digits"));
    assert!(Lfw::open(dir.path()).unwrap_err().to_string().contains("no files named Person/Person_0001.jpg"));
    assert!(WebFace::open(dir.path().join("no")).unwrap_err().to_string().contains("no"));
    touch(dir.path(), &["0000001/1.jpg", "Ada/Ada_0001.jpg"]);
    assert!(WebFace::open(dir.path()).unwrap_err().to_string().contains("single class"));
    assert!(Lfw::open(dir.path()).unwrap_err().to_string().contains("single class"));
}

#[test]
fn lfw_finds_the_images_that_its_list_names() {
    let dir = tempfile::tempdir().unwrap();
    let files = ["Ada_B/Ada_B_0001.jpg", "Ada_B/Ada_B_0002.jpg", "Bo/Bo_0010.jpg", "Cy/Cy_0001.jpg"];
    touch(&dir.path().join("lfw"), &files);
    touch(&dir.path().join("lfw"), &["Cy/Bo_0001.jpg", "Cy/Cy_1.jpg", "Cy/Cy_0000.jpg", "Dee/readme.txt"]);
    std::fs::write(dir.path().join("pairs.txt"), "1\t1\nAda_B\t1\t2\nBo\t10\tCy\t1\n").unwrap();
    let faces = Lfw::open(dir.path()).unwrap();
    assert_eq!(classes(&faces), [0, 0, 1, 2]);
    assert_eq!(
        (faces.class_name(ClassId(0)), faces.official(ExampleId(0))),
        ("Ada_B".into(), Some(OfficialSide::Test))
    );
    let pairs = faces.pairs().unwrap();
    let found: Vec<[usize; 2]> =
        pairs.pairs().iter().map(|p| p.images.clone().map(|i| faces.example(&i).unwrap().0)).collect();
    assert_eq!(found, [[0, 1], [2, 3]]);
    let missing = faces.example(&LfwImage { person: "Bo".into(), number: 11 }).unwrap_err().to_string();
    assert!(missing.contains("has no Bo/Bo_0011.jpg, which"), "{missing}");
    let notes = faces.notes().join("\n");
    assert!(notes.contains("has 4 pictures, the published set has 13233"), "{notes}");
    assert!(notes.contains("has 3 people, the published set has 5749"), "{notes}");
    assert!(notes.contains("4 files that are not named Person/Person_0001.jpg were ignored"), "{notes}");
    std::fs::remove_file(dir.path().join("pairs.txt")).unwrap();
    assert!(faces.pairs().unwrap_err().to_string().contains("pairs.txt"));
}

#[test]
fn crops_with_other_endings_are_faces_too() {
    let dir = tempfile::tempdir().unwrap();
    touch(
        dir.path(),
        &["lfw/Ada/Ada_0001.png", "lfw/Ada/Ada_0002.JPG", "lfw/Bo/Bo_0001.jpeg", "lfw/Bo/@eaDir/Bo_0001.jpg"],
    );
    std::fs::write(dir.path().join("pairs.txt"), "\u{feff}1\t1\nAda\t1\t2\nAda\t1\tBo\t1\n").unwrap();
    let faces = Lfw::open(dir.path()).unwrap();
    assert_eq!(classes(&faces), [0, 0, 1]);
    for pair in faces.pairs().unwrap().pairs() {
        pair.images.iter().for_each(|image| assert!(faces.example(image).is_ok(), "{image:?}"));
    }
    touch(dir.path(), &["web/0000045/1.png", "web/0000046/1.JPEG"]);
    assert_eq!(classes(&WebFace::open(dir.path().join("web")).unwrap()), [45, 46]);
}
