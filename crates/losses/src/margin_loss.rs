use crate::away::{upload, wide};
use crate::class_weights::check_classes;
use crate::hinges::Hinges;
use crate::loss::by_element;
use crate::pair_matrix::{Entry, PairMatrix};
use crate::reducer::Tally;
use crate::setting::from_zero;
use crate::{Error, Gallery, GalleryLoss, Loss, LossValue, Reducer, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_similarity::Element;
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

impl MarginLoss {
    fn of<T: Element>(&self, gallery: &Gallery) -> Result<LossValue> {
        gallery.expect_two("margin loss")?;
        let place = |c: &ClassId| self.places.get(c).copied().ok_or(Error::UnknownClass(*c));
        let places = gallery.of_queries().as_slice().iter().map(place).collect::<Result<Vec<_>>>()?;
        let learned = wide(&self.boundaries)?;
        let boundaries = learned.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        if let Some(row) = boundaries.iter().position(|v| !v.is_finite()) {
            return Err(npair_similarity::Error::NotFinite { side: "boundaries", row }.into());
        }
        let classes = gallery.classes();
        let matrix = PairMatrix::<T>::new(gallery, Entry::Distance)?;
        let (slopes, rows) = matrix.turn(|i, distances, slope| {
            let (own, boundary) = (classes.of(i), boundaries[places[i]]);
            let hinges = Hinges::new(boundary - self.margin, boundary + self.margin, self.reducer);
            hinges.slopes(own, i, distances, slope, [1., -1.]);
            hinges.tallies(own, i, distances)
        });
        let tallies: Vec<Tally> = rows.iter().map(|[near, far]| near.join(*far)).collect();
        let (value, factors) = self.reducer.reduce(&tallies, gallery.labels());
        let mut by_boundary = vec![0.; boundaries.len()];
        for ((&place, [near, far]), factor) in places.iter().zip(&rows).zip(&factors) {
            by_boundary[place] += (far.active as f64 - near.active as f64) * factor;
        }
        let by_boundary = upload(by_boundary, boundaries.len(), learned.dtype(), learned.device())?;
        let zero = ((&learned - learned.detach())? * by_boundary)?.sum_all()?;
        let embeddings = gallery.queries();
        let value = (slopes.attach_by_row(embeddings, value, &factors)? + zero.to_dtype(embeddings.dtype())?)?;
        let Tally { terms, active, .. } = Tally::total(&tallies);
        Ok(LossValue { value, terms, active })
    }
}

impl GalleryLoss for MarginLoss {
    fn against(&self, gallery: &Gallery) -> Result<LossValue> {
        by_element!(self, gallery)
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
