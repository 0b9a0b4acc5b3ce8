//! A network's weights, each to be taken once.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;

/// Protobuf reads no message of 2 GiB or more; the nodes need little.
const MOST_BYTES: usize = (1 << 31) - (1 << 20);

/// Those that nobody has taken yet, by name.
#[derive(Debug)]
pub(crate) struct Weights(BTreeMap<String, Tensor>);

impl Weights {
    pub(crate) fn new(tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        let bytes = tensors.values().map(Tensor::elem_count).fold(0usize, usize::saturating_add).saturating_mul(4);
        if bytes > MOST_BYTES {
            return Err(Error::Large { bytes });
        }
        Ok(Self(tensors))
    }

    /// Whether there is one of that name that nobody has taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The tensor, which nobody can take again.
    pub(crate) fn take(&mut self, name: &str) -> Result<Tensor> {
        self.0.remove(name).ok_or_else(|| Error::Missing { name: name.to_owned() })
    }

    /// That all were taken.
    pub(crate) fn expect_none(&self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(first) => Err(Error::Left { count: self.0.len(), first: first.clone() }),
        }
    }
}

/// Values in f32, row by row.
pub(crate) fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once() {
        let zeros = Tensor::zeros(2, DType::F64, &Device::Cpu).unwrap();
        let names = ["a", "b"].map(|name| (name.to_owned(), zeros.clone()));
        let mut weights = Weights::new(names.into_iter().collect()).unwrap();
        assert!(weights.has("a") && !weights.has("c"));
        assert_eq!(floats(&weights.take("a").unwrap()).unwrap(), [0f32; 2]);
        let said = |result: Result<()>| result.unwrap_err().to_string();
        let again = said(weights.take("a").map(|_| ()));
        assert!(again.starts_with("weight a: the graph needs it, but the network has none (left)"), "{again}");
        assert!(said(weights.expect_none()).starts_with("1 weights found no place in the graph, b the first"));
        weights.take("b").unwrap();
        weights.expect_none().unwrap();
    }

    #[test]
    fn what_no_file_can_hold_is_refused_before_it_is_written() {
        // A view of one number as many.
        let zeros = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap().broadcast_as(1 << 29).unwrap();
        let said = Weights::new([("a".to_owned(), zeros)].into_iter().collect()).unwrap_err().to_string();
        assert_eq!(
            said,
            "the weights take 2147483648 bytes, but an ONNX file holds less than 2 GiB; export a smaller network"
        );
    }
}
