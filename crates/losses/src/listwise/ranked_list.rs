use crate::setting::{from_zero, within};
use crate::{Entry, Loss, LossContext, LossSettings, Needs, Result, Row, RowLoss, RowTerms};
use npair_similarity::{Element, row};

/// Ranked list loss: positives are pulled inside a sphere around every row, negatives pushed out of a larger one, near
/// negatives the most.
///
/// ```text
/// L = 1/B  sum_i  (1 - l) 1/|P*_i| sum_{p in P*_i} (d_ip - (a - m))  +  l sum_{n in N*_i} w_in / W_i (a - d_in)
/// P*_i = { p of i's class: d_ip > a - m },   N*_i = { n of others: d_in < a }
/// w_in = exp(T (a - d_in)),  W_i = sum over N*_i of w_in,  both without gradient
/// ```
/// d is the distance of rows of length 1. A mean over an empty set is 0. With a miner the positives and negatives are those that
/// it chose, and B counts the rows that have any.
///
/// # Shapes
/// Embeddings: (B, D) with their labels, B >= 2; a scalar. `active` counts the rows with a P* or N*.
///
/// # Units
/// Distance. Embeddings are normalized here.
///
/// # Gradient
/// With the weights w as constants, as in the paper: not the derivative of the value, unless T = 0. 0 between equal rows,
/// which have no direction.
///
/// # Numerics
/// In f64, O(B^2) time and memory.
///
/// # Errors
/// [`Error::TooFew`](crate::Error::TooFew) for a single row.
///
/// # Source
/// Wang et al., CVPR 2019 (arXiv 1903.03238).
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, RankedList};
/// # use npair_types::Labels;
/// let x = Tensor::new(&[[1f64, 0.], [0., 1.], [-2., 0.]], &Device::Cpu)?;
/// let loss = RankedList::new(1.5, 0.5, 0., 0.5)?.forward(&Batch::new(&x, &Labels::new([1, 1, 2])?)?)?;
/// // Positives within 1, negatives beyond 1.5; rows 0 and 1 are at sqrt 2, 1 and 2 too, 0 and 2 at 2.
/// let (positive, negative) = (2f64.sqrt() - 1., 1.5 - 2f64.sqrt());
/// assert!((loss.to_f64()? - (2. * positive + 2. * negative) / 6.).abs() < 1e-15);
/// assert_eq!((loss.terms, loss.active), (3, 3));
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RankedList {
    boundary: f64,
    margin: f64,
    temperature: f64,
    balance: f64,
}

impl RankedList {
    /// With negatives beyond the `boundary` a, positives nearer by the `margin` m, negatives weighed with the
    /// `temperature` T >= 0 (0: all the same) and the `balance` l of negatives from 0 to 1; 0 <= m <= a <= 2.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if one is out of range.
    pub fn new(boundary: f64, margin: f64, temperature: f64, balance: f64) -> Result<Self> {
        let legal = [(0. ..=2.).contains(&boundary), (0. ..=boundary).contains(&margin), (0. ..=1.).contains(&balance)];
        Ok(Self {
            boundary: within("the boundary of negatives", boundary, legal[0], "from 0 to 2, the largest distance")?,
            margin: within("the margin", margin, legal[1], "from 0 to the boundary of negatives")?,
            temperature: from_zero("the temperature", temperature)?,
            balance: within("the balance", balance, legal[2], "from 0 to 1")?,
        })
    }
}

npair_types::settings! {
    /// Ranked list loss (Wang et al., 2019). The usual values are the paper's.
    pub struct RankedListSettings {
        /// Distance a that negatives are pushed beyond, from 0 to 2.
        boundary: f64 = 1.2,
        /// How much nearer m positives are pulled, from 0 to the boundary.
        margin: f64 = 0.4,
        /// Weight T of near negatives, from 0: all the same.
        temperature: f64 = 10.0,
        /// Part l of the negatives in the loss, from 0 to 1.
        balance: f64 = 0.5,
    }
}

impl Default for RankedList {
    /// With the usual [`RankedListSettings`].
    fn default() -> Self {
        let RankedListSettings { boundary, margin, temperature, balance } = Default::default();
        Self { boundary, margin, temperature, balance }
    }
}

impl LossSettings for RankedListSettings {
    fn build(&self, _: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(RankedList::new(self.boundary, self.margin, self.temperature, self.balance)?))
    }
}

impl RowLoss for RankedList {
    const NAME: &'static str = "ranked list loss";
    const ENTRY: Entry = Entry::Distance;
    const NEEDS: Needs = Needs::Either;

    fn row<T: Element>(&self, row: Row<'_, T>, gradient: &mut [T]) -> RowTerms {
        let distances = row.entries();
        let (near, far) = (self.boundary - self.margin, T::narrow(self.boundary));
        let positives = || row.positives().filter(|&p| distances[p].wide() > near);
        // Logits of the weights; of what is in no list minus infinity.
        let factor = T::narrow(-self.temperature);
        gradient.iter_mut().zip(distances).for_each(|(z, &d)| *z = if d < far { factor * d } else { T::NEG_INFINITY });
        row.keep_negatives(gradient, T::NEG_INFINITY);
        // The largest weight is that of the nearest.
        let most = row::largest(gradient);
        let (mut term, mut total) = (0., 0.);
        if most == T::NEG_INFINITY {
            gradient.fill(T::ZERO);
        } else {
            total = row::exps(gradient, T::ONE, most);
            let share = T::narrow(-self.balance / total);
            for (by, &d) in gradient.iter_mut().zip(distances) {
                *by *= share;
                // Of what is in no list 0 times a finite number.
                term -= (*by * (far - d)).wide();
            }
        }
        let count = positives().count() as f64;
        for p in positives() {
            let share = (1. - self.balance) / count;
            term += share * (distances[p].wide() - near);
            gradient[p] = T::narrow(share);
        }
        RowTerms { sum: term, terms: 1, active: usize::from(count > 0. || total > 0.) }
    }
}
