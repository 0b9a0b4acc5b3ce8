//! Classes of very different sizes: what the terms of a class weigh, and the margin that a class has.

use crate::device::upload;
use crate::setting::{from_zero, within};
use crate::{Error, LossContext, Result};
use candle_core::Tensor;

/// Weights of classes by their effective number of examples, whose mean is 1.
///
/// ```text
/// w_c = C a_c / sum_d a_d     a_c = (1 - beta) / (1 - beta^n_c)
/// ```
/// beta = 0 weighs all classes alike; towards 1 a class weighs as the reciprocal of its number of examples n_c. 0.99 to 0.9999 is
/// usual.
///
/// # Errors
/// [`Error::Setting`] for a beta below 0 or from 1 on, or a class without examples.
///
/// # Source
/// Cui et al., CVPR 2019, sections 3 and 4.
///
/// # Examples
/// ```
/// # use npair_losses::class_weights_by_size;
/// // (1 - 0.5) / (1 - 0.5^2) = 2/3, and half of it for a class that is large enough.
/// let weights = class_weights_by_size(&[2, 1000], 0.5)?;
/// assert!((weights[0] - 8. / 7.).abs() < 1e-15 && (weights[1] - 6. / 7.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
pub fn class_weights_by_size(sizes: &[usize], beta: f64) -> Result<Vec<f64>> {
    within("the class beta", beta, (0. ..1.).contains(&beta), "from 0 and below 1")?;
    check_sizes(sizes)?;
    // 1 - beta^n, without rounding beta^n to 1.
    let effective = |n: usize| -(n as f64 * beta.ln()).exp_m1();
    let shares: Vec<f64> = sizes.iter().map(|&n| (1. - beta) / effective(n)).collect();
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    Ok(shares.into_iter().map(|share| share / mean).collect())
}

/// Margins of classes by their number of examples: the smallest class has the whole one.
///
/// ```text
/// m_c = m (n_min / n_c)^p
/// ```
/// p = 1/4 makes label-distribution-aware margins (LDAM) of it; with p = 0 all classes have the same.
///
/// # Errors
/// [`Error::Setting`] for a margin or power below 0, or a class without examples.
///
/// # Source
/// Cao et al., NeurIPS 2019, equation 12, whose C is so chosen that the largest margin is m.
///
/// # Examples
/// ```
/// # use npair_losses::margins_by_size;
/// assert_eq!(margins_by_size(&[10_000, 1, 16], 0.5, 0.25)?, [0.05, 0.5, 0.25]);
/// # Ok::<(), npair_losses::Error>(())
/// ```
pub fn margins_by_size(sizes: &[usize], margin: f64, power: f64) -> Result<Vec<f64>> {
    from_zero("the margin", margin)?;
    from_zero("the margin power", power)?;
    check_sizes(sizes)?;
    let least = sizes.iter().min().copied().unwrap_or(1) as f64;
    Ok(sizes.iter().map(|&n| margin * (least / n as f64).powf(power)).collect())
}

fn check_sizes(sizes: &[usize]) -> Result<()> {
    let least = sizes.iter().min().copied().unwrap_or(1);
    within("the number of examples of a class", least as f64, least > 0, "at least 1").map(|_| ())
}

/// The weights of a context's classes; all 1 for a beta of 0.
pub(crate) fn weights_of(context: &LossContext, beta: f64) -> Result<Vec<f64>> {
    if beta == 0. {
        return Ok(vec![1.; context.classes.len()]);
    }
    class_weights_by_size(sizes_of("the class beta", context, beta)?, beta)
}

/// The margins of a context's classes; all the same for a power of 0.
pub(crate) fn margins_of(context: &LossContext, margin: f64, power: f64) -> Result<Vec<f64>> {
    if power == 0. {
        return Ok(vec![margin; context.classes.len()]);
    }
    margins_by_size(sizes_of("the margin power", context, power)?, margin, power)
}

fn sizes_of<'a>(what: &'static str, context: &LossContext<'a>, got: f64) -> Result<&'a [usize]> {
    let known = context.sizes.len() == context.classes.len();
    within(what, got, known, "0 where the numbers of examples of the classes are not known")?;
    Ok(context.sizes)
}

/// A number for every class, in their order; nothing where all have the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfClasses(Option<Vec<f64>>);

impl OfClasses {
    /// Of C classes, none of which may have a number below 0; `usual` is what they have without.
    pub(crate) fn new(what: &'static str, values: &[f64], (classes, usual): (usize, f64)) -> Result<Self> {
        if values.len() != classes {
            return Err(Error::Shape {
                what,
                got: vec![values.len()],
                want: format!("({classes}), one for every class"),
            });
        }
        for &value in values {
            from_zero(what, value)?;
        }
        Ok(Self(values.iter().any(|&value| value != usual).then(|| values.to_vec())))
    }

    /// The numbers of rows (B) whose classes are at these places.
    pub(crate) fn of_rows(&self, places: &[usize]) -> Option<Vec<f64>> {
        let values = self.0.as_ref()?;
        places.iter().map(|&place| values.get(place).copied()).collect()
    }

    /// The same as a tensor of the kind of another.
    pub(crate) fn like(&self, places: &[usize], rows: &Tensor) -> Result<Option<Tensor>> {
        self.of_rows(places).map(|values| upload(values, places.len(), rows.dtype(), rows.device())).transpose()
    }

    /// The mean of terms (B), each times the number of its class.
    pub(crate) fn mean(&self, terms: &Tensor, places: &[usize]) -> Result<Tensor> {
        match self.like(places, terms)? {
            None => Ok(terms.mean_all()?),
            Some(weights) => Ok((terms * weights)?.mean_all()?),
        }
    }
}
