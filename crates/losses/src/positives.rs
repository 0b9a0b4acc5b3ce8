use crate::nca_style::with_a_positive;
use crate::rows::{expect_matrix, pick};
use crate::stable::softplus;
use crate::{Error, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::{Labels, Measure};

/// Rows of a batch that has positives and negatives: those with another row of their class. An error names what is
/// missing.
pub(crate) fn with_both(loss: &'static str, embeddings: &Tensor, labels: &Labels) -> Result<Vec<usize>> {
    labels.expect_len(expect_matrix("embeddings", embeddings)?.0)?;
    let rows = with_a_positive(loss, labels)?;
    let classes = labels.classes().len();
    if classes < 2 {
        return Err(Error::TooFew { loss, what: "classes", least: 2, got: classes });
    }
    Ok(rows)
}

/// The rows of every class of a batch.
pub(crate) struct Classes {
    places: Vec<usize>,
    members: Vec<Vec<usize>>,
}

impl Classes {
    pub(crate) fn new(labels: &Labels) -> Self {
        let (places, classes) = labels.compact();
        let mut members = vec![Vec::new(); classes];
        places.iter().enumerate().for_each(|(i, &place)| members[place].push(i));
        Self { places, members }
    }

    /// All rows of row `i`'s class, itself too, ascending.
    pub(crate) fn of(&self, i: usize) -> &[usize] {
        &self.members[self.places[i]]
    }

    /// Number of pairs of one class, each counted once.
    pub(crate) fn pairs(&self) -> usize {
        self.members.iter().map(|m| m.len() * (m.len() - 1) / 2).sum()
    }
}

/// Ordered pairs (anchor, positive) among `rows`.
pub(crate) fn ordered_pairs(rows: &[usize], labels: &Labels) -> (Vec<usize>, Vec<usize>) {
    rows.iter().flat_map(|&i| rows.iter().map(move |&p| (i, p))).filter(|&(i, p)| i != p && labels.same(i, p)).unzip()
}

/// Every ordered positive pair against its anchor's negatives:
/// `1/|P| sum_{(i, p)} log(1 + sum_n exp(f_i . f_n - o_ip))`, where `own` makes o of the lists of anchors and positives.
pub(crate) fn against_negatives(
    loss: &'static str,
    rows: &Tensor,
    labels: &Labels,
    own: impl FnOnce(&[usize], &[usize]) -> Result<Tensor>,
) -> Result<LossValue> {
    let with = with_both(loss, rows, labels)?;
    let all = Similarity::new(rows, rows, Measure::Dot)?;
    let negatives = all.log_sum_exp(&Mask::other_class(labels, labels))?;
    let (anchors, positives) = ordered_pairs(&with, labels);
    let above = (pick(&negatives.unsqueeze(1)?, &anchors)?.squeeze(1)? - own(&anchors, &positives)?)?;
    Ok(LossValue::smooth(softplus(&above)?.mean_all()?, anchors.len()))
}
