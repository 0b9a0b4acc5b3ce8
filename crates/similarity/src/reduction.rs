use crate::pass::{Found, Kind, Pass, Reference, Wanted};
use crate::{Element, Error, Mask, Rows};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor, bail};
use std::ops::Deref;

/// A reduction of every row of `queries gallery^T`, above a reference per row, under a mask. What comes from above is
/// known only on the way back, so the matrix is made twice: for the results, and for all gradients together.
pub(crate) struct PerRow {
    kind: Kind,
    mask: Mask,
}

impl PerRow {
    pub(crate) fn new(kind: Kind, mask: Mask) -> Self {
        Self { kind, mask }
    }

    fn pass<'a, T: Element>(&'a self, q: &'a [T], g: &'a [T], o: &'a [T], width: usize) -> Pass<'a, T> {
        let (queries, gallery) = (Rows::trusted(q, width), Rows::trusted(g, width));
        Pass { kind: self.kind, mask: &self.mask, queries, gallery, reference: Reference::Given(o) }
    }

    fn on_cpu<T: Element>(&self, sides: [(&CpuStorage, &Layout); 3]) -> Option<(CpuStorage, Shape)> {
        let [Some(q), Some(g), Some(o)] = sides.map(|(s, l)| slice::<T>(s, l)) else { return None };
        let found = self.pass(q, g, o, sides[0].1.dims()[1]).run(Wanted::default(), |_| 0.);
        let out = found.results.iter().map(|&r| T::narrow(r)).collect::<Vec<_>>();
        let shape = Shape::from(out.len());
        Some((T::into_storage(out), shape))
    }

    fn backward<T: Element>(&self, sides: [&Tensor; 3], upstream: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let upstream = upstream.flatten_all()?.to_vec1::<T>()?;
        let [q, g, o] = sides.map(held);
        // Nothing is worked out for a side that no variable stands behind.
        let [queries, gallery, reference] = sides.map(|t| t.track_op());
        let found = self
            .pass::<T>(q.values()?, g.values()?, o.values()?, sides[0].dim(1)?)
            .run(Wanted { queries, gallery }, |row| upstream[row].wide());
        let below = found.reference.into_iter().map(T::narrow).collect();
        let [q, g, o] = sides;
        Ok([tensor(queries, found.queries, q)?, tensor(gallery, found.gallery, g)?, tensor(reference, below, o)?])
    }
}

/// The gradient of `sum_i upstream_i log sum exp` of every row's entries by both sides, whose inner products they are; both contiguous and
/// on CPU.
pub(crate) fn gradients<T: Element>(
    [queries, gallery]: [&Tensor; 2],
    mask: &Mask,
    upstream: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let upstream = upstream.to_vec1::<T>()?;
    let (q, g, zeros) = (held(queries), held(gallery), vec![T::ZERO; upstream.len()]);
    let pass = PerRow::new(Kind::LogSumExp, mask.clone());
    let pass = pass.pass::<T>(q.values()?, g.values()?, &zeros, queries.dim(1)?);
    let found = pass.run(Wanted { queries: true, gallery: true }, |row| upstream[row].wide());
    let like = |values, side: &Tensor| Tensor::from_vec(values, side.shape(), side.device());
    Ok((like(found.queries, queries)?, like(found.gallery, gallery)?))
}

fn tensor<T: Element>(wanted: bool, values: Vec<T>, like: &Tensor) -> Result<Option<Tensor>> {
    wanted.then(|| Tensor::from_vec(values, like.shape(), like.device())).transpose()
}

fn slice<'a, T: Element>(storage: &'a CpuStorage, layout: &Layout) -> Option<&'a [T]> {
    let (start, end) = layout.contiguous_offsets()?;
    T::of_storage(storage)?.get(start..end)
}

/// A tensor whose values are read where they lie, locked meanwhile.
pub(crate) struct Held<'a, S> {
    storage: S,
    layout: &'a Layout,
}

pub(crate) fn held(t: &Tensor) -> Held<'_, impl Deref<Target = Storage>> {
    let (storage, layout) = t.storage_and_layout();
    Held { storage, layout }
}

impl<S: Deref<Target = Storage>> Held<'_, S> {
    pub(crate) fn values<T: Element>(&self) -> Result<&[T]> {
        let found = match &*self.storage {
            Storage::Cpu(storage) => slice::<T>(storage, self.layout),
            _ => None,
        };
        match found {
            Some(values) => Ok(values),
            None => bail!("row reduction: contiguous {} values on CPU are needed, call contiguous()", T::NAME),
        }
    }
}

impl CustomOp3 for PerRow {
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
        match self.on_cpu::<f32>(sides).or_else(|| self.on_cpu::<f64>(sides)) {
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
        let [q, g, o] = match q.dtype() {
            DType::F32 => self.backward::<f32>([q, g, o], upstream)?,
            _ => self.backward::<f64>([q, g, o], upstream)?,
        };
        Ok((q, g, o))
    }
}

/// The mean of the rows' results. Every row's upstream is the same, so the gradients are found together with the value
/// and only scaled on the way back: each product is taken once.
pub(crate) struct Mean {
    value: f64,
    gradients: [Option<Tensor>; 2],
}

impl Mean {
    /// The mean above the diagonal, or above zeros; both sides contiguous and on CPU.
    ///
    /// # Errors
    /// [`Error::Overflow`] with the first row that is no number.
    pub(crate) fn of<T: Element>(
        kind: Kind,
        mask: &Mask,
        q: &Tensor,
        g: &Tensor,
        above_diagonal: bool,
    ) -> crate::Result<Self> {
        let (rows, width) = q.dims2()?;
        let [queries, gallery] = [q, g].map(|t| t.track_op());
        let (held_q, held_g) = (held(q), held(g));
        let zeros = if above_diagonal { Vec::new() } else { vec![T::ZERO; rows] };
        let pass = Pass {
            kind,
            mask,
            queries: Rows::trusted(held_q.values::<T>()?, width),
            gallery: Rows::trusted(held_g.values::<T>()?, width),
            reference: if above_diagonal { Reference::Diagonal } else { Reference::Given(&zeros) },
        };
        let share = 1. / rows as f64;
        let Found { results, queries: grad_q, gallery: grad_g, .. } = pass.run(Wanted { queries, gallery }, |_| share);
        if let Some(row) = results.iter().position(|&r| overflowed(r)) {
            return Err(Error::Overflow { row, dtype: T::NAME });
        }
        let gradients = [tensor(queries, grad_q, q)?, tensor(gallery, grad_g, g)?];
        Ok(Self { value: results.iter().sum::<f64>() * share, gradients })
    }
}

/// Whether a row's result comes of entries beyond the number type. Minus infinity is a row without entries.
pub(crate) fn overflowed(result: f64) -> bool {
    result.is_nan() || result == f64::INFINITY
}

impl CustomOp2 for Mean {
    fn name(&self) -> &'static str {
        "npair-mean-of-rows"
    }

    fn cpu_fwd(&self, s: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let value = match s {
            CpuStorage::F32(_) => CpuStorage::F32(vec![self.value as f32]),
            _ => CpuStorage::F64(vec![self.value]),
        };
        Ok((value, Shape::from(())))
    }

    fn bwd(
        &self,
        _q: &Tensor,
        _g: &Tensor,
        _res: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let factor = upstream.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        let scaled = |t: &Option<Tensor>| match t {
            Some(t) if factor != 1. => t.affine(factor, 0.).map(Some),
            t => Ok(t.clone()),
        };
        let [q, g] = &self.gradients;
        Ok((scaled(q)?, scaled(g)?))
    }
}
