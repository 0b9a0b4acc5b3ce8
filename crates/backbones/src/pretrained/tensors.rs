//! The tensors of a file, by name.

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use std::collections::BTreeMap;

/// Floating-point tensors by name, and the names of those that are none.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) others: Vec<String>,
}

/// Reads the bytes of a `.safetensors` file; the error says what is wrong with them. Numbers of kinds that are not known here
/// are no fault of the file: they are among the others.
pub(super) fn of_safetensors(bytes: &[u8]) -> Result<Content, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("no safetensors file ({e})"))?;
    let mut content = Content::default();
    for (name, view) in file.iter() {
        match view.load(&Device::Cpu).ok().filter(|tensor| tensor.dtype().is_float()) {
            Some(tensor) => drop(content.tensors.insert(name.to_owned(), tensor)),
            None => content.others.push(name.to_owned()),
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    #[test]
    fn buffers_of_other_kinds_are_passed_over() {
        let (floats, bytes) = ([0u8; 8], [1u8; 8]);
        let view = |kind, shape: usize, data| TensorView::new(kind, vec![shape], data).unwrap();
        let all = [
            ("w", view(Dtype::F32, 2, &floats[..])),
            ("half", view(Dtype::BF16, 4, &floats)),
            ("bool", view(Dtype::BOOL, 8, &bytes)),
            ("i8", view(Dtype::I8, 8, &bytes)),
            ("u64", view(Dtype::U64, 1, &bytes)),
            ("i64", view(Dtype::I64, 1, &bytes)),
            ("f8", view(Dtype::F8_E5M2, 8, &bytes)),
        ];
        let mut content = of_safetensors(&safetensors::serialize(all, None).unwrap()).unwrap();
        content.others.sort();
        assert_eq!(content.tensors.keys().collect::<Vec<_>>(), ["half", "w"]);
        assert_eq!(content.others, ["bool", "f8", "i64", "i8", "u64"]);
    }
}
