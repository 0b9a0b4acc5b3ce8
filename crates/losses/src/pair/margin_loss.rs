use crate::device::{to_f64, upload};
use crate::row::{Hinges, MatrixLoss, Relations, RowMatrix, of_matrix};
use crate::setting::from_zero;
use crate::softmax::check_classes;
use crate::{
    Accepts, Batch, Entry, Error, Loss, LossContext, LossSettings, LossValue, Needs, Reducer, Result, RowTerms,
};
use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::Element;
use npair_types::ClassId;
use std::collections::HashMap;

/// Margin loss: pairs of one class nearer than a boundary less a margin, others farther than it plus one; every class learns
/// its boundary.
///
/// ```text
/// L = R over ordered pairs (i, j) of  max(0, a + s_ij (d_ij - b_{y_i}))
/// s_ij = 1 if y_i = y_j, -1 if not;  R the reducer
/// ```
/// d is the distance of rows of length 1. All pairs of the batch are taken, or those that a miner chose: the paper's is
/// distance-weighted.
/// a = 0.2, boundaries of 1.2 at first and the mean of non-zero unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings: (B, D) with labels among the C classes, B >= 2; boundaries b: (C), trained; a scalar. `terms` counts the
/// B (B - 1) ordered pairs, `active` those above 0.
///
/// # Units
/// Distance. Embeddings are normalized here.
///
/// # Gradient
/// To embeddings and boundaries: 0 if every pair is satisfied (`active` is 0 then); 0 between equal rows, which have no
/// direction.
///
/// # Numerics
/// In the embeddings' type, sums in f64; O(B^2) time and memory.
///
/// # Errors
/// [`Error::TooFew`] for a single row, [`Error::UnknownClass`] for a label outside the C classes.
///
/// # Source
/// Wu et al., ICCV 2017 (arXiv 1706.07567), without the penalty of large boundaries (nu = 0).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, MarginLoss};
/// # use npair_types::{ClassId, Labels};
/// let boundaries = Tensor::new(&[1.2f64, 1.5], &Device::Cpu)?;
/// let loss = MarginLoss::from_parts(&[ClassId(1), ClassId(2)], &boundaries)?;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let loss = loss.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
/// // At sqrt 2: the positive pair twice, (2, 1) as a negative of boundary 1.5, but not (1, 2) of 1.2.
/// assert!((loss.to_f64()? - (2. * (2f64.sqrt() - 1.) + (1.7 - 2f64.sqrt())) / 3.).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (6, 3));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MarginLoss {
    boundaries: Tensor,
    variable: Option<Var>,
    places: HashMap<ClassId, usize>,
    margin: f64,
    reducer: Reducer,
}

npair_types::settings! {
    /// Margin loss with a learned boundary for every class (Wu et al., 2017). The usual values are the paper's and
    /// pytorch-metric-learning's.
    pub struct MarginLossSettings {
        /// Half the gap a around the boundary, from 0.
        margin: f64 = 0.2,
        /// How terms become one number.
        reducer: Reducer = Reducer::MeanOfNonZero,
    }
}

impl LossSettings for MarginLossSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        let loss = MarginLoss::new(context.classes, context.dtype, context.device)?.with_margin(self.margin)?;
        Ok(Box::new(loss.with_reducer(self.reducer)))
    }
}

impl MarginLoss {
    /// For `classes`, with the usual [`MarginLossSettings`].
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two distinct classes; candle's.
    pub fn new(classes: &[ClassId], dtype: DType, device: &Device) -> Result<Self> {
        let boundaries = Var::from_tensor(&(Tensor::ones(classes.len(), dtype, device)? * 1.2)?)?;
        let made = Self::from_parts(classes, &boundaries)?;
        Ok(Self { variable: Some(boundaries), ..made })
    }

    /// With given boundaries (C) in the order of `classes`; whether they are trained is their owner's affair.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two distinct classes, [`Error::Shape`] if the boundaries do not fit them.
    pub fn from_parts(classes: &[ClassId], boundaries: &Tensor) -> Result<Self> {
        let places = check_classes("margin loss", classes, 1)?;
        if boundaries.dims() != [classes.len()] {
            let want = format!("({})", classes.len());
            return Err(Error::Shape { what: "boundaries", got: boundaries.dims().to_vec(), want });
        }
        let boundaries = boundaries.clone();
        let MarginLossSettings { margin, reducer } = Default::default();
        Ok(Self { boundaries, variable: None, places, margin, reducer })
    }

    /// With margin a >= 0.
    ///
    /// # Errors
    /// [`Error::Setting`] if the margin is negative or not finite.
    pub fn with_margin(self, margin: f64) -> Result<Self> {
        Ok(Self { margin: from_zero("the margin", margin)?, ..self })
    }

    /// With another reducer.
    pub fn with_reducer(self, reducer: Reducer) -> Self {
        Self { reducer, ..self }
    }
}

impl MatrixLoss for MarginLoss {
    const NAME: &'static str = "margin loss";
    const ENTRY: Entry = Entry::Distance;
    const NEEDS: Needs = Needs::Either;

    fn matrix<T: Element>(&self, matrix: RowMatrix<T>, relations: &Relations, batch: &Batch) -> Result<LossValue> {
        let place = |c: &ClassId| self.places.get(c).copied().ok_or(Error::UnknownClass(*c));
        let places = batch.labels().as_slice().iter().map(place).collect::<Result<Vec<_>>>()?;
        let learned = to_f64(&self.boundaries)?;
        let boundaries = learned.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        if let Some(row) = boundaries.iter().position(|v| !v.is_finite()) {
            return Err(npair_similarity::Error::NotFinite { side: "boundaries", row }.into());
        }
        let (gradients, rows) = matrix.map_to_gradient(|i, distances, gradient| {
            let (row, boundary) = (relations.row(i, distances), boundaries[places[i]]);
            let hinges = Hinges::new(boundary - self.margin, boundary + self.margin, self.reducer);
            hinges.gradient(row, gradient, [1., -1.]);
            hinges.terms(row)
        });
        let terms: Vec<RowTerms> = rows.iter().map(|[near, far]| near.join(*far)).collect();
        let (value, factors) = self.reducer.reduce(&terms, batch.labels());
        let mut by_boundary = vec![0.; boundaries.len()];
        for ((&place, [near, far]), factor) in places.iter().zip(&rows).zip(&factors) {
            by_boundary[place] += (far.active as f64 - near.active as f64) * factor;
        }
        let by_boundary = upload(by_boundary, boundaries.len(), learned.dtype(), learned.device())?;
        let zero = ((&learned - learned.detach())? * by_boundary)?.sum_all()?;
        let embeddings = batch.embeddings();
        let value = (gradients.attach_by_row(embeddings, value, &factors)? + zero.to_dtype(embeddings.dtype())?)?;
        let RowTerms { terms, active, .. } = RowTerms::total(&terms);
        Ok(LossValue::new(value, terms, active))
    }
}

impl Loss for MarginLoss {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        of_matrix(self, batch)
    }

    fn accepts(&self) -> Accepts {
        Accepts::lists().with_reference()
    }

    fn name(&self) -> &str {
        Self::NAME
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.variable.iter().map(|v| ("boundaries".to_owned(), v.clone())).collect()
    }
}
