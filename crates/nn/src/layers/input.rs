use crate::{Error, Node, Result};
use candle_core::DType;

/// That a layer can compute with a value: f32, f64 where the device has it, bf16 on CUDA.
pub(super) fn check(layer: &str, x: &Node) -> Result<()> {
    let (dtype, device) = (x.tensor().dtype(), x.tensor().device());
    match dtype {
        DType::F32 => Ok(()),
        DType::F64 if !device.is_metal() => Ok(()),
        DType::BF16 if device.is_cuda() => Ok(()),
        DType::F64 => Err(Error::Device { layer: layer.to_owned(), device: format!("{:?}", device.location()) }),
        _ => Err(Error::DType { layer: layer.to_owned(), dtype: format!("{dtype:?}") }),
    }
}

/// That an input does not fit.
pub(super) fn wrong(layer: &str, x: &Node, want: impl Into<String>) -> Error {
    Error::Input { layer: layer.to_owned(), got: x.dims().to_vec(), want: want.into() }
}

/// Extents (B, H, W, C) of images without an empty extent but the batch; with `channels` channels if that is given.
pub(super) fn images(layer: &str, x: &Node, channels: Option<usize>) -> Result<[usize; 4]> {
    let &[b, h, w, c] = x.dims() else {
        return Err(wrong(layer, x, "images are (batch, height, width, channels)"));
    };
    match channels {
        Some(n) if n != c => Err(wrong(layer, x, format!("the layer takes {n} channels, in the last place"))),
        _ if c * h * w == 0 => Err(wrong(layer, x, "images need at least one channel and one pixel")),
        _ => check(layer, x).map(|()| [b, h, w, c]),
    }
}

/// The last extent, which has to be `channels`.
pub(super) fn last(layer: &str, x: &Node, channels: usize) -> Result<usize> {
    match x.dims().last() {
        Some(&last) if last == channels => check(layer, x).map(|()| channels),
        _ => Err(wrong(layer, x, format!("the layer takes {channels} channels in the last place"))),
    }
}

/// `name`, or `kind` where a layer has no name.
pub(super) fn label(name: &str, kind: &str) -> String {
    if name.is_empty() { kind.to_owned() } else { name.to_owned() }
}
