use crate::{Error, Result, write_file};
use candle_core::{DType, Device, Tensor};
use npair_metrics::Embeddings;
use npair_types::Labels;
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

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
        let no_labels =
            || Error::Setting { setting: "labels", why: "there are none: give them with --labels".to_owned() };
        Ok(Embeddings::new(&self.values, self.width, self.labels.clone().ok_or_else(no_labels)?)?)
    }

    /// The files that [`write`](Self::write) makes for a path, whatever the rows.
    ///
    /// # Errors
    /// [`Error::File`] if the ending is none that it knows.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
        match ending(path) {
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
        match ending(path) {
            "npy" => {
                write_file(path, &npy(&self.values, &[rows as u64, self.width as u64], path)?)?;
                if let Some(labels) = &labels {
                    let beside = path.with_extension("labels.npy");
                    write_file(&beside, &npy(labels, &[rows as u64], &beside)?)?;
                    written.push(beside);
                }
            }
            "safetensors" => {
                let mut tensors =
                    vec![("embeddings", Tensor::from_slice(&self.values, (rows, self.width), &Device::Cpu)?)];
                if let Some(labels) = labels {
                    tensors.push(("labels", Tensor::from_vec(labels, rows, &Device::Cpu)?));
                }
                let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::file(path, e))?;
                write_file(path, &bytes)?;
            }
            other => {
                return Err(Error::file(path, format!("`.{other}` is no known form: end it in .npy or .safetensors")));
            }
        }
        if self.names.len() == rows {
            let mut csv = String::from("row,label,class,name\n");
            for (i, name) in self.names.iter().enumerate() {
                let label = self.labels.as_ref().map_or(String::new(), |l| l.get(i).to_string());
                let class = self.classes.get(i).map_or("", String::as_str);
                csv.push_str(&format!("{i},{label},{},{}\n", quoted(class), quoted(name)));
            }
            let beside = path.with_extension("csv");
            write_file(&beside, csv.as_bytes())?;
            written.push(beside);
        }
        Ok(written)
    }

    /// Reads rows from `.npy` (f32 or f64, 2 dimensions) or `.safetensors` (tensor `embeddings`, labels in `labels`).
    ///
    /// # Errors
    /// [`Error::File`] in one line: what the file holds and what is needed.
    pub fn read(path: &Path) -> Result<Self> {
        let (values, width, labels) = match ending(path) {
            "npy" => {
                let npy = open_npy(path)?;
                let shape = npy.shape().to_vec();
                let [_, width] = shape[..] else {
                    return Err(Error::file(path, format!("has shape {shape:?}, but a matrix (rows, D) is needed")));
                };
                let values = match npy.try_data::<f32>() {
                    Ok(data) => collect(path, data)?,
                    Err(npy) => match npy.try_data::<f64>() {
                        Ok(data) => collect(path, data)?.into_iter().map(|v| v as f32).collect(),
                        Err(npy) => {
                            let why = format!("holds {}, but float32 or float64 is needed", npy.dtype().descr());
                            return Err(Error::file(path, why));
                        }
                    },
                };
                (values, width as usize, None)
            }
            "safetensors" => {
                let tensors = open_safetensors(path)?;
                let Some(rows) = tensors.get("embeddings") else {
                    return Err(Error::file(path, format!("has no tensor `embeddings`, only {}", names(&tensors))));
                };
                let (_, width) = rows.dims2().map_err(|_| Error::file(path, "`embeddings` is no matrix (rows, D)"))?;
                let labels = tensors.get("labels").map(|t| labels_of(path, t)).transpose()?;
                (rows.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?, width, labels)
            }
            other => return Err(Error::file(path, format!("`.{other}` is no known form: give .npy or .safetensors"))),
        };
        if width == 0 || values.is_empty() {
            return Err(Error::file(path, "holds no embeddings"));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let why = format!("row {} is not finite (NaN or infinity): embed its picture again", at / width);
            return Err(Error::file(path, why));
        }
        Ok(Self { values, width, labels, names: Vec::new(), classes: Vec::new() })
    }
}

/// Reads labels: `.npy` of whole numbers with 1 dimension, or a tensor `labels` in `.safetensors`.
///
/// # Errors
/// [`Error::File`] in one line: what the file holds and what is needed.
pub fn read_labels(path: &Path) -> Result<Labels> {
    match ending(path) {
        "npy" => {
            let mut npy = open_npy(path)?;
            if npy.shape().len() != 1 {
                let why = format!("has shape {:?}, but a list of labels (rows) is needed", npy.shape());
                return Err(Error::file(path, why));
            }
            macro_rules! whole_numbers {
                ($($t:ty),*) => {$(
                    npy = match npy.try_data::<$t>() {
                        Ok(data) => return labels(path, collect(path, data)?.into_iter().map(|v| i64::try_from(v).unwrap_or(-1)).collect()),
                        Err(npy) => npy,
                    };
                )*};
            }
            whole_numbers!(i64, i32, i16, i8, u64, u32, u16, u8);
            Err(Error::file(path, format!("holds {}, but whole numbers are needed", npy.dtype().descr())))
        }
        "safetensors" => {
            let tensors = open_safetensors(path)?;
            match tensors.get("labels") {
                Some(t) => labels_of(path, t),
                None => Err(Error::file(path, format!("has no tensor `labels`, only {}", names(&tensors)))),
            }
        }
        other => Err(Error::file(path, format!("`.{other}` is no known form: give .npy or .safetensors"))),
    }
}

fn labels(path: &Path, values: Vec<i64>) -> Result<Labels> {
    Labels::from_i64(&values).map_err(|e| Error::file(path, e))
}

fn labels_of(path: &Path, t: &Tensor) -> Result<Labels> {
    let values = t.to_dtype(DType::I64).and_then(|t| t.to_vec1::<i64>());
    labels(path, values.map_err(|_| Error::file(path, "`labels` is no list of whole numbers"))?)
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(|e| e.to_str()).unwrap_or("")
}

fn names(tensors: &HashMap<String, Tensor>) -> String {
    let mut names: Vec<&str> = tensors.keys().map(String::as_str).take(8).collect();
    names.sort_unstable();
    names.join(", ")
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn npy<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64], path: &Path) -> Result<Vec<u8>> {
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

fn open_npy(path: &Path) -> Result<npyz::NpyFile<std::io::Cursor<Vec<u8>>>> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot be read: {e}; check the path")))?;
    let len = bytes.len() as u64;
    let npy = npyz::NpyFile::new(std::io::Cursor::new(bytes))
        .map_err(|e| Error::file(path, format!("is no .npy file: {e}; write it with numpy.save")))?;
    if npy.order() == npyz::Order::Fortran && npy.shape().len() > 1 {
        return Err(Error::file(path, "is in Fortran order: save numpy.ascontiguousarray of it"));
    }
    // Before anything is allocated for it: every entry takes at least a byte.
    if npy.shape().iter().try_fold(1u64, |n, &s| n.checked_mul(s)).is_none_or(|n| n > len) {
        let why =
            format!("its header promises shape {:?}, more than its {len} bytes can hold; write it again", npy.shape());
        return Err(Error::file(path, why));
    }
    Ok(npy)
}

fn collect<T>(path: &Path, data: impl Iterator<Item = std::io::Result<T>>) -> Result<Vec<T>> {
    data.collect::<std::io::Result<_>>()
        .map_err(|e| Error::file(path, format!("ends too early or is damaged: {e}; write it again")))
}

fn open_safetensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot be read: {e}; check the path")))?;
    candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::file(path, format!("is damaged: {e}; write it again")))
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
        let whole = npy(&[1f32, f32::NAN], &[1, 2], Path::new("x")).unwrap();
        assert!(said("nan.npy", &whole).contains("row 0 is not finite"));
        assert!(said("short.npy", &whole[..whole.len() - 2]).contains("ends too early"));
        assert!(said("no.npy", b"hello").contains("is no .npy file"));
        assert!(said("flat.npy", &npy(&[1f32], &[1], Path::new("x")).unwrap()).contains("matrix"));
        assert!(said("ints.npy", &npy(&[1i64], &[1, 1], Path::new("x")).unwrap()).contains("float32 or float64"));
        let mut lie = npy(&[1f32; 4], &[2, 2], Path::new("x")).unwrap();
        let at = lie.windows(4).position(|w| w == b"2, 2").unwrap();
        lie[at..at + 4].copy_from_slice(b"9999");
        said("lie.npy", &lie);
        lie[at..at + 4].copy_from_slice(b"9, 9");
        assert!(said("lie.npy", &lie).contains("ends too early"));
        assert!(said("x.safetensors", &[255; 40]).contains("is damaged"));
        assert!(said("x.csv", b"1,2").contains("no known form"));
        assert!(Vectors::read(&dir.path().join("none.npy")).unwrap_err().to_string().contains("cannot be read"));
    }
}
