//! The `.safetensors` of vectors.

use super::numbers::{Array, Cells, Kind, Numbers};
use safetensors::tensor::Dtype;
use safetensors::{SafeTensors, tensor::TensorView};
use std::borrow::Cow;

/// Reads the bytes of a file; the error says what is wrong with them.
pub(super) fn read(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    SafeTensors::deserialize(bytes).map_err(|e| format!("is damaged: {e}; write it again"))
}

/// A tensor by its name.
pub(super) fn array<'a>(file: &SafeTensors<'a>, name: &str) -> Result<Array<'a>, String> {
    let Some((_, view)) = file.iter().find(|(own, _)| *own == name) else {
        let mut names: Vec<&str> = file.names();
        names.sort_unstable();
        names.truncate(8);
        return Err(format!("has no tensor `{name}`, only {}", names.join(", ")));
    };
    let kind =
        kind(&view).ok_or_else(|| format!("holds {:?} in `{name}`, which are no numbers known here", view.dtype()))?;
    let numbers = Numbers { kind, big_endian: false, bytes: Cow::Borrowed(view.data()) };
    Ok(Array { shape: view.shape().to_vec(), by_columns: false, cells: Cells::Numbers(numbers) })
}

fn kind(view: &TensorView<'_>) -> Option<Kind> {
    Some(match view.dtype() {
        Dtype::F16 => Kind::F16,
        Dtype::BF16 => Kind::Bf16,
        Dtype::F32 => Kind::F32,
        Dtype::F64 => Kind::F64,
        Dtype::I8 => Kind::I8,
        Dtype::I16 => Kind::I16,
        Dtype::I32 => Kind::I32,
        Dtype::I64 => Kind::I64,
        Dtype::U8 => Kind::U8,
        Dtype::U16 => Kind::U16,
        Dtype::U32 => Kind::U32,
        Dtype::U64 => Kind::U64,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}
