//! Cars-196 in both layouts, as MATLAB writes them, and wrong ones.
#![allow(clippy::unwrap_used)] // helpers of tests may, as tests do

use npair_data::{Cars196, Dataset, OfficialSide, Picture, sheet::encode_png};
use npair_types::{ClassId, ExampleId};
use std::io::Write;
use std::path::Path;

/// A MATLAB 5 file, by the published description of the format: little-endian, small elements packed as MATLAB does.
mod matlab {
    use std::io::Write;

    const INT8: u32 = 1;
    const UINT8: u32 = 2;
    const UINT16: u32 = 4;
    const INT32: u32 = 5;
    const UINT32: u32 = 6;
    const DOUBLE: u32 = 9;
    const MATRIX: u32 = 14;
    const COMPRESSED: u32 = 15;
    const UTF8: u32 = 16;

    pub enum Value {
        /// Stored as 16-bit numbers, as older versions do.
        Text(String),
        /// Stored as UTF-8, as newer versions do.
        Utf8(String),
        /// A double array that is stored as bytes, as MATLAB does with whole numbers.
        Byte(u8),
        /// A double array stored as doubles.
        Double(f64),
        Cells(Vec<Value>),
    }

    fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        if (1..=4).contains(&data.len()) {
            out.extend((kind | (data.len() as u32) << 16).to_le_bytes());
            out.extend(data);
            out.resize(8, 0);
        } else {
            out.extend(kind.to_le_bytes());
            out.extend((data.len() as u32).to_le_bytes());
            out.extend(data);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        out
    }

    fn matrix(class: u32, size: [i32; 2], name: &str, content: &[u8]) -> Vec<u8> {
        let flags = [class.to_le_bytes(), 0u32.to_le_bytes()].concat();
        let size = [size[0].to_le_bytes(), size[1].to_le_bytes()].concat();
        let body =
            [&element(UINT32, &flags), &element(INT32, &size), &element(INT8, name.as_bytes()), content].concat();
        let mut out = [MATRIX.to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
        out.extend(body);
        out
    }

    pub fn value(value: &Value, name: &str) -> Vec<u8> {
        match value {
            Value::Text(text) => {
                let letters: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                matrix(4, [1, text.len() as i32], name, &element(UINT16, &letters))
            }
            Value::Utf8(text) => matrix(4, [1, text.len() as i32], name, &element(UTF8, text.as_bytes())),
            Value::Byte(byte) => matrix(6, [1, 1], name, &element(UINT8, &[*byte])),
            Value::Double(number) => matrix(6, [1, 1], name, &element(DOUBLE, &number.to_le_bytes())),
            Value::Cells(cells) => {
                let content: Vec<u8> = cells.iter().flat_map(|cell| self::value(cell, "")).collect();
                matrix(1, [1, cells.len() as i32], name, &content)
            }
        }
    }

    /// A struct array of 1 x rows.
    pub fn structs(name: &str, fields: &[&str], rows: &[Vec<Value>]) -> Vec<u8> {
        let width = 32;
        let mut names = Vec::new();
        for field in fields {
            names.extend(field.bytes());
            names.resize(names.len().next_multiple_of(width), 0);
        }
        let content = [element(INT32, &(width as i32).to_le_bytes()), element(INT8, &names)].concat();
        let values: Vec<u8> = rows.iter().flatten().flat_map(|v| value(v, "")).collect();
        matrix(2, [1, rows.len() as i32], name, &[content, values].concat())
    }

    pub fn file(variables: &[Vec<u8>], compressed: bool) -> Vec<u8> {
        let mut out =
            format!("{:<116}", "MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: Sat Feb  9 2013").into_bytes();
        out.extend([0; 8]);
        out.extend(0x0100u16.to_le_bytes());
        out.extend(b"IM");
        for variable in variables {
            if compressed {
                let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                packer.write_all(variable).unwrap();
                let packed = packer.finish().unwrap();
                out.extend(COMPRESSED.to_le_bytes());
                out.extend((packed.len() as u32).to_le_bytes());
                out.extend(packed);
            } else {
                out.extend(variable);
            }
        }
        out
    }
}

use matlab::Value;

fn write(root: &Path, file: &str, bytes: &[u8]) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

fn picture() -> Vec<u8> {
    encode_png(&Picture::new(2, 1, 1, vec![0, 255]).unwrap()).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The fields of `cars_annos.mat`.
const WHOLE: [&str; 7] = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"];

/// The fields of the development kit.
const KIT: [&str; 6] = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"];

fn whole(rows: &[(&str, u8)]) -> Vec<u8> {
    let row = |&(path, class): &(&str, u8)| {
        let small = || Value::Byte(30);
        vec![text(path), small(), small(), Value::Double(1000.), small(), Value::Byte(class), Value::Byte(0)]
    };
    matlab::structs("annotations", &WHOLE, &rows.iter().map(row).collect::<Vec<_>>())
}

fn kit(rows: &[(&str, f64)]) -> Vec<u8> {
    let row = |&(path, class): &(&str, f64)| {
        let small = || Value::Byte(30);
        vec![small(), small(), Value::Double(1000.), small(), Value::Double(class), Value::Utf8(path.to_owned())]
    };
    matlab::structs("annotations", &KIT, &rows.iter().map(row).collect::<Vec<_>>())
}

const ROWS: [(&str, u8); 4] =
    [("car_ims/000001.jpg", 1), ("car_ims/000002.jpg", 98), ("car_ims/000003.jpg", 99), ("car_ims/000004.jpg", 196)];

fn names() -> Vec<u8> {
    let names = (1..=196).map(|i| Value::Text(format!("Maker Model {i} Sedan 2012"))).collect();
    matlab::value(&Value::Cells(names), "class_names")
}

fn sides(data: &dyn Dataset) -> Vec<(u32, OfficialSide)> {
    (0..data.len()).map(|i| (data.labels().get(i).0, data.official(ExampleId(i)).unwrap())).collect()
}

#[test]
fn the_whole_set_in_one_file() {
    for compressed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "cars_annos.mat", &matlab::file(&[whole(&ROWS), names()], compressed));
        write(dir.path(), "car_ims/000002.jpg", &picture());
        let cars = Cars196::open(dir.path()).unwrap();
        use OfficialSide::{Test, Train};
        assert_eq!(sides(&cars), [(1, Train), (98, Train), (99, Test), (196, Test)]);
        assert_eq!(cars.class_name(ClassId(196)), "Maker Model 196 Sedan 2012");
        assert_eq!(cars.load(ExampleId(1)).unwrap().pixels(), [0, 255]);
        assert!(cars.load(ExampleId(0)).unwrap_err().to_string().contains("000001.jpg"));
        assert!(cars.notes().contains(&"has 2 pictures for test, the published set has 8131".to_owned()));
    }
}

#[test]
fn the_development_kit() {
    for folder in ["", "devkit/"] {
        let dir = tempfile::tempdir().unwrap();
        let train = kit(&[("00001.jpg", 14.), ("00002.jpg", 150.)]);
        let test = kit(&[("00001.jpg", 181.), ("00002.jpg", 14.)]);
        write(dir.path(), &format!("{folder}cars_train_annos.mat"), &matlab::file(&[train], true));
        write(dir.path(), &format!("{folder}cars_test_annos_withlabels.mat"), &matlab::file(&[test], false));
        write(dir.path(), &format!("{folder}cars_meta.mat"), &matlab::file(&[names()], true));
        write(dir.path(), "cars_test/00002.jpg", &picture());
        let cars = Cars196::open(dir.path()).unwrap();
        use OfficialSide::{Test, Train};
        // Folders do not matter, classes do.
        assert_eq!(sides(&cars), [(14, Train), (14, Train), (150, Test), (181, Test)]);
        let files: Vec<bool> = (0..2).map(|i| cars.describe(ExampleId(i)).contains("cars_test")).collect();
        assert_eq!(files, [true, false]);
        assert_eq!(cars.load(ExampleId(0)).unwrap().width(), 2);
        assert_eq!(cars.class_name(ClassId(14)), "Maker Model 14 Sedan 2012");
    }
}

fn said(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "cars_annos.mat", bytes);
    let said = Cars196::open(dir.path()).unwrap_err().to_string();
    assert!(said.contains("cars_annos.mat") && !said.contains('\n'), "{said}");
    said
}

#[test]
fn wrong_annotations_are_named() {
    let of = |rows: &[(&str, u8)]| said(&matlab::file(&[whole(rows)], false));
    assert!(of(&[ROWS[0], ("../x.jpg", 2)]).contains("annotation 2 names the path `../x.jpg`, which leads out"));
    assert!(of(&[ROWS[0], ("car_ims/2.jpg", 197)]).contains("annotation 2 has the class 197"));
    assert!(of(&[ROWS[0], ("car_ims/2.jpg", 0)]).contains("has the class 0, which is not from 1 to 196"));
    assert!(said(&matlab::file(&[names()], true)).contains("no variable `annotations`"));
    assert!(said(&matlab::file(&[matlab::value(&text("x"), "annotations")], true)).contains("is no struct array"));
    let no_path = matlab::structs("annotations", &["class"], &[vec![Value::Byte(1)], vec![Value::Byte(2)]]);
    assert!(said(&matlab::file(&[no_path], false)).contains("has no field `relative_im_path`"));
    let odd = matlab::structs(
        "annotations",
        &["relative_im_path", "class"],
        &[vec![text("a"), Value::Double(1.5)], vec![text("b"), text("c")]],
    );
    assert!(said(&matlab::file(&[odd], false)).contains("annotation 1 has no whole number in its field `class`"));
    assert!(said(b"MATLAB 7.3 MAT-file, Platform: GLNXA64").contains("version 7.3"));
    assert!(said(b"").contains("no MATLAB 5.0 header"));
    assert!(said(b"GIF89a").contains("no MATLAB 5.0 header"));
}

#[test]
fn unlabelled_tests_and_missing_files_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let said = || Cars196::open(dir.path()).unwrap_err().to_string();
    assert!(said().contains("neither cars_annos.mat nor the whole development kit"));
    write(dir.path(), "cars_train_annos.mat", &matlab::file(&[kit(&[("1.jpg", 1.), ("2.jpg", 2.)])], true));
    assert!(said().contains("cars_test_annos_withlabels.mat missing"), "{}", said());
    let rows = [vec![Value::Byte(1), text("1.jpg")], vec![Value::Byte(1), text("2.jpg")]];
    let unlabelled = matlab::structs("annotations", &["bbox_x1", "fname"], &rows);
    write(dir.path(), "cars_test_annos_withlabels.mat", &matlab::file(&[unlabelled], true));
    assert!(said().contains("annotation 1 has no field `class`: take cars_test_annos_withlabels.mat"), "{}", said());
}

#[test]
fn truncated_and_damaged_files_are_errors() {
    for compressed in [false, true] {
        let good = matlab::file(&[whole(&ROWS)], compressed);
        // All lengths, but for the padding at the very end.
        for length in 0..good.len() - 8 {
            said(&good[..length]);
        }
        // A bomb: many zeros, well packed.
        let bomb = matlab::file(&[vec![0; 80 << 20]], true);
        assert!(said(&bomb).contains("unpacks to more than 64 MiB"));
    }
}

#[test]
fn no_changed_byte_is_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    for compressed in [false, true] {
        let good = matlab::file(&[whole(&ROWS[..2])], compressed);
        for at in 0..good.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                std::fs::write(dir.path().join("cars_annos.mat"), bad).unwrap();
                // Good or not: an answer, and no text of several lines.
                if let Err(e) = Cars196::open(dir.path()) {
                    assert!(!e.to_string().contains('\n'), "{e}");
                }
            }
        }
    }
}
