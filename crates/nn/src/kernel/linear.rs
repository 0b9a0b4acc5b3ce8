//! Linear maps of rows.

use super::Element;
use super::matrix::{Place, product};
use rayon::prelude::*;

/// Rows of a product that one task makes; fixed, so that the bits do not depend on the number of threads.
const ROWS: usize = 32;

/// Extents of `x w^T + b`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
}

impl Affine {
    pub(crate) fn forward<T: Element>(&self, x: &[T], w: &[T], bias: Option<&[T]>) -> Vec<T> {
        let (i, o) = (self.inputs, self.outputs);
        let mut out = vec![T::ZERO; self.rows * o];
        if out.is_empty() {
            return out;
        }
        out.par_chunks_mut(ROWS * o).enumerate().for_each(|(at, out)| {
            let rows = out.len() / o;
            if let Some(bias) = bias {
                out.chunks_exact_mut(o).for_each(|row| row.copy_from_slice(bias));
            }
            let x = (&x[at * ROWS * i..], Place::rows(rows, i, i));
            product((out, Place::rows(rows, o, o)), x, (w, Place::rows(o, i, i).transposed()), bias.is_some());
        });
        out
    }

    pub(crate) fn input_gradient<T: Element>(&self, w: &[T], grad: &[T]) -> Vec<T> {
        let (i, o) = (self.inputs, self.outputs);
        let mut dx = vec![T::ZERO; self.rows * i];
        if dx.is_empty() {
            return dx;
        }
        dx.par_chunks_mut(ROWS * i).enumerate().for_each(|(at, dx)| {
            let rows = dx.len() / i;
            let grad = (&grad[at * ROWS * o..], Place::rows(rows, o, o));
            product((dx, Place::rows(rows, i, i)), grad, (w, Place::rows(o, i, i)), false);
        });
        dx
    }

    pub(crate) fn weight_gradient<T: Element>(&self, x: &[T], grad: &[T]) -> Vec<T> {
        let (i, o) = (self.inputs, self.outputs);
        let mut dw = vec![T::ZERO; o * i];
        if dw.is_empty() {
            return dw;
        }
        dw.par_chunks_mut(ROWS * i).enumerate().for_each(|(at, dw)| {
            let rows = dw.len() / i;
            let grad = (grad.get(at * ROWS..).unwrap_or(&[]), Place::rows(self.rows, rows, o).transposed());
            product((dw, Place::rows(rows, i, i)), grad, (x, Place::rows(self.rows, i, i)), false);
        });
        dw
    }

    pub(crate) fn bias_gradient<T: Element>(&self, grad: &[T]) -> Vec<T> {
        super::column_sums(self.outputs, grad).into_iter().map(T::from_f64).collect()
    }
}
