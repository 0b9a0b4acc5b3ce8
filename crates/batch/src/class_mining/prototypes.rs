use crate::tuple_mining::to_f32;
use crate::{Error, Result};
use candle_core::Tensor;
use npair_types::{ClassId, Measure};
use serde::{Deserialize, Serialize};

/// Embeddings of one or more examples of each of C candidate classes, all finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Prototypes {
    values: Vec<f32>,
    classes: usize,
    per_class: usize,
    width: usize,
}

/// Prototypes as they are saved.
#[derive(Deserialize)]
struct Saved {
    values: Vec<f32>,
    classes: usize,
    per_class: usize,
    width: usize,
}

impl TryFrom<Saved> for Prototypes {
    type Error = String;

    fn try_from(Saved { values, classes, per_class, width }: Saved) -> std::result::Result<Self, String> {
        let size = classes.checked_mul(per_class).and_then(|rows| rows.checked_mul(width));
        if values.is_empty() || size != Some(values.len()) {
            return Err(format!("{} values are no {classes} x {per_class} prototypes of width {width}", values.len()));
        }
        match values.iter().all(|v| v.is_finite()) {
            true => Ok(Self { values, classes, per_class, width }),
            false => Err("a prototype is not finite".to_owned()),
        }
    }
}

impl Prototypes {
    /// Prototypes of `classes`: embeddings (C E, D), E rows per class, class after class, of any float type; they are kept in f32.
    ///
    /// Under [`Measure::Cosine`] they are scaled to unit length here (a zero row stays zero); under the others they are taken
    /// as they are, and inner products compare them.
    ///
    /// # Errors
    /// [`Error::Prototypes`] if the number of rows is no positive multiple of C, [`Error::DType`] if they are whole numbers,
    /// [`Error::NotFinite`] naming the class.
    pub fn new(classes: &[ClassId], embeddings: &Tensor, measure: Measure) -> Result<Self> {
        let c = classes.len();
        let fits = match *embeddings.dims() {
            [rows, width] if c > 0 && rows > 0 && rows.is_multiple_of(c) && width > 0 => Some((rows / c, width)),
            _ => None,
        };
        let Some((per_class, width)) = fits else {
            return Err(Error::Prototypes { got: embeddings.dims().to_vec(), want: format!("({c} E, D) with E >= 1") });
        };
        let mut values = to_f32(&embeddings.detach())?.flatten_all()?.to_vec1::<f32>()?;
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NotFinite { class: classes[at / (per_class * width)] });
        }
        if measure == Measure::Cosine {
            for row in values.chunks_exact_mut(width) {
                let norm = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
                if norm > 0. {
                    row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
                }
            }
        }
        Ok(Self { values, classes: c, per_class, width })
    }

    /// C.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.classes
    }

    /// E.
    pub fn per_class(&self) -> usize {
        self.per_class
    }

    /// D.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The E rows of the candidate class at a place.
    ///
    /// # Panics
    /// If `class` is not below [`len`](Self::len), as for slices.
    pub fn rows(&self, class: usize) -> impl Iterator<Item = &[f32]> {
        let size = self.per_class * self.width;
        self.values[class * size..(class + 1) * size].chunks_exact(self.width)
    }
}

/// Inner product in eight running sums, which the compiler keeps in vector registers; the order of the sum depends on the
/// width alone.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0f32; LANES];
    let (a_parts, b_parts) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_parts.zip(b_parts) {
        for l in 0..LANES {
            sums[l] += x[l] * y[l];
        }
    }
    sums.iter().sum::<f32>() + tail
}
