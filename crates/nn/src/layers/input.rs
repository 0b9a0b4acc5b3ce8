use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// What a layer computes with: a contiguous f32 or f64 tensor on the CPU.
pub(super) fn check(layer: &str, x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return Err(Error::Device { layer: layer.to_owned(), device: format!("{:?}", x.device().location()) });
    }
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Err(Error::DType { layer: layer.to_owned(), dtype: format!("{:?}", x.dtype()) });
    }
    Ok(x.contiguous()?)
}

/// The same for images (B, C, H, W) without an empty extent but the batch; with `channels` channels if that is given.
pub(super) fn images(layer: &str, x: &Tensor, channels: Option<usize>) -> Result<(Tensor, [usize; 4])> {
    let wrong = |want: String| Error::Input { layer: layer.to_owned(), got: x.dims().to_vec(), want };
    let &[b, c, h, w] = x.dims() else {
        return Err(wrong("images are (batch, channels, height, width)".to_owned()));
    };
    match channels {
        Some(n) if n != c => Err(wrong(format!("the layer takes {n} channels"))),
        _ if c * h * w == 0 => Err(wrong("images need at least one channel and one pixel".to_owned())),
        _ => Ok((check(layer, x)?, [b, c, h, w])),
    }
}

/// `name`, or `kind` where a layer has no name.
pub(super) fn label(name: &str, kind: &str) -> String {
    if name.is_empty() { kind.to_owned() } else { name.to_owned() }
}
