//! Linear maps of rows.

use super::Element;
use super::conv::{self, Geometry};

/// Extents of `x w^T`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Affine {
    /// The same map as a convolution with 1 x 1 windows over one image of `rows` pixels: its product packs the weights
    /// once for all rows.
    fn geometry(&self) -> Geometry {
        let one = (1, 1);
        let image = (1, self.rows);
        Geometry {
            batch: 1,
            inputs: self.inputs,
            outputs: self.outputs,
            image,
            kernel: one,
            stride: one,
            padding: (0, 0),
            dilation: one,
            groups: 1,
            map: image,
        }
    }

    pub(crate) fn forward<T: Element>(&self, x: &[T], w: &[T], after: conv::Affine<T>) -> Vec<T> {
        conv::forward(&self.geometry(), x, w, after)
    }

    pub(crate) fn input_gradient<T: Element>(&self, w: &[T], grad: &[T]) -> Vec<T> {
        conv::input_gradient(&self.geometry(), w, grad)
    }

    pub(crate) fn weight_gradient<T: Element>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        conv::weight_gradient(&self.geometry(), x, grad)
    }
}
