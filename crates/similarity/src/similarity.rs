use crate::dense::{as_products, expect_matrix, mask_matrix, matrix};
use crate::device::{self, Extremes, Precision};
use crate::pass::Kind;
use crate::ranks::check_mask;
use crate::reduction::{Mean, PerRow, gradients, held, overflowed};
use crate::vectors::all_finite;
use crate::{Error, Exclude, Mask, Neighbors, Result, Rows};
use candle_core::{D, DType, Tensor, Var};
use npair_types::Measure;

/// A lazy view of the similarity matrix of two sets of embeddings: nothing is multiplied until something is asked for.
///
/// # Shapes
/// `queries` (Q, D) and `gallery` (G, D), views too, on one device; the matrix is (Q, G). f32 and f64 are taken as they are, f16
/// and bf16 are widened to f32 on the CPU and multiplied as they are on a GPU, where results are f32; whole numbers are refused.
///
/// # Numerics
/// On a GPU f32 sides are multiplied as [`with_precision`](Self::with_precision) says, and values are not looked at: what is
/// not finite gives results that are not, where the CPU gives an error. f64 sides have no kernels there: their matrix is
/// made whole.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_similarity::{Mask, Similarity};
/// # use npair_types::Measure;
/// let q = Tensor::new(&[[1f64, 0.], [0., 2.]], &Device::Cpu)?;
/// let s = Similarity::new(&q, &q, Measure::Dot)?;
/// assert_eq!(s.dense()?.to_vec2::<f64>()?, [[1., 0.], [0., 4.]]);
/// // Row 0 without its diagonal holds only the entry 0: log exp 0 = 0.
/// assert_eq!(s.log_sum_exp(&Mask::OffDiagonal)?.to_vec1::<f64>()?, [0., 0.]);
/// # Ok::<(), npair_similarity::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Similarity {
    queries: Tensor,
    gallery: Tensor,
    measure: Measure,
    precision: Precision,
}

impl Similarity {
    /// The view.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the sides are no matrices of one width and one float type.
    pub fn new(queries: &Tensor, gallery: &Tensor, measure: Measure) -> Result<Self> {
        let (_, d) = expect_matrix("queries", queries)?;
        let (g, gallery_d) = expect_matrix("gallery", gallery)?;
        if d != gallery_d || d == 0 {
            let (got, want) = (format!("({g}, {gallery_d})"), format!("(G, {}) as in the queries", d.max(1)));
            return Err(Error::Shape { what: "gallery", got, want });
        }
        if queries.dtype() != gallery.dtype() {
            let dtype = format!("{:?} with {:?} queries", gallery.dtype(), queries.dtype());
            return Err(Error::DType { what: "a gallery", dtype });
        }
        let side = |t: &Tensor| match t.dtype() {
            DType::F16 | DType::BF16 if t.device().is_cpu() => t.to_dtype(DType::F32)?.contiguous(),
            _ => t.contiguous(),
        };
        Ok(Self { queries: side(queries)?, gallery: side(gallery)?, measure, precision: Precision::default() })
    }

    /// The same, with f32 sides multiplied in this way on a GPU.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The matrix (Q, G) itself, differentiable in both sides: 4 or 8 bytes per entry, several times over in a backward
    /// pass. For looking at it, and for losses that need every entry.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the first bad row; those of candle.
    pub fn dense(&self) -> Result<Tensor> {
        self.expect_finite_on_cpu()?;
        matrix(&self.queries, &self.gallery, self.measure)
    }

    /// PairScores of query i and gallery row i (Q).
    ///
    /// # Gradient
    /// To both sides.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both sides have the same number of rows, [`Error::NotFinite`] with the first bad row.
    pub fn diagonal(&self) -> Result<Tensor> {
        self.expect_finite_on_cpu()?;
        if self.queries.dim(0)? != self.gallery.dim(0)? {
            let (got, want) = (format!("{:?}", self.gallery.dims()), format!("{:?}", self.queries.dims()));
            return Err(Error::Shape { what: "gallery for a diagonal", got, want });
        }
        let (q, g) = as_products(&self.queries, &self.gallery, self.measure)?;
        Ok((q * g)?.sum(D::Minus1)?)
    }

    /// Log-sum-exp of every row under a mask.
    ///
    /// ```text
    /// out_i = log sum_{j in mask(i)} exp(s_ij)
    /// ```
    /// # Shapes
    /// Returns (Q); a row whose mask is empty is minus infinity.
    ///
    /// # Gradient
    /// To both sides; the matrix is streamed again, not kept. Where the mean is wanted,
    /// [`mean_log_sum_exp`](Self::mean_log_sum_exp) makes it once.
    ///
    /// # Numerics
    /// Entries are shifted by the row's maximum and summed in f64.
    ///
    /// # Errors
    /// [`Error::Shape`] if the mask's labels do not fit, [`Error::NotFinite`] with the first bad row.
    pub fn log_sum_exp(&self, mask: &Mask) -> Result<Tensor> {
        self.reduce(Kind::LogSumExp, mask, None)
    }

    /// The gradient of weighed [log-sum-exps](Self::log_sum_exp), without their values: for a caller who knows them.
    ///
    /// ```text
    /// d / d(queries, gallery)  sum_i u_i log sum_{j in mask(i)} exp(s_ij)
    /// ```
    /// # Shapes
    /// `upstream` u (Q), of the sides' type; two tensors of the sides' shapes. A row whose mask is empty has no part in it.
    ///
    /// # Cost
    /// 6 Q G D operations, where value and gradient one after the other are 8.
    ///
    /// # Errors
    /// As [`log_sum_exp`](Self::log_sum_exp), and [`Error::Shape`] if the weights do not fit.
    pub fn log_sum_exp_gradients(&self, mask: &Mask, upstream: &Tensor) -> Result<(Tensor, Tensor)> {
        let (rows, columns) = (self.queries.dim(0)?, self.gallery.dim(0)?);
        check_mask(mask, rows, columns)?;
        if upstream.dims() != [rows] || upstream.dtype() != self.queries.dtype() {
            let got = format!("{:?} of {:?}", upstream.dims(), upstream.dtype());
            let want = format!("({rows}) of {:?}", self.queries.dtype());
            return Err(Error::Shape { what: "upstream", got, want });
        }
        if self.queries.device().is_cpu() && self.measure == Measure::Dot {
            expect_finite("queries", &self.queries)?;
            expect_finite("gallery", &self.gallery)?;
            let sides = [&self.queries, &self.gallery];
            return Ok(match self.queries.dtype() {
                DType::F64 => gradients::<f64>(sides, mask, upstream)?,
                _ => gradients::<f32>(sides, mask, upstream)?,
            });
        }
        let sides = [&self.queries, &self.gallery].map(Var::from_tensor);
        let [queries, gallery] = sides;
        let (queries, gallery) = (queries?, gallery?);
        let sums = Self { queries: queries.as_tensor().clone(), gallery: gallery.as_tensor().clone(), ..self.clone() }
            .log_sum_exp(mask)?;
        let found = (sums * upstream)?.sum_all()?.backward()?;
        let of = |var: &Var| found.get(var).cloned().map_or_else(|| var.zeros_like(), Ok);
        Ok((of(&queries)?, of(&gallery)?))
    }

    /// Soft margin of every row's entries above a reference of its own: the shape of the N-pair loss.
    ///
    /// ```text
    /// out_i = log(1 + sum_{j in mask(i)} exp(s_ij - o_i))
    /// ```
    /// # Shapes
    /// `reference` o (Q), of the queries' type; returns (Q), 0 where the mask is empty.
    ///
    /// # Gradient
    /// To both sides and the reference.
    ///
    /// # Numerics
    /// Entries are shifted by the row's maximum and summed in f64; a small sum keeps its digits (`ln_1p`).
    ///
    /// # Errors
    /// As [`log_sum_exp`](Self::log_sum_exp), and [`Error::Shape`] if the reference does not fit.
    pub fn log1p_sum_exp_above(&self, reference: &Tensor, mask: &Mask) -> Result<Tensor> {
        self.reduce(Kind::Log1pSumExp, mask, Some(reference))
    }

    /// Sum of soft margins of every row's entries above a reference of its own: the shape of the one-vs-one loss.
    ///
    /// ```text
    /// out_i = sum_{j in mask(i)} log(1 + exp(s_ij - o_i))
    /// ```
    /// Shapes, gradient, numerics and errors are those of [`log1p_sum_exp_above`](Self::log1p_sum_exp_above).
    ///
    /// # Errors
    /// As [`log1p_sum_exp_above`](Self::log1p_sum_exp_above).
    pub fn softplus_sum_above(&self, reference: &Tensor, mask: &Mask) -> Result<Tensor> {
        self.reduce(Kind::SoftplusSum, mask, Some(reference))
    }

    /// Mean of [`log_sum_exp`](Self::log_sum_exp) over the rows.
    ///
    /// ```text
    /// out = 1/Q  sum_i  log sum_{j in mask(i)} exp(s_ij)
    /// ```
    /// # Shapes
    /// Returns a scalar; minus infinity if the mask of a row is empty.
    ///
    /// # Gradient
    /// To both sides, found together with the value, so that every product is taken once (6 Q G D operations; 2 if no
    /// variable stands behind the sides). Beside both gradients, memory for the weights of
    /// some rows (32 MiB of f32 at most, unless 168 rows are longer), and for two packed copies of the gallery and one of
    /// those rows.
    ///
    /// # Numerics
    /// Entries are shifted by the row's maximum and summed in f64; f32 exponentials are within two units in the last
    /// place, and 0 where the share in the sum is below exp(-87).
    ///
    /// # Errors
    /// As [`log_sum_exp`](Self::log_sum_exp), and [`Error::Shape`] if there is no query.
    pub fn mean_log_sum_exp(&self, mask: &Mask) -> Result<Tensor> {
        self.reduce_to_mean(Kind::LogSumExp, mask, false)
    }

    /// Mean over the rows of the soft margin above the diagonal: the N-pair loss as a whole.
    ///
    /// ```text
    /// out = 1/Q  sum_i  log(1 + sum_{j in mask(i)} exp(s_ij - s_ii))
    /// ```
    /// # Shapes
    /// As many queries as gallery rows, at least one; returns a scalar.
    ///
    /// # Gradient
    /// As [`mean_log_sum_exp`](Self::mean_log_sum_exp): found with the value, every product taken once.
    ///
    /// # Numerics
    /// As [`mean_log_sum_exp`](Self::mean_log_sum_exp); the digits of a small sum are kept (`ln_1p`).
    ///
    /// # Errors
    /// As [`log_sum_exp`](Self::log_sum_exp), and [`Error::Shape`] if the sides differ in rows or have none.
    ///
    /// # Examples
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use npair_similarity::{Mask, Similarity};
    /// # use npair_types::Measure;
    /// let x = Tensor::zeros((4, 3), candle_core::DType::F64, &Device::Cpu)?;
    /// let s = Similarity::new(&x, &x, Measure::Dot)?;
    /// // Three rivals as near as the positive: log(1 + 3).
    /// assert_eq!(s.mean_log1p_sum_exp_above_diagonal(&Mask::OffDiagonal)?.to_scalar::<f64>()?, 4f64.ln());
    /// # Ok::<(), npair_similarity::Error>(())
    /// ```
    pub fn mean_log1p_sum_exp_above_diagonal(&self, mask: &Mask) -> Result<Tensor> {
        self.reduce_to_mean(Kind::Log1pSumExp, mask, true)
    }

    /// Mean over the rows of the summed soft margins above the diagonal: the one-vs-one loss as a whole.
    ///
    /// ```text
    /// out = 1/Q  sum_i  sum_{j in mask(i)} log(1 + exp(s_ij - s_ii))
    /// ```
    /// Shapes, gradient, numerics and errors are those of
    /// [`mean_log1p_sum_exp_above_diagonal`](Self::mean_log1p_sum_exp_above_diagonal).
    ///
    /// # Errors
    /// As [`mean_log1p_sum_exp_above_diagonal`](Self::mean_log1p_sum_exp_above_diagonal).
    pub fn mean_softplus_sum_above_diagonal(&self, mask: &Mask) -> Result<Tensor> {
        self.reduce_to_mean(Kind::SoftplusSum, mask, true)
    }

    /// The `k` nearest gallery rows of every query, exactly, on the sides' device; no gradient.
    ///
    /// # Shapes
    /// Q lists of at most `k`, their similarity in f32.
    ///
    /// # Numerics
    /// On the CPU as [`Rows::top_k`], f64 sides in f64; on a GPU products are those of [`with_precision`](Self::with_precision), their order is
    /// exact, and equal ones come in the order of the gallery. Cosines of 16-bit sides are those of unit rows rounded to 16
    /// bits. More than some 2,900 neighbours (960 on Apple's) are searched on the CPU.
    ///
    /// # Errors
    /// As [`Rows::top_k`]; [`Error::Overflow`] too if f32 does not hold the similarity of f64 sides, which [`Rows::top_k`] returns.
    pub fn top_k(&self, k: usize, exclude: Exclude) -> Result<Neighbors<f32>> {
        let (rows, columns) = (self.queries.dim(0)?, self.gallery.dim(0)?);
        exclude.check(rows, columns)?;
        if k > 0 && device::takes(&self.queries, &self.gallery) {
            let mask = exclude.mask();
            if let Some(found) = device::find_nearest(self.sides(&mask), k.min(columns))? {
                expect_finite_entries(&found.status)?;
                let similarity = found.similarity.to_vec2::<f32>()?;
                return Ok(Neighbors::of_lists(found.places.to_vec2::<u32>()?, similarity));
            }
        }
        match self.queries.dtype() {
            DType::F64 => self.top_k_on_cpu::<f64>(k, exclude)?.narrowed(),
            _ => self.top_k_on_cpu::<f32>(k, exclude),
        }
    }

    fn top_k_on_cpu<T: crate::Element>(&self, k: usize, exclude: Exclude) -> Result<Neighbors<T>> {
        let values = |t: &Tensor| t.detach().to_dtype(T::DTYPE)?.flatten_all()?.to_vec1::<T>();
        let (q, g, width) = (values(&self.queries)?, values(&self.gallery)?, self.queries.dim(1)?);
        Rows::new(&q, width)?.top_k(Rows::new(&g, width)?, self.measure, k, exclude)
    }

    /// The nearest gallery row that a mask leaves to every query: with [`Mask::OtherClass`] the hardest negatives. No
    /// gradient; nothing is read by the host.
    ///
    /// # Shapes
    /// (Q), on the sides' device.
    ///
    /// # Errors
    /// [`Error::Shape`] if the mask's labels do not fit.
    pub fn row_max(&self, mask: &Mask) -> Result<Extremes> {
        self.extremes(mask, false)
    }

    /// The farthest gallery row that a mask leaves to every query: with [`Mask::positives`] the hardest positives. The rest
    /// is as for [`row_max`](Self::row_max).
    ///
    /// # Errors
    /// [`Error::Shape`] if the mask's labels do not fit.
    ///
    /// # Examples
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use npair_similarity::{Mask, Similarity};
    /// # use npair_types::{Labels, Measure};
    /// let x = Tensor::new(&[[0f32], [1.], [5.]], &Device::Cpu)?;
    /// let mask = Mask::positives(&Labels::new([0, 0, 0])?);
    /// let farthest = Similarity::new(&x, &x, Measure::SquaredEuclidean)?.row_min(&mask)?;
    /// assert_eq!(farthest.places.to_vec1::<u32>()?, [2, 2, 0]);
    /// assert_eq!(farthest.similarity.to_vec1::<f32>()?, [-25., -16., -25.]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn row_min(&self, mask: &Mask) -> Result<Extremes> {
        self.extremes(mask, true)
    }

    fn extremes(&self, mask: &Mask, farthest: bool) -> Result<Extremes> {
        let (rows, columns) = (self.queries.dim(0)?, self.gallery.dim(0)?);
        check_mask(mask, rows, columns)?;
        if device::takes(&self.queries, &self.gallery) {
            return Ok(device::find_extremes(self.sides(mask), farthest)?);
        }
        Ok(match self.queries.dtype() {
            DType::F64 => self.extremes_on_cpu::<f64>(mask, farthest)?,
            _ => self.extremes_on_cpu::<f32>(mask, farthest)?,
        })
    }

    fn extremes_on_cpu<T: crate::Element>(&self, mask: &Mask, farthest: bool) -> Result<Extremes> {
        let values = |t: &Tensor| t.detach().to_dtype(T::DTYPE)?.flatten_all()?.to_vec1::<T>();
        let (q, g, width) = (values(&self.queries)?, values(&self.gallery)?, self.queries.dim(1)?);
        let (q, g) = (Rows::new(&q, width)?, Rows::new(&g, width)?);
        let found = if farthest { q.row_min(g, self.measure, mask)? } else { q.row_max(g, self.measure, mask)? };
        let similarity: Vec<T> = found.iter().map(|n| n.map_or(T::NEG_INFINITY, |n| n.similarity)).collect();
        let places: Vec<u32> =
            found.iter().map(|n| n.and_then(|n| u32::try_from(n.index).ok()).unwrap_or(u32::MAX)).collect();
        let (rows, device) = (found.len(), self.queries.device());
        let similarity = Tensor::from_vec(similarity, rows, device)?;
        Ok(Extremes { similarity, places: Tensor::from_vec(places, rows, device)? })
    }

    fn sides<'a>(&'a self, mask: &'a Mask) -> device::Sides<'a> {
        let Self { queries, gallery, measure, precision } = self;
        device::Sides { queries, gallery, measure: *measure, mask, precision: *precision }
    }

    /// Sides whose inner products are the similarity, as kernels take them.
    fn products(&self) -> Result<(Tensor, Tensor)> {
        let wide = |t: &Tensor| -> Result<Tensor> {
            // Squares of lengths would lose what 16 bits cannot hold.
            let is_short = !matches!(t.dtype(), DType::F32 | DType::F64);
            Ok(if self.measure != Measure::Dot && is_short { t.to_dtype(DType::F32)? } else { t.clone() })
        };
        let (q, g) = as_products(&wide(&self.queries)?, &wide(&self.gallery)?, self.measure)?;
        Ok((q.contiguous()?, g.contiguous()?))
    }

    /// On a device nobody looks: it would have to be waited for.
    fn expect_finite_on_cpu(&self) -> Result<()> {
        if self.queries.device().is_cpu() {
            expect_finite("queries", &self.queries)?;
            expect_finite("gallery", &self.gallery)?;
        }
        Ok(())
    }

    fn reduce_to_mean(&self, kind: Kind, mask: &Mask, above_diagonal: bool) -> Result<Tensor> {
        let (rows, columns) = (self.queries.dim(0)?, self.gallery.dim(0)?);
        check_mask(mask, rows, columns)?;
        if rows == 0 || above_diagonal && rows != columns {
            let (what, got) = ("sides of a mean over rows", format!("{rows} queries and {columns} gallery rows"));
            let want = if above_diagonal { "as many of both, one or more," } else { "at least one query" };
            return Err(Error::Shape { what, got, want: want.to_owned() });
        }
        if device::takes(&self.queries, &self.gallery) {
            let (q, g) = self.products()?;
            return Ok(device::mean(kind, mask, &q, &g, above_diagonal, self.precision)?);
        }
        expect_finite("queries", &self.queries)?;
        expect_finite("gallery", &self.gallery)?;
        if !self.queries.device().is_cpu() {
            let matrix = self.dense()?;
            let reference =
                if above_diagonal { self.diagonal()? } else { matrix.zeros_like()?.narrow(1, 0, 1)?.squeeze(1)? };
            let out = dense_reduce(&matrix, kind, mask, &reference)?;
            expect_no_overflow(&out)?;
            return Ok(out.mean_all()?);
        }
        let (q, g) = as_products(&self.queries, &self.gallery, self.measure)?;
        let (q, g) = (q.contiguous()?, g.contiguous()?);
        let mean = match q.dtype() {
            DType::F32 => Mean::of::<f32>(kind, mask, &q, &g, above_diagonal)?,
            _ => Mean::of::<f64>(kind, mask, &q, &g, above_diagonal)?,
        };
        Ok(q.apply_op2(&g, mean)?)
    }

    fn reduce(&self, kind: Kind, mask: &Mask, reference: Option<&Tensor>) -> Result<Tensor> {
        let (rows, columns) = (self.queries.dim(0)?, self.gallery.dim(0)?);
        check_mask(mask, rows, columns)?;
        let reference = match reference {
            Some(o) if o.dims() == [rows] && o.dtype() == self.queries.dtype() => o.contiguous()?,
            Some(o) => {
                let (got, want) =
                    (format!("{:?} of {:?}", o.dims(), o.dtype()), format!("({rows}) of {:?}", self.queries.dtype()));
                return Err(Error::Shape { what: "reference", got, want });
            }
            None => Tensor::zeros(rows, self.queries.dtype(), self.queries.device())?,
        };
        if device::takes(&self.queries, &self.gallery) {
            let (q, g) = self.products()?;
            return Ok(device::per_row(kind, mask, [&q, &g], &reference, self.precision)?);
        }
        for (side, t) in [("queries", &self.queries), ("gallery", &self.gallery), ("reference", &reference)] {
            expect_finite(side, t)?;
        }
        let out = if self.queries.device().is_cpu() {
            let (q, g) = as_products(&self.queries, &self.gallery, self.measure)?;
            q.contiguous()?.apply_op3(&g.contiguous()?, &reference, PerRow::new(kind, mask.clone()))?
        } else {
            dense_reduce(&self.dense()?, kind, mask, &reference)?
        };
        expect_no_overflow(&out)?;
        Ok(out)
    }
}

/// One number of a search: one more than a query with an entry that is no finite number.
fn expect_finite_entries(status: &Tensor) -> Result<()> {
    match status.to_vec1::<u32>()?[..] {
        [row] if row > 0 => Err(Error::Overflow { row: row as usize - 1, dtype: "f32" }),
        _ => Ok(()),
    }
}

fn expect_no_overflow(rows: &Tensor) -> Result<()> {
    match first_row(rows, overflowed)? {
        Some(row) => Err(Error::Overflow { row, dtype: if rows.dtype() == DType::F32 { "f32" } else { "f64" } }),
        None => Ok(()),
    }
}

/// The plain way, on the whole matrix: the oracle of the streamed one, and the path of devices that have none.
fn dense_reduce(matrix: &Tensor, kind: Kind, mask: &Mask, reference: &Tensor) -> Result<Tensor> {
    let above = matrix.broadcast_sub(&reference.unsqueeze(1)?)?;
    let (rows, columns) = above.dims2()?;
    let mask = mask_matrix(mask, rows, columns, matrix)?;
    let zeros = above.zeros_like()?;
    Ok(match kind {
        Kind::SoftplusSum => {
            let softplus = (above.relu()? + (above.abs()?.neg()?.exp()? + 1.)?.log()?)?;
            mask.where_cond(&softplus, &zeros)?.sum(1)?
        }
        _ => {
            let none = (zeros.ones_like()? * f64::NEG_INFINITY)?;
            let mut kept = mask.where_cond(&above, &none)?;
            if kind == Kind::Log1pSumExp {
                kept = Tensor::cat(&[&Tensor::zeros((rows, 1), above.dtype(), above.device())?, &kept], 1)?;
            }
            let shift = kept.max_keepdim(1)?.detach();
            let finite = shift.ge(f64::MIN)?.where_cond(&shift, &shift.zeros_like()?)?;
            (kept.broadcast_sub(&finite)?.exp()?.sum(1)?.log()? + finite.squeeze(1)?)?
        }
    })
}

fn expect_finite(side: &'static str, t: &Tensor) -> Result<()> {
    // One pass where they lie in the common case; the row is looked for only when there is one.
    let fine = match t.dtype() {
        DType::F32 => held(t).values::<f32>().is_ok_and(all_finite),
        _ => held(t).values::<f64>().is_ok_and(all_finite),
    };
    if fine {
        return Ok(());
    }
    let values = t.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let width = t.dims().get(1).copied().unwrap_or(1).max(1);
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(Error::NotFinite { side, row: at / width }),
        None => Ok(()),
    }
}

fn first_row(t: &Tensor, bad: impl Fn(f64) -> bool) -> Result<Option<usize>> {
    Ok(t.detach().to_dtype(DType::F64)?.to_vec1::<f64>()?.into_iter().position(bad))
}

#[cfg(test)]
mod tests;
