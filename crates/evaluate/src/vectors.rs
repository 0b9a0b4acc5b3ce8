//! Embeddings and labels as files hold them.

mod classes;
mod list;
mod npy;
mod numbers;
mod safetensors;
mod table;

use crate::{Error, Result, write_file};
use candle_core::{Device, Tensor};
use classes::Classes;
use npair_metrics::Embeddings;
use npair_types::Labels;
use numbers::Array;
use std::io::Write;
use std::path::{Path, PathBuf};
use table::{Table, Wanted};

pub(crate) use list::write_list;

/// What comes of a file's bytes, or what is wrong with them.
type Read<T> = std::result::Result<T, String>;

/// Embeddings as files hold them.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// All values, row after row.
    pub values: Vec<f32>,
    /// D.
    pub width: usize,
    /// Class of every row, if known.
    pub labels: Option<Labels>,
    /// What every row is: a path, an entry; empty if unknown.
    pub names: Vec<String>,
    /// Name of every row's class; empty if unknown.
    pub classes: Vec<String>,
}

impl Vectors {
    /// The rows to be judged.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are no labels, and the first row that is not finite.
    pub fn labeled(&self) -> Result<Embeddings> {
        Ok(Embeddings::new(&self.values, self.width, self.labels.clone().ok_or_else(no_labels)?)?)
    }

    /// The same of rows that are given away: their values are not copied.
    ///
    /// # Errors
    /// As [`labeled`](Self::labeled).
    pub fn into_labeled(self) -> Result<Embeddings> {
        Ok(Embeddings::owned(self.values, self.width, self.labels.ok_or_else(no_labels)?)?)
    }

    /// The files that [`write`](Self::write) makes for a path, whatever the rows.
    ///
    /// # Errors
    /// [`Error::File`] if the ending is none that it knows.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
        match ending(path).to_lowercase().as_str() {
            "npy" => Ok(vec![path.to_owned(), path.with_extension("labels.npy"), path.with_extension("csv")]),
            "safetensors" => Ok(vec![path.to_owned(), path.with_extension("csv")]),
            other => Err(Error::file(path, format!("`.{other}` is no known form: end it in .npy or .safetensors"))),
        }
    }

    /// Writes the rows by the ending of `path`. `.npy`: the matrix, with labels in `NAME.labels.npy`; `.safetensors`: tensors
    /// `embeddings` and `labels`. Beside either, `NAME.csv` says what every row is.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written or the ending is another.
    pub fn write(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let rows = self.values.len() / self.width.max(1);
        let labels: Option<Vec<i64>> =
            self.labels.as_ref().map(|l| l.as_slice().iter().map(|c| i64::from(c.0)).collect());
        let mut written = vec![path.to_owned()];
        match ending(path).to_lowercase().as_str() {
            "npy" => {
                write_file(path, &npy_bytes(&self.values, &[rows as u64, self.width as u64], path)?)?;
                if let Some(labels) = &labels {
                    let beside = path.with_extension("labels.npy");
                    write_file(&beside, &npy_bytes(labels, &[rows as u64], &beside)?)?;
                    written.push(beside);
                }
            }
            "safetensors" => {
                let mut tensors =
                    vec![("embeddings", Tensor::from_slice(&self.values, (rows, self.width), &Device::Cpu)?)];
                if let Some(labels) = labels {
                    tensors.push(("labels", Tensor::from_vec(labels, rows, &Device::Cpu)?));
                }
                let bytes = ::safetensors::serialize(tensors, None).map_err(|e| Error::file(path, e))?;
                write_file(path, &bytes)?;
            }
            other => {
                return Err(Error::file(path, format!("`.{other}` is no known form: end it in .npy or .safetensors")));
            }
        }
        if self.names.len() == rows {
            let beside = path.with_extension("csv");
            write_file(&beside, &self.list().map_err(|e| Error::file(&beside, e))?)?;
            written.push(beside);
        }
        Ok(written)
    }

    /// Reads rows of floating-point numbers (16, 32 or 64 bits; narrowed to 32) by the ending of `path`:
    ///
    /// * `.npy`, in either order of memory; `.npz` with an array `embeddings`, or a single matrix, and labels in `labels`;
    /// * `.safetensors` with the tensor `embeddings`, and labels in `labels`;
    /// * `.csv` and `.tsv`, with or without a header: columns `label` or `class`, and `name`, are what they say, all others values;
    /// * `.parquet`, the same, or a column of lists.
    ///
    /// Labels that are words number the classes in their order and are their names. Reading takes at most 64 MiB and 128 times as
    /// much memory as the file has bytes.
    ///
    /// # Errors
    /// [`Error::File`] in one line: what the file holds and what is needed; [`Error::Data`] if it cannot be opened.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of_bytes(path, open(path)?)
    }

    /// From the bytes of a file whose name says what kind it is.
    pub(crate) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let wrong = |why: String| Error::file(path, why);
        let mut read = match ending(path).to_lowercase().as_str() {
            "npy" => npy::read(&bytes).and_then(|array| Self::of_array(&array)),
            "npz" => Self::of_npz(&bytes),
            "safetensors" => Self::of_safetensors(&bytes),
            "csv" | "tsv" | "txt" => Table::csv(&bytes, Wanted::Vectors).and_then(Self::of_table),
            "parquet" => Table::parquet(bytes, Wanted::Vectors).and_then(Self::of_table),
            other => Err(format!("`.{other}` is no known form: give {FORMS}")),
        }
        .map_err(wrong)?;
        if read.width == 0 || read.values.is_empty() {
            return Err(Error::file(path, "holds no embeddings"));
        }
        if let Some(at) = read.values.iter().position(|v| !v.is_finite()) {
            let why = format!("row {} is not finite (NaN or infinity): embed its picture again", at / read.width);
            return Err(Error::file(path, why));
        }
        if read.names.len() != read.values.len() / read.width {
            read.names.clear();
        }
        Ok(read)
    }

    /// Takes labels, and the names of classes if the file has words, from a file as [`read_labels`] reads it.
    ///
    /// # Errors
    /// Those of [`read_labels`], and [`Error::File`] if there are more or fewer labels than rows.
    pub fn label_from(&mut self, path: &Path) -> Result<()> {
        let classes = classes_of(path, open(path)?)?;
        let rows = self.values.len() / self.width.max(1);
        if classes.labels.len() != rows {
            return Err(Error::file(
                path,
                format!("holds {} labels for {rows} rows: give those of the same rows", classes.labels.len()),
            ));
        }
        self.take(classes);
        Ok(())
    }

    fn take(&mut self, classes: Classes) {
        self.labels = Some(classes.labels);
        self.classes = classes.names;
    }

    fn of_array(array: &Array<'_>) -> Read<Self> {
        let (values, width) = array.rows()?;
        Ok(Self { values, width, labels: None, names: Vec::new(), classes: Vec::new() })
    }

    fn of_npz(bytes: &[u8]) -> Read<Self> {
        let arrays = npy::archive(bytes)?;
        let mut read = Self::of_array(&npy::read(matrix_of(&arrays)?)?)?;
        if let Some((_, labels)) = arrays.iter().find(|(name, _)| name == "labels") {
            read.take(Classes::of(npy::read(labels)?)?);
        }
        Ok(read)
    }

    fn of_safetensors(bytes: &[u8]) -> Read<Self> {
        let file = safetensors::read(bytes)?;
        let rows = safetensors::array(&file, "embeddings")?;
        let mut read = Self::of_array(&rows).map_err(|why| format!("`embeddings` {why}"))?;
        if file.names().contains(&"labels") {
            let classes = safetensors::array(&file, "labels").and_then(Classes::of);
            read.take(classes.map_err(|why| format!("`labels` {why}"))?);
        }
        Ok(read)
    }

    fn of_table(mut table: Table) -> Read<Self> {
        let classes = table.take_classes().map(|(labels, names)| classes_of_columns(labels, names)).transpose()?;
        let mut read =
            Self { values: table.values, width: table.width, labels: None, names: table.names, classes: Vec::new() };
        if let Some(classes) = classes {
            read.take(classes);
        }
        Ok(read)
    }
}

/// The matrix of an archive: `embeddings`, or the only one.
fn matrix_of(arrays: &[(String, Vec<u8>)]) -> Read<&[u8]> {
    let is_matrix = |bytes: &[u8]| npy::read(bytes).is_ok_and(|array| array.shape.len() == 2 && !array.is_list());
    let named = arrays.iter().find(|(name, _)| name == "embeddings");
    let matrices: Vec<_> = arrays.iter().filter(|(_, bytes)| is_matrix(bytes)).collect();
    match (named, &matrices[..]) {
        (Some((_, rows)), _) => Ok(rows),
        (None, [(_, rows)]) => Ok(rows),
        _ => {
            let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).take(8).collect();
            Err(format!("has no array `embeddings`, only {}", names.join(", ")))
        }
    }
}

/// Embeddings to be judged, of a file as [`Vectors::read`] reads it, with labels of another or its own: arrays of 64 bits are judged
/// in 64 bits, all else in 32.
///
/// # Errors
/// Those of [`Vectors::read`] and [`Vectors::label_from`]; [`Error::Setting`] if there are no labels, and the first row that is not
/// finite.
pub fn read_embeddings(path: &Path, labels: Option<&Path>) -> Result<Embeddings> {
    let bytes = open(path)?;
    let form = ending(path).to_lowercase();
    let wide = match form.as_str() {
        "npy" => npy::read(&bytes).and_then(|array| array.wide_rows()),
        "npz" => npy::archive(&bytes).and_then(|arrays| npy::read(matrix_of(&arrays)?)?.wide_rows()),
        "safetensors" => {
            safetensors::read(&bytes).and_then(|file| safetensors::array(&file, "embeddings")?.wide_rows())
        }
        _ => Ok(None),
    };
    match wide.map_err(|why| Error::file(path, why))? {
        Some((values, width)) if width > 0 => {
            let labels = match labels {
                Some(labels) => read_labels(labels)?,
                None if form == "npy" => return Err(no_labels()),
                None => classes_of(path, bytes)?.labels,
            };
            Ok(Embeddings::owned(values, width, labels)?)
        }
        _ => {
            let mut vectors = Vectors::of_bytes(path, bytes)?;
            labels.map_or(Ok(()), |labels| vectors.label_from(labels))?;
            vectors.into_labeled()
        }
    }
}

fn no_labels() -> Error {
    Error::Setting { setting: "labels", why: "there are none: give them with --labels".to_owned() }
}

/// What vectors and labels are read from.
const FORMS: &str = ".npy, .npz, .safetensors, .csv or .parquet";

/// The largest file, in bytes: 1 TiB.
const MAX_FILE: u64 = 1 << 40;

/// Reads labels, whole numbers from 0 on or words: `.npy`; `.npz` or `.safetensors` with `labels`; `.csv`, `.tsv` or `.parquet` with a
/// column `label` or `class`, or a single one.
///
/// # Errors
/// [`Error::File`] in one line: what the file holds and what is needed; [`Error::Data`] if it cannot be opened.
pub fn read_labels(path: &Path) -> Result<Labels> {
    Ok(classes_of(path, open(path)?)?.labels)
}

/// The labels in the bytes of a file whose name says what kind it is.
fn classes_of(path: &Path, bytes: Vec<u8>) -> Result<Classes> {
    let of_table = |mut table: Table| match table.take_classes() {
        Some((labels, names)) => classes_of_columns(labels, names),
        None => Err("has no column `label` or `class`".to_owned()),
    };
    let read = match ending(path).to_lowercase().as_str() {
        "npy" => npy::read(&bytes).and_then(Classes::of),
        "npz" => npy::archive(&bytes).and_then(|arrays| {
            let found = arrays.iter().find(|(name, _)| name == "labels");
            let found = found.or(if arrays.len() == 1 { arrays.first() } else { None });
            let names = || arrays.iter().map(|(name, _)| name.as_str()).take(8).collect::<Vec<_>>().join(", ");
            let (_, array) = found.ok_or_else(|| format!("has no array `labels`, only {}", names()))?;
            npy::read(array).and_then(Classes::of)
        }),
        "safetensors" => {
            safetensors::read(&bytes).and_then(|file| safetensors::array(&file, "labels").and_then(Classes::of))
        }
        "csv" | "tsv" | "txt" => Table::csv(&bytes, Wanted::Labels).and_then(of_table),
        "parquet" => Table::parquet(bytes, Wanted::Labels).and_then(of_table),
        other => Err(format!("`.{other}` is no known form: give {FORMS}")),
    };
    read.map_err(|why| Error::file(path, why))
}

/// Whether the bytes of a file of that name are vectors or labels.
pub(crate) fn accepts(name: &str, bytes: &[u8]) -> bool {
    let vectors = Vectors::of_bytes(Path::new(name), bytes.to_vec()).is_ok();
    let labels = classes_of(Path::new(name), bytes.to_vec()).is_ok();
    vectors || labels
}

/// Classes of a column of labels, called by a column of names if that has one for every row.
fn classes_of_columns(labels: Vec<String>, names: Vec<String>) -> Read<Classes> {
    let mut classes = Classes::of_words(labels)?;
    if names.len() == classes.labels.len() && names.iter().any(|name| !name.is_empty()) {
        classes.names = names;
    }
    Ok(classes)
}

fn open(path: &Path) -> Result<Vec<u8>> {
    Ok(npair_data::read_regular(path, MAX_FILE)?)
}

pub(crate) fn ending(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or("")
}

fn npy_bytes<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64], path: &Path) -> Result<Vec<u8>> {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let write = |bytes: &mut Vec<u8>| -> std::io::Result<()> {
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(bytes).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()
    };
    write(&mut bytes).and_then(|()| bytes.flush()).map_err(|e| Error::file(path, e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Vectors {
        Vectors {
            values: vec![1., 2., 3., 4., 5., 6.],
            width: 2,
            labels: Some(Labels::new([3, 1, 3]).unwrap()),
            names: vec!["a, b.png".into(), "c.png".into(), "d.png".into()],
            classes: vec!["x".into(), "y".into(), "x".into()],
        }
    }

    #[test]
    fn what_is_stored_in_64_bits_is_judged_in_64_bits() {
        use npair_metrics::{Search, knn_accuracy, retrieval};
        use npair_types::Measure;
        // Pairs 0.1 apart, 1 from pair to pair, at ten million, where f32 tells whole numbers; then rows that f32 has no number for.
        let far: Vec<f64> = (0..40).map(|i| 1e7 + f64::from(i / 2) + 0.1 * f64::from(i % 2)).collect();
        let short: Vec<f64> = far.iter().map(|v| (v - 1e7) * 1e-60).collect();
        let long: Vec<f64> = far.iter().map(|v| (v - 1e7) * 1e148).collect();
        let labels: Vec<i64> = (0..40).map(|i| i / 2).collect();
        let dir = tempfile::tempdir().unwrap();
        let (rows, beside) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
        let both = dir.path().join("x.safetensors");
        write_file(&beside, &npy_bytes(&labels, &[40], &beside).unwrap()).unwrap();
        for values in [far, short, long] {
            write_file(&rows, &npy_bytes(&values, &[40, 1], &rows).unwrap()).unwrap();
            let tensors = [
                ("embeddings", Tensor::from_slice(&values, (40, 1), &Device::Cpu).unwrap()),
                ("labels", Tensor::from_slice(&labels, 40, &Device::Cpu).unwrap()),
            ];
            write_file(&both, &::safetensors::serialize(tensors, None).unwrap()).unwrap();
            for set in [read_embeddings(&rows, Some(&beside)).unwrap(), read_embeddings(&both, None).unwrap()] {
                assert_eq!(set.wide(), values);
                let search = Search::within(&set, Measure::SquaredEuclidean);
                assert_eq!(retrieval(&search, &[1]).unwrap().recall_at[0].1.value, 1.);
                assert_eq!(knn_accuracy(&search, 1).unwrap().value, 1.);
            }
        }
        assert!(read_embeddings(&rows, None).unwrap_err().to_string().contains("--labels"));
        // All else comes as `Vectors` have it.
        let path = dir.path().join("e.safetensors");
        vectors().write(&path).unwrap();
        assert_eq!(read_embeddings(&path, None).unwrap().wide(), vectors().labeled().unwrap().wide());
    }

    #[test]
    fn both_forms_come_back() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["e.npy", "e.safetensors"] {
            let path = dir.path().join(name);
            let written = vectors().write(&path).unwrap();
            let back = Vectors::read(&path).unwrap();
            assert_eq!((&back.values, back.width), (&vectors().values, 2));
            let labels = if name.ends_with("npy") { &written[1] } else { &path };
            assert_eq!(Some(read_labels(labels).unwrap()), vectors().labels);
            let csv = std::fs::read_to_string(written.last().unwrap()).unwrap();
            assert_eq!(csv.lines().nth(1).unwrap(), "0,3,x,\"a, b.png\"");
            // The list is a file of labels, too, with the names of classes.
            let mut named = back;
            named.label_from(written.last().unwrap()).unwrap();
            assert_eq!((named.labels, named.classes), (vectors().labels, vectors().classes));
        }
    }

    #[test]
    fn a_carriage_return_in_a_name_breaks_no_row_of_the_list() {
        let dir = tempfile::tempdir().unwrap();
        let classes = vec!["x\ry".to_owned(), "\r\n".to_owned(), "\"".to_owned()];
        let odd = Vectors { classes: classes.clone(), names: classes.clone(), ..vectors() };
        let written = odd.write(&dir.path().join("e.npy")).unwrap();
        let mut reader = csv::Reader::from_path(written.last().unwrap()).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
        let column = |at: usize| rows.iter().map(|row| row[at].to_owned()).collect::<Vec<_>>();
        assert_eq!((column(2), column(3)), (classes.clone(), classes));
    }

    /// A `.npy` file of any kind.
    fn array(descr: &str, by_columns: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if by_columns { "True" } else { "False" };
        let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        [&b"\x93NUMPY\x01\x00"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes(), data].concat()
    }

    fn of(name: &str, bytes: &[u8]) -> Result<Vectors> {
        Vectors::of_bytes(Path::new(name), bytes.to_vec())
    }

    fn labels_in(name: &str, bytes: &[u8]) -> Result<Vec<u32>> {
        let classes = classes_of(Path::new(name), bytes.to_vec())?;
        Ok(classes.labels.as_slice().iter().map(|class| class.0).collect())
    }

    #[test]
    fn every_order_and_width_of_numbers_is_read() {
        let want = [1f64, 2., 3., -4., 5.5, 6.];
        let by_columns = [1f64, -4., 2., 5.5, 3., 6.];
        let half =
            |values: &[f64]| values.iter().flat_map(|&v| half::f16::from_f64(v).to_le_bytes()).collect::<Vec<_>>();
        let wide = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
        let big = |values: &[f64]| values.iter().flat_map(|&v| (v as f32).to_be_bytes()).collect::<Vec<_>>();
        for (descr, order, data) in [
            ("<f2", false, half(&want)),
            ("<f8", true, wide(&by_columns)),
            (">f4", false, big(&want)),
            (">f4", true, big(&by_columns)),
        ] {
            let read = of("x.npy", &array(descr, order, "(2, 3)", &data)).unwrap();
            assert_eq!((read.values, read.width), (want.map(|v| v as f32).to_vec(), 3), "{descr}");
        }
    }

    #[test]
    fn words_are_labels_and_stay_the_names_of_classes() {
        let letter = |c: char| (c as u32).to_le_bytes();
        let words: Vec<u8> = ["owl", "éé\0", "owl"].iter().flat_map(|word| word.chars().flat_map(letter)).collect();
        assert_eq!(labels_in("y.npy", &array("<U3", false, "(3,)", &words)).unwrap(), [0, 1, 0]);
        assert_eq!(labels_in("y.npy", &array("|S3", false, "(3,)", b"owlab\0owl")).unwrap(), [1, 0, 1]);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("y.csv");
        for text in ["label\nfox\nowl\nfox\n", "fox\nowl\nfox", "x;Class\n1;fox\n2;owl\n3;fox\n"] {
            std::fs::write(&file, text).unwrap();
            let mut named = vectors();
            named.label_from(&file).unwrap();
            assert_eq!(named.classes, ["fox", "owl", "fox"], "{text}");
            let inputs = crate::VectorInputs::of_file("x", named).unwrap();
            assert_eq!(crate::Inputs::class_name(&inputs, npair_types::ClassId(1)), "owl");
        }
        // Numbers stay the numbers that they are, however large: none goes through a float of 32 bits.
        assert_eq!(labels_in("y.csv", b"label\n16777217\n3.0\n0\n").unwrap(), [16_777_217, 3, 0]);
        assert_eq!(labels_in("y.csv", b"16777217\n3\n0\n").unwrap(), [16_777_217, 3, 0]);
        std::fs::write(&file, "1\n2\n").unwrap();
        assert!(vectors().label_from(&file).unwrap_err().to_string().contains("holds 2 labels for 3 rows"));
    }

    #[test]
    fn floats_are_no_labels_in_any_form() {
        let floats: Vec<u8> = [0.0f64, 0.97, f64::NAN].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(labels_in("y.npy", &array("<f8", false, "(3,)", &floats)).unwrap_err().to_string().contains("float64"));
        let rows = Tensor::zeros((3, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        for values in [[0., 0.97, 1.], [0.5, 1.5, 2.5], [f32::NAN, 0., 1.]] {
            let labels = Tensor::new(&values, &Device::Cpu).unwrap();
            let bytes = ::safetensors::serialize([("embeddings", &rows), ("labels", &labels)], None).unwrap();
            for said in [of("x.safetensors", &bytes).unwrap_err(), labels_in("x.safetensors", &bytes).unwrap_err()] {
                assert!(said.to_string().contains("whole numbers or words are needed as labels"), "{said}");
            }
        }
        assert!(labels_in("y.csv", b"label\n0.5\n1.5\n").unwrap_err().to_string().contains("`0.5` in row 0"));
    }

    #[test]
    fn what_is_said_of_numbers_is_true() {
        let said =
            |descr: &str, data: &[u8]| labels_in("y.npy", &array(descr, false, "(1,)", data)).unwrap_err().to_string();
        assert!(said("<u8", &u64::MAX.to_le_bytes()).contains("18446744073709551615 in row 0, beyond 4294967295"));
        assert!(said("<i8", &(1i64 << 40).to_le_bytes()).contains("1099511627776 in row 0, beyond"));
        assert!(said("<i8", &(-1i64).to_le_bytes()).contains("label -1 in row 0; class numbers are 0 and more"));
        assert!(said("|O", b"").contains("Python objects"));
        let huge = of("x.npy", &array("<f8", false, "(1, 1)", &1e300f64.to_le_bytes())).unwrap_err().to_string();
        assert!(huge.contains("row 0 has the value 1e300, beyond the range of 32 bits"), "{huge}");
        let table = labels_in("y.csv", b"label\n1099511627776\n").unwrap_err().to_string();
        assert!(table.contains("beyond 4294967295"), "{table}");
    }

    #[test]
    fn archives_and_tables_are_read() {
        use std::io::Write;
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let values: Vec<u8> = vectors().values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let parts = [
            ("embeddings.npy", array("<f4", false, "(3, 2)", &values)),
            ("labels.npy", array("|i1", false, "(3,)", &[3, 1, 3])),
        ];
        for (name, bytes) in parts {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        let npz = zip.finish().unwrap().into_inner();
        assert_eq!(labels_in("x.npz", &npz).unwrap(), [3, 1, 3]);
        let with = "name,label,0,1\n\"a, b.png\",3,1,2\nc.png,1,3,4\nd.png,3,5,6\n";
        let without = "3;1;2\n1;3;4\n3;5;6\n";
        for (name, bytes) in [("x.npz", npz.as_slice()), ("x.csv", with.as_bytes())] {
            let read = of(name, bytes).unwrap();
            assert_eq!((read.values, read.labels), (vectors().values, vectors().labels), "{name}");
        }
        assert_eq!(of("x.csv", with.as_bytes()).unwrap().names, vectors().names);
        assert_eq!(of("x.tsv", without.replace(';', "\t").as_bytes()).unwrap().width, 3);
        assert_eq!(of("x.csv", without.as_bytes()).unwrap().values[..3], [3., 1., 2.]);
        let named = of("x.csv", b"owl,1,2\nfox,3,4\n").unwrap();
        assert_eq!((named.width, named.classes), (2, vec!["owl".to_owned(), "fox".to_owned()]));
        for (text, want) in [
            ("a,b\n1,x\n", "line 2 has `x` where a number is needed"),
            ("1,2\n3,4,5\n", "cannot be read as CSV"),
            ("label,name\n", "has no rows"),
            ("ab,cd,1\nab,cd,1\n", "several columns of words"),
        ] {
            let said = of("x.csv", text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(want) && said.lines().count() == 1, "{said}");
        }
    }

    /// What pyarrow wrote: `make.py` beside the file.
    #[test]
    fn parquet_of_lists_and_of_columns_is_read() {
        for (name, bytes) in [
            ("lists.parquet", &include_bytes!("../tests/tables/lists.parquet")[..]),
            ("columns.parquet", &include_bytes!("../tests/tables/columns.parquet")[..]),
        ] {
            let read = of(name, bytes).unwrap();
            assert_eq!((read.values, read.width), (vectors().values, 2), "{name}");
            assert_eq!(read.classes, ["owl", "fox", "owl"], "{name}");
            assert_eq!(labels_in(name, bytes).unwrap(), [1, 0, 1], "{name}");
            for at in (0..bytes.len()).step_by(3) {
                let mut bad = bytes.to_vec();
                bad[at] ^= 0x5a;
                if let Err(error) = of(name, &bad) {
                    assert_eq!(error.to_string().lines().count(), 1, "{error}");
                }
                let _ = of(name, &bytes[..at]);
            }
        }
    }

    #[test]
    fn damaged_files_are_one_line_errors() {
        let dir = tempfile::tempdir().unwrap();
        let said = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let text = Vectors::read(&path).unwrap_err().to_string();
            assert!(text.contains(name) && text.lines().count() == 1, "{text}");
            text
        };
        let whole = npy_bytes(&[1f32, f32::NAN], &[1, 2], Path::new("x")).unwrap();
        assert!(said("nan.npy", &whole).contains("row 0 is not finite"));
        assert!(said("short.npy", &whole[..whole.len() - 2]).contains("ends too early"));
        assert!(said("no.npy", b"hello").contains("is no .npy file"));
        assert!(said("flat.npy", &npy_bytes(&[1f32], &[1], Path::new("x")).unwrap()).contains("matrix"));
        assert!(said("ints.npy", &npy_bytes(&[1i64], &[1, 1], Path::new("x")).unwrap()).contains("float32 or float64"));
        let mut lie = npy_bytes(&[1f32; 4], &[2, 2], Path::new("x")).unwrap();
        let at = lie.windows(4).position(|w| w == b"2, 2").unwrap();
        lie[at..at + 4].copy_from_slice(b"9999");
        said("lie.npy", &lie);
        lie[at..at + 4].copy_from_slice(b"9, 9");
        assert!(said("lie.npy", &lie).contains("ends too early"));
        assert!(said("x.safetensors", &[255; 40]).contains("is damaged"));
        assert!(said("x.doc", b"1,2").contains("no known form"));
        assert!(Vectors::read(&dir.path().join("none.npy")).unwrap_err().to_string().contains("cannot be read"));
    }
}
