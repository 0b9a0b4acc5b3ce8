/// How the terms of a hinged loss become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reducer {
    /// The mean over all terms: satisfied ones count as 0, so the gradient fades as the model learns.
    Mean,
    /// The mean over the terms above 0, 0 if there is none: pytorch-metric-learning's `AvgNonZeroReducer`.
    #[default]
    MeanOfNonZero,
}

impl Reducer {
    /// What the sum of the terms is multiplied by.
    pub(crate) fn factor(self, terms: usize, active: usize) -> f64 {
        let over = match self {
            Self::Mean => terms,
            Self::MeanOfNonZero => active,
        };
        if over == 0 { 0. } else { 1. / over as f64 }
    }
}
