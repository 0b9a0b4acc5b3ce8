use crate::product::{View, product};
use crate::tiles::{Tile, Tiles};
use crate::{Element, Mask, Rows};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use npair_types::Measure;
use std::sync::OnceLock;

/// What becomes of a row `s` of inner products above its reference `o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `log sum exp(s - o)`
    LogSumExp,
    /// `log(1 + sum exp(s - o))`
    Log1pSumExp,
    /// `sum log(1 + exp(s - o))`
    SoftplusSum,
}

/// A row's running sum; exponentials are taken below the largest entry so far, so that nothing overflows.
#[derive(Clone, Copy)]
struct Running {
    shift: f64,
    sum: f64,
}

impl Kind {
    fn start(self) -> Running {
        match self {
            Self::LogSumExp => Running { shift: f64::NEG_INFINITY, sum: 0. },
            // The 1 is the entry exp(0).
            Self::Log1pSumExp => Running { shift: 0., sum: 1. },
            Self::SoftplusSum => Running { shift: 0., sum: 0. },
        }
    }

    fn add(self, r: &mut Running, x: f64) {
        if self == Self::SoftplusSum {
            r.sum += softplus(x);
        } else if x <= r.shift {
            r.sum += (x - r.shift).exp();
        } else {
            // Also taken by a NaN, which so comes out.
            r.sum = r.sum * (r.shift - x).exp() + 1.;
            r.shift = x;
        }
    }

    fn finish(self, r: Running) -> f64 {
        match self {
            Self::SoftplusSum => r.sum,
            // Below the 1 nothing has to be shifted: keep the digits of a small sum.
            Self::Log1pSumExp if r.shift == 0. => (r.sum - 1.).ln_1p(),
            _ => r.shift + r.sum.ln(),
        }
    }

    /// Derivative of the row's result with respect to an entry `x = s - o`.
    fn weight(self, x: f64, result: f64) -> f64 {
        match self {
            Self::SoftplusSum => sigmoid(x),
            _ => (x - result).exp(),
        }
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0. { 1. / (1. + (-x).exp()) } else { x.exp() / (1. + x.exp()) }
}

/// A reduction of every row of `queries gallery^T`, above a reference per row, under a mask. The matrix is made tile by
/// tile in the forward pass and once more for the gradient of either side.
pub(crate) struct Reduction {
    kind: Kind,
    mask: Mask,
    /// The rows' results in f64: rounded to f32 they would scale the weights by up to `2^-24 |result|`.
    results: OnceLock<Vec<f64>>,
}

impl Reduction {
    pub(crate) fn new(kind: Kind, mask: Mask) -> Self {
        Self { kind, mask, results: OnceLock::new() }
    }

    fn forward<T: Element>(&self, queries: Rows<T>, gallery: Rows<T>, reference: &[T]) -> Vec<f64> {
        let Self { kind, mask, .. } = self;
        let blocks = Tiles::new(queries, gallery, Measure::Dot).by_rows(
            |rows| vec![kind.start(); rows.len()],
            |state, tile| {
                for (running, (row, line)) in state.iter_mut().zip(tile.lines()) {
                    let o = reference[row].wide();
                    for (column, v) in tile.columns.clone().zip(line) {
                        if mask.contains(row, column) {
                            kind.add(running, v.wide() - o);
                        }
                    }
                }
            },
        );
        blocks.into_iter().flatten().map(|r| kind.finish(r)).collect()
    }

    /// Gradients of queries and reference.
    fn backward_rows<T: Element>(&self, s: &Sides<T>, upstream: &[T], results: &[f64]) -> (Vec<T>, Vec<T>) {
        let width = s.queries.width();
        let blocks = Tiles::new(s.queries, s.gallery, Measure::Dot).by_rows(
            |rows| (vec![T::ZERO; rows.len() * width], vec![0f64; rows.len()]),
            |(grad, below), tile| {
                let Tile { rows, columns, values } = tile;
                for (i, line) in values.chunks_exact_mut(columns.len()).enumerate() {
                    let row = rows.start + i;
                    let (o, up) = (s.reference[row].wide(), upstream[row].wide());
                    for (column, v) in columns.clone().zip(line) {
                        let weight = self.entry(row, column, v.wide() - o, results[row], up);
                        below[i] -= weight;
                        *v = T::narrow(weight);
                    }
                }
                let part = View::new(s.gallery.range(columns.clone()), columns.len(), width);
                product(grad, View::new(values, rows.len(), columns.len()), part, true);
            },
        );
        let (grads, below): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        (grads.concat(), below.concat().into_iter().map(T::narrow).collect())
    }

    /// Gradient of the gallery.
    fn backward_columns<T: Element>(&self, s: &Sides<T>, upstream: &[T], results: &[f64]) -> Vec<T> {
        let width = s.queries.width();
        let blocks = Tiles::new(s.gallery, s.queries, Measure::Dot).by_rows(
            |columns| vec![T::ZERO; columns.len() * width],
            |grad, tile| {
                // Rows of this tile are columns of the matrix.
                let Tile { rows: columns, columns: rows, values } = tile;
                for (column, line) in columns.clone().zip(values.chunks_exact_mut(rows.len())) {
                    for (row, v) in rows.clone().zip(line) {
                        let x = v.wide() - s.reference[row].wide();
                        *v = T::narrow(self.entry(row, column, x, results[row], upstream[row].wide()));
                    }
                }
                let part = View::new(s.queries.range(rows.clone()), rows.len(), width);
                product(grad, View::new(values, columns.len(), rows.len()), part, true);
            },
        );
        blocks.concat()
    }

    #[inline]
    fn entry(&self, row: usize, column: usize, x: f64, result: f64, upstream: f64) -> f64 {
        if self.mask.contains(row, column) { upstream * self.kind.weight(x, result) } else { 0. }
    }

    fn backward<T: Element>(
        &self,
        q: &Tensor,
        g: &Tensor,
        o: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(results) = self.results.get() else { bail!("{}: backward before forward", self.name()) };
        let width = q.dim(1)?;
        let upstream = values::<T>(upstream)?;
        let (q_values, g_values, reference) = (values::<T>(q)?, values::<T>(g)?, values::<T>(o)?);
        let rows = |v| Rows::new(v, width).map_err(candle_core::Error::wrap);
        let sides = Sides { queries: rows(&q_values)?, gallery: rows(&g_values)?, reference: &reference };
        let tensor = |v: Vec<T>, like: &Tensor| Tensor::from_vec(v, like.shape(), like.device()).map(Some);
        // Nothing is worked out for a side that no variable stands behind.
        let (grad_q, grad_o) = if q.track_op() || o.track_op() {
            let (grad_q, grad_o) = self.backward_rows(&sides, &upstream, results);
            (tensor(grad_q, q)?, tensor(grad_o, o)?)
        } else {
            (None, None)
        };
        let grad_g = if g.track_op() { tensor(self.backward_columns(&sides, &upstream, results), g)? } else { None };
        Ok((grad_q, grad_g, grad_o))
    }

    fn on_cpu<T: Element>(&self, sides: [(&CpuStorage, &Layout); 3]) -> Result<Option<(CpuStorage, Shape)>> {
        let [Some(q), Some(g), Some(o)] = sides.map(|(s, l)| slice::<T>(s, l)) else { return Ok(None) };
        let width = sides[0].1.dims()[1];
        let rows = |v| Rows::new(v, width).map_err(candle_core::Error::wrap);
        let results = self.forward(rows(q)?, rows(g)?, o);
        let out = results.iter().map(|&r| T::narrow(r)).collect::<Vec<_>>();
        let shape = Shape::from(out.len());
        // An operation is applied once; were it applied again, the results would be the same ones.
        let _ = self.results.set(results);
        Ok(Some((T::into_storage(out), shape)))
    }
}

struct Sides<'a, T> {
    queries: Rows<'a, T>,
    gallery: Rows<'a, T>,
    reference: &'a [T],
}

fn slice<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Option<&'a [T]> {
    let (start, end) = layout.contiguous_offsets()?;
    T::of_storage(storage)?.get(start..end)
}

fn values<T: Element>(t: &Tensor) -> Result<Vec<T>> {
    t.flatten_all()?.to_vec1::<T>()
}

impl CustomOp3 for Reduction {
    fn name(&self) -> &'static str {
        "npair-row-reduction"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sides = [(s1, l1), (s2, l2), (s3, l3)];
        if let Some(out) = self.on_cpu::<f32>(sides)? {
            return Ok(out);
        }
        match self.on_cpu::<f64>(sides)? {
            Some(out) => Ok(out),
            None => bail!("{}: contiguous tensors of one type, f32 or f64, are needed", self.name()),
        }
    }

    fn bwd(
        &self,
        q: &Tensor,
        g: &Tensor,
        o: &Tensor,
        _res: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        match q.dtype() {
            candle_core::DType::F32 => self.backward::<f32>(q, g, o, upstream),
            _ => self.backward::<f64>(q, g, o, upstream),
        }
    }
}
