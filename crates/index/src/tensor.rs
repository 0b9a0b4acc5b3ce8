//! Files with one tensor, as safetensors has them, written and read in pieces: the values are never in memory twice.

use crate::files::{FileRecord, PIECE, Sink, Source};
use crate::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::collections::BTreeMap;
use std::path::Path;

/// The longest header of a file of ours; real ones have about a hundred bytes.
const LONGEST_HEADER: u64 = 4096;

/// A number that a file holds, four or eight bytes each.
pub(crate) trait Number: Copy {
    const DTYPE: Dtype;
    const BYTES: usize;
    fn put(self, to: &mut [u8]);
    fn get(from: &[u8]) -> Self;
}

macro_rules! number {
    ($type:ty, $dtype:expr) => {
        impl Number for $type {
            const DTYPE: Dtype = $dtype;
            const BYTES: usize = size_of::<$type>();
            fn put(self, to: &mut [u8]) {
                to.copy_from_slice(&self.to_le_bytes());
            }
            fn get(from: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(from);
                Self::from_le_bytes(bytes)
            }
        }
    };
}

number!(f32, Dtype::F32);
number!(u32, Dtype::U32);
number!(u64, Dtype::U64);

/// Writes a tensor of this shape from its parts, in their order.
pub(crate) fn write<'a, T: Number + 'a>(
    mut sink: Sink,
    tensor: &str,
    shape: &[usize],
    parts: impl Iterator<Item = &'a [T]>,
) -> Result<FileRecord> {
    let bytes = shape.iter().product::<usize>() * T::BYTES;
    let info = TensorInfo { dtype: T::DTYPE, shape: shape.to_vec(), data_offsets: (0, bytes) };
    let header = serde_json::to_string(&BTreeMap::from([(tensor, info)]));
    let mut header = header.map_err(|e| Error::unwritten(sink.path(), e))?;
    // Values begin at a multiple of eight bytes.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    sink.write(&(header.len() as u64).to_le_bytes())?;
    sink.write(header.as_bytes())?;
    let mut buffer = Vec::with_capacity(PIECE);
    for values in parts.flat_map(|part| part.chunks(PIECE / T::BYTES)) {
        buffer.resize(values.len() * T::BYTES, 0);
        values.iter().zip(buffer.chunks_exact_mut(T::BYTES)).for_each(|(v, to)| v.put(to));
        sink.write(&buffer)?;
    }
    sink.finish()
}

/// Appends the values of a tensor of this shape; whatever else the file holds is an error before memory is taken.
pub(crate) fn read<T: Number>(
    folder: &Path,
    record: &FileRecord,
    tensor: &str,
    shape: &[usize],
    to: &mut Vec<T>,
) -> Result<()> {
    let mut source = Source::open(folder, record)?;
    let path = source.path().to_owned();
    let mut length = [0; 8];
    source.read(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(Error::damaged(&path, format!("has a header of {length} bytes")));
    }
    let mut header = vec![0; length as usize];
    source.read(&mut header)?;
    let found: BTreeMap<String, TensorInfo> =
        serde_json::from_slice(&header).map_err(|e| Error::damaged(&path, format!("has no header ({e})")))?;
    let count = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
    let values = count.and_then(|n| n.checked_mul(T::BYTES));
    let bytes = values.unwrap_or(usize::MAX);
    let is_it = |info: &TensorInfo| info.dtype == T::DTYPE && info.shape == shape && info.data_offsets == (0, bytes);
    let right = found.len() == 1 && found.get(tensor).is_some_and(is_it);
    if !right || (bytes as u64).checked_add(8 + length) != Some(record.bytes) {
        return Err(Error::damaged(
            &path,
            format!("is not one tensor `{tensor}` of the shape {shape:?} and nothing else"),
        ));
    }
    to.reserve_exact(count.unwrap_or(0));
    let (mut left, mut buffer) = (bytes, vec![0; PIECE.min(bytes)]);
    while left > 0 {
        let piece = &mut buffer[..left.min(PIECE)];
        source.read(piece)?;
        to.extend(piece.chunks_exact(T::BYTES).map(T::get));
        left -= piece.len();
    }
    source.finish()
}
