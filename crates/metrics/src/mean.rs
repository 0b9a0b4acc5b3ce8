use serde::Serialize;

/// A mean over queries or trials, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Sample standard deviation over the square root of `count`; 0 for one value. Queries share a gallery, so this is the
    /// error of drawing other queries, not of training again.
    pub standard_error: f64,
    /// Number of values.
    pub count: usize,
}

impl Mean {
    /// Mean of at least one value; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - value) * (v - value)).sum::<f64>();
        let standard_error = if values.len() > 1 { (squares / (n - 1.) / n).sqrt() } else { 0. };
        Some(Self { value, standard_error, count: values.len() })
    }

    /// Ends of the 95 % interval `value -+ 1.96 standard errors`.
    pub fn interval(&self) -> (f64, f64) {
        (self.value - 1.96 * self.standard_error, self.value + 1.96 * self.standard_error)
    }
}
