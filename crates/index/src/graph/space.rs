use npair_types::Measure;

/// Sums that are kept side by side, so that they become vector instructions.
const LANES: usize = 16;

/// The vectors that a graph's nodes stand for.
#[derive(Clone, Copy)]
pub(crate) struct Space<'a> {
    pub(crate) vectors: &'a [f32],
    pub(crate) width: usize,
    pub(crate) measure: Measure,
    /// Where a node's vector is; without it node i's is the i-th. Each look at another place is waited for.
    pub(super) positions: Option<&'a [u32]>,
    /// 1 / length of a node's vector, where that is needed for cosines.
    pub(super) inverse: Option<&'a [f32]>,
}

/// How far a length may be from 1 to make no difference on the way.
const UNIT: f32 = 1e-4;

/// 1 / length of vectors, if cosines need it.
pub(super) fn inverses<'a>(measure: Measure, vectors: impl Iterator<Item = Option<&'a [f32]>>) -> Option<Vec<f32>> {
    if measure != Measure::Cosine {
        return None;
    }
    let all: Vec<f32> = vectors.map(|vector| vector.map_or(1., inverse)).collect();
    all.iter().any(|inverse| (inverse - 1.).abs() > UNIT).then_some(all)
}

/// A query with what is computed of it once.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    values: &'a [f32],
    inverse: f32,
}

impl<'a> Space<'a> {
    pub(crate) fn asked(&self, values: &'a [f32]) -> Asked<'a> {
        let inverse = if self.measure == Measure::Cosine { inverse(values) } else { 1. };
        Asked { values, inverse }
    }

    /// A node as a query.
    pub(super) fn node(&self, node: usize) -> Asked<'a> {
        Asked { values: self.vector(node), inverse: self.inverse.map_or(1., |inverse| inverse[node]) }
    }

    fn vector(&self, node: usize) -> &'a [f32] {
        let at = self.positions.map_or(node, |positions| positions[node] as usize);
        &self.vectors[at * self.width..(at + 1) * self.width]
    }

    /// How near a node is to a query, in f32: good enough to find the way.
    pub(super) fn similarity(&self, asked: Asked, node: usize) -> f32 {
        let row = self.vector(node);
        match self.measure {
            Measure::Dot => lanes(asked.values, row, |a, b| a * b),
            Measure::Cosine => {
                let product = lanes(asked.values, row, |a, b| a * b) * asked.inverse;
                self.inverse.map_or(product, |inverse| product * inverse[node])
            }
            Measure::SquaredEuclidean => -lanes(asked.values, row, |a, b| (a - b) * (a - b)),
        }
    }
}

/// 1 / length, 0 of a zero vector.
fn inverse(values: &[f32]) -> f32 {
    let square: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    if square > 0. { (1. / square.sqrt()) as f32 } else { 0. }
}

/// The sum of a term over all values; the same on every machine.
#[inline]
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let (whole, of) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = whole.remainder().iter().zip(of.remainder()).map(|(&a, &b)| term(a, b)).sum();
    for (a, b) in whole.zip(of) {
        for i in 0..LANES {
            sums[i] += term(a[i], b[i]);
        }
    }
    sums.iter().sum::<f32>() + rest
}
