//! dlib's face network as face-api keeps it: convolutions with an affine layer behind each, which become one.

use candle_core::{Result, Tensor};
use std::collections::BTreeMap;

/// A name that shows that a file is of this kind.
const SIGN: &str = "conv32_down/conv/filters";
/// The parts of a layer, behind its name.
const PARTS: [&str; 4] = ["/conv/filters", "/conv/bias", "/scale/weights", "/scale/biases"];

/// Tensors with the names and values of [`DlibFaceNet`](crate::DlibFaceNet), where they are of this kind; others come back as they
/// were. With the convolution's weights w, its bias b, and the affine layer's scale s and shift t: `s w` and `s b + t`.
pub(super) fn translate(mut tensors: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    if !tensors.contains_key(SIGN) {
        return Ok(tensors);
    }
    let layers: Vec<String> =
        tensors.keys().filter_map(|name| name.strip_suffix(PARTS[0])).map(str::to_owned).collect();
    for layer in layers {
        let parts: Vec<Tensor> =
            PARTS.iter().filter_map(|part| tensors.get(&format!("{layer}{part}")).cloned()).collect();
        // A layer with a part missing keeps its names, and is said to be unexpected.
        let [weight, bias, scale, shift] = &parts[..] else { continue };
        PARTS.iter().for_each(|part| drop(tensors.remove(&format!("{layer}{part}"))));
        let name = layer.replace('/', ".");
        let across = scale.reshape((scale.elem_count(), 1, 1, 1))?;
        tensors.insert(format!("{name}.weight"), weight.broadcast_mul(&across)?);
        tensors.insert(format!("{name}.bias"), ((bias * scale)? + shift)?);
    }
    if let Some(embedding) = tensors.remove("fc") {
        tensors.insert("fc.weight".to_owned(), embedding.t()?.contiguous()?);
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn an_affine_layer_becomes_part_of_its_convolution() {
        let tensor = |values: &[f32], dims: &[usize]| Tensor::from_slice(values, dims, &Device::Cpu).unwrap();
        let mut file = BTreeMap::new();
        let layer = "conv32_down";
        file.insert(format!("{layer}{}", PARTS[0]), tensor(&[1., 2., 3., 4.], &[2, 2, 1, 1]));
        file.insert(format!("{layer}{}", PARTS[1]), tensor(&[5., 6.], &[2]));
        file.insert(format!("{layer}{}", PARTS[2]), tensor(&[2., -1.], &[2]));
        file.insert(format!("{layer}{}", PARTS[3]), tensor(&[0.5, 0.], &[2]));
        file.insert("fc".to_owned(), tensor(&[1., 2., 3.], &[1, 3]));
        file.insert("conv9/conv/filters".to_owned(), tensor(&[1.], &[1, 1, 1, 1]));
        let own = translate(file).unwrap();
        let values = |name: &str| own[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values("conv32_down.weight"), [2., 4., -3., -4.]);
        assert_eq!(values("conv32_down.bias"), [10.5, -6.]);
        assert_eq!(own["fc.weight"].dims(), [3, 1]);
        assert!(own.contains_key("conv9/conv/filters") && own.len() == 4, "{:?}", own.keys());
    }
}
