//! Folders as people have them: sides of a split, categories of classes, leftovers of programs, things that are no files.
#![allow(clippy::unwrap_used)] // helpers of tests may, as tests do

use npair_data::{Dataset, ImageFolder, OfficialSide, Picture, check, sheet::encode_png};
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

fn classes(set: &ImageFolder) -> Vec<String> {
    set.labels().as_slice().iter().map(|&class| set.class_name(class)).collect()
}

#[test]
fn sides_of_a_split_are_no_classes() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["train/cat/1.png", "train/dog/1.png", "val/cat/2.png", "test/cat/3.png", "test/eel/1.png"]);
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(classes(&set), ["cat", "cat", "cat", "dog", "eel"]);
    let sides: Vec<_> = (0..5).map(|i| set.official(ExampleId(i)).unwrap()).collect();
    use OfficialSide::{Test, Train};
    assert_eq!(sides, [Test, Train, Train, Train, Test], "{:?}", set.path(ExampleId(0)));
    let notes = set.notes().join("\n");
    assert!(notes.contains("test, train, val were taken for sides of a split"), "{notes}");
    assert!(notes.contains("1 of 3 on more than one side"), "{notes}");
    // Only if all folders are sides, and classes lie in them.
    touch(dir.path(), &["other/fox/1.png"]);
    assert_eq!(ImageFolder::open(dir.path()).unwrap().labels().classes().len(), 4);
    // Asked for, the sides are the classes.
    assert_eq!(ImageFolder::with_levels(dir.path(), 1).unwrap().class_name(ClassId(2)), "train");
    let flat = tempfile::tempdir().unwrap();
    touch(flat.path(), &["train/1.png", "test/1.png"]);
    assert_eq!(classes(&ImageFolder::open(flat.path()).unwrap()), ["test", "train"]);
}

#[test]
fn without_a_test_side_validation_is_it() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["Train/a/1.png", "Valid/b/1.png"]);
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(set.official(ExampleId(0)), Some(OfficialSide::Train));
    assert_eq!(set.official(ExampleId(1)), Some(OfficialSide::Test));
}

#[test]
fn categories_are_groups_of_classes() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["birds/owl/1.png", "birds/owl/2.png", "birds/jay/1.png", "fish/eel/1.png"]);
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(classes(&set), ["birds/jay", "birds/owl", "birds/owl", "fish/eel"]);
    assert_eq!((set.group(ClassId(0)), set.group(ClassId(2))), (Some("birds"), Some("fish")));
    assert!(check(&set).notes.join("\n").contains("3 classes of 2 categories"));
    // The other reading has a door, and the first one can be asked for.
    assert_eq!(classes(&ImageFolder::with_levels(dir.path(), 1).unwrap()), ["birds", "birds", "birds", "fish"]);
    assert_eq!(classes(&ImageFolder::with_levels(dir.path(), 2).unwrap()).len(), 4);
    // Folders that come again in every class are none.
    let views = tempfile::tempdir().unwrap();
    touch(views.path(), &["ada/front/1.png", "ada/back/1.png", "bob/front/1.png"]);
    let set = ImageFolder::open(views.path()).unwrap();
    assert_eq!(classes(&set), ["ada", "ada", "bob"]);
    assert!(set.notes().join("\n").contains("data.levels=2"));
    // Both at once.
    let both = tempfile::tempdir().unwrap();
    touch(both.path(), &["train/birds/owl/1.png", "train/birds/jay/1.png", "test/fish/eel/1.png"]);
    let set = ImageFolder::open(both.path()).unwrap();
    assert_eq!(classes(&set), ["birds/jay", "birds/owl", "fish/eel"]);
}

/// Omniglot has a `character01` in every alphabet.
#[test]
fn alphabets_hold_characters_whatever_they_share_of_names() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["Greek/character01/1.png", "Greek/character02/1.png", "Latin/character01/1.png"]);
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(set.labels().classes().len(), 3, "{:?}", classes(&set));
    assert!(check(&set).notes.join("\n").contains("3 classes of 2 categories"));
    // A view has the same name for every thing.
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["mug/front/1.png", "mug/back/1.png", "pot/front/1.png", "pot/back/1.png"]);
    assert_eq!(ImageFolder::open(dir.path()).unwrap().labels().classes().len(), 2);
}

#[test]
fn no_levels_take_everything_for_one_class() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["shots/1.png", "shots/a/2.png"]);
    let set = ImageFolder::with_levels(dir.path().join("shots"), 0).unwrap();
    assert_eq!(classes(&set), ["shots", "shots"]);
    let said = ImageFolder::with_levels(dir.path(), 3).unwrap_err().to_string();
    assert!(said.contains("holds 2 pictures, none of them 3 folders deep"), "{said}");
}

#[test]
fn leftovers_of_programs_are_passed_over_and_said() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["a/1.png", "a/@eaDir/1.png", "b/1.gif", "b/2.TIFF", "b/3.bmp", "b/.thumbnails/1.png"]);
    touch(dir.path(), &["@eaDir/1.png", "__MACOSX/a/1.png", "#recycle/1.png", "lost+found/1.png", ".cache/1.png"]);
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(classes(&set), ["a", "b", "b", "b"]);
    let notes = set.notes().join("\n");
    assert!(notes.contains("7 hidden folders and folders of other programs were passed over"), "{notes}");
    assert!(notes.contains("@eaDir"), "{notes}");
}

#[cfg(unix)]
#[test]
fn named_pipes_and_sockets_are_never_opened() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["a/1.png", "b/1.png"]);
    for pipe in ["a/2.png", "x.png"] {
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join(pipe)).status().unwrap().success());
    }
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("b/zero.png")).unwrap();
    let _held = std::os::unix::net::UnixListener::bind(dir.path().join("b/socket.png")).unwrap();
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(set.len(), 2);
    assert!(check(&set).is_clean());
    let notes = set.notes().join("\n");
    assert!(notes.contains("4 named pipes, devices and sockets were passed over"), "{notes}");
    // One that takes a picture's place later is an error, not a wait.
    std::fs::remove_file(dir.path().join("a/1.png")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("a/1.png")).status().unwrap().success());
    let said = set.load(ExampleId(0)).unwrap_err().to_string();
    assert!(said.contains("a named pipe"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_line_break_in_a_name_breaks_no_line() {
    let dir = tempfile::tempdir().unwrap();
    touch(dir.path(), &["a\rb/1\n.png", "c/1.png", "d\n/.x"]);
    let set = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(set.class_name(ClassId(0)), "a\\rb");
    assert!(set.describe(ExampleId(0)).ends_with("a\\rb/1\\n.png"), "{}", set.describe(ExampleId(0)));
    assert!(set.notes().iter().all(|note| !note.contains(char::is_control)));
    assert!(set.load(ExampleId(0)).is_ok());
}
