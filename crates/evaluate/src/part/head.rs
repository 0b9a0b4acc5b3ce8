//! What stands before the rows in a file of embeddings.

use crate::{Error, Result};
use npair_types::Labels;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::path::Path;

/// The two forms of a file whose rows come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Npy,
    Safetensors,
}

impl Form {
    /// By the ending of a path, as [`Vectors::files`](crate::Vectors::files) knows them.
    pub(super) fn of(path: &Path) -> Result<Self> {
        match crate::vectors::ending(path).to_lowercase().as_str() {
            "npy" => Ok(Self::Npy),
            "safetensors" => Ok(Self::Safetensors),
            other => Err(Error::file(path, format!("`.{other}` is no known form: end it in .npy or .safetensors"))),
        }
    }

    /// The bytes before the rows of a file with these labels and rows of this width: those of
    /// [`Vectors::write`](crate::Vectors::write).
    pub(super) fn head(self, path: &Path, labels: &Labels, width: usize) -> Result<Vec<u8>> {
        match self {
            Self::Npy => npy::<f32>(&[labels.len() as u64, width as u64]).map_err(|e| Error::file(path, e)),
            Self::Safetensors => safetensors(labels, width).map_err(|e| Error::file(path, e)),
        }
    }
}

/// The header of an array.
pub(super) fn npy<T: npyz::AutoSerialize>(shape: &[u64]) -> std::io::Result<Vec<u8>> {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    // The header is written at once; that no values follow here is not its affair.
    drop(npyz::WriteOptions::<T>::new().default_dtype().shape(shape).writer(&mut bytes).begin_nd()?);
    Ok(bytes)
}

/// The header and the labels, which come first: numbers of 64 bits before those of 32.
fn safetensors(labels: &Labels, width: usize) -> std::result::Result<Vec<u8>, String> {
    let rows = labels.len();
    let beyond = || "has more bytes than can be counted".to_owned();
    let end = rows.checked_mul(width).and_then(|n| n.checked_mul(4)).and_then(|n| n.checked_add(8 * rows));
    let info = |dtype, shape, data_offsets| TensorInfo { dtype, shape, data_offsets };
    let tensors = vec![
        ("labels".to_owned(), info(Dtype::I64, vec![rows], (0, 8 * rows))),
        ("embeddings".to_owned(), info(Dtype::F32, vec![rows, width], (8 * rows, end.ok_or_else(beyond)?))),
    ];
    let metadata = Metadata::new(None, tensors).map_err(|e| e.to_string())?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut header);
    bytes.extend(labels.as_slice().iter().flat_map(|class| i64::from(class.0).to_le_bytes()));
    Ok(bytes)
}
