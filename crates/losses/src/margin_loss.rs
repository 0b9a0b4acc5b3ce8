use crate::class_weights::check_classes;
use crate::gallery_matrix::GalleryMatrix;
use crate::pair_matrix::Entry;
use crate::reducer::Tally;
use crate::setting::from_zero;
use crate::{Error, Gallery, GalleryLoss, Loss, LossValue, Reducer, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_types::{ClassId, Labels};
use std::collections::HashMap;

/// Margin loss: pairs of one class nearer than a boundary less a margin, others farther than it plus one; every class learns
/// its boundary.
///
/// ```text
/// L = R over ordered pairs (i, j) of  max(0, a + s_ij (d_ij - b_{y_i}))
/// s_ij = 1 if y_i = y_j, -1 if not;  R the reducer
/// ```
/// d is the distance of rows of length 1. All pairs of the batch are taken: the paper's distance-weighted sampling is apart.
/// a = 0.2, boundaries of 1.2 at first and the mean of non-zero unless set: the paper's and pytorch-metric-learning's.
///
/// # Shapes
/// Embeddings: (B, D) with labels among the C classes, B >= 2; boundaries b: (C), trained; a scalar. `terms` counts the
/// B (B - 1) ordered pairs, `active` those above 0.
///
/// # Units
/// Distance. Embeddings are normalised here.
///
/// # Gradient
/// To embeddings and boundaries: 0 if every pair is satisfied (`active` is 0 then); 0 between equal rows, which have no
/// direction.
///
/// # Numerics
/// In f64, O(B^2) time and memory.
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
/// # use npair_losses::{Loss, MarginLoss};
/// # use npair_types::{ClassId, Labels};
/// let boundaries = Tensor::new(&[1.2f64, 1.5], &Device::Cpu)?;
/// let loss = MarginLoss::from_parts(&[ClassId(1), ClassId(2)], &boundaries)?;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let loss = loss.forward(&x, &Labels::new([1, 1, 2])?)?;
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

impl MarginLoss {
    /// For `classes`, settings as the type's documentation says.
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
        Ok(Self { boundaries, variable: None, places, margin: 0.2, reducer: Reducer::MeanOfNonZero })
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

impl GalleryLoss for MarginLoss {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.expect_two("margin loss")?;
        let labels = gallery.labels();
        let place = |c: &ClassId| self.places.get(c).copied().ok_or(Error::UnknownClass(*c));
        let places = gallery.of_queries().as_slice().iter().map(place).collect::<Result<Vec<_>>>()?;
        let learned = self.boundaries.to_dtype(DType::F64)?;
        let boundaries = learned.detach().to_vec1::<f64>()?;
        if let Some(row) = boundaries.iter().position(|v| !v.is_finite()) {
            return Err(npair_similarity::Error::NotFinite { side: "boundaries", row }.into());
        }
        let matrix = GalleryMatrix::new(gallery, Entry::Distance)?;
        let mut slopes = matrix.slopes();
        let mut tallies = vec![Tally::default(); places.len()];
        // Slopes of the terms of each query by its boundary.
        let mut by_own = vec![0.; places.len()];
        for (i, tally) in tallies.iter_mut().enumerate() {
            let (distances, slope) = (matrix.row(i), slopes.row(i));
            for j in (0..labels.len()).filter(|&j| j != i) {
                let side = if labels.same(i, j) { 1. } else { -1. };
                let term = self.margin + side * (distances[j] - boundaries[places[i]]);
                tally.terms += 1;
                if self.reducer.keeps(term) {
                    tally.active += 1;
                    tally.sum += term;
                    slope[j] += side;
                    by_own[i] -= side;
                }
            }
        }
        let (value, factors) = self.reducer.reduce(&tallies, labels);
        slopes.scale(&factors);
        let mut by_boundary = vec![0.; boundaries.len()];
        for ((&place, by_own), factor) in places.iter().zip(by_own).zip(factors) {
            by_boundary[place] += by_own * factor;
        }
        let by_boundary = Tensor::from_vec(by_boundary, boundaries.len(), learned.device())?;
        let zero = ((&learned - learned.detach())? * by_boundary)?.sum_all()?;
        let value = (matrix.attach(value, 1., slopes)? + zero.to_dtype(gallery.queries().dtype())?)?;
        let all = Tally::total(&tallies);
        Ok(LossValue { value, terms: all.terms, active: all.active })
    }
}

impl Loss for MarginLoss {
    fn forward(&self, embeddings: &Tensor, labels: &Labels) -> Result<LossValue> {
        self.against(&Gallery::of(embeddings, labels)?)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.variable.iter().map(|v| ("boundaries".to_owned(), v.clone())).collect()
    }

    fn as_gallery_loss(&self) -> Option<&dyn GalleryLoss> {
        Some(self)
    }
}
