use crate::rows::{dots, pick, unit_rows};
use crate::setting::above_zero;
use crate::{Accepts, Batch, Error, Loss, LossContext, LossSettings, LossValue, Result};
use candle_core::Tensor;
use npair_similarity::{Mask, Similarity};
use npair_types::{LabelSets, Measure};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Multi-label supervised contrastive loss: [`SupCon`](crate::SupCon) once for every label of every anchor.
///
/// ```text
/// L = 1/N  sum_i  sum_{l in Y_i, P_il not empty}  -1/|P_il|  sum_{p in P_il}  log( exp(c_ip / T) / sum_{a != i} exp(c_ia / T) )
/// P_il = { p != i: l in Y_p },  N = the number of terms (i, l),  c the cosine
/// ```
/// What shares more labels is drawn nearer: it is a positive once for each, and the more, the fewer have that label.
///
/// # Shapes
/// Embeddings: (B, D) with their classes, each a set of labels; a scalar. `terms` counts N.
///
/// # Units
/// Nats. Embeddings are normalized here.
///
/// # Gradient
/// Finite everywhere; a zero row is at cosine 0 from all.
///
/// # Numerics
/// The mean over positives is taken with the sum of each label, the log-sum-exp is streamed: O(B D) memory for each label of an
/// example.
///
/// # Errors
/// [`Error::TooFew`] if no two rows share a label, or there is a single row.
///
/// # Source
/// Zhang, Wu, AAAI 2024 (MulSupCon), equation 5; labels that nothing else in the batch has are left out of N here, as rows without a
/// positive are in [`SupCon`](crate::SupCon), which this is where every class is one label.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor};
/// # use npair_losses::{Batch, Loss, MultiSupCon};
/// # use npair_types::{ClassId, LabelSets, Labels};
/// let x = Tensor::new(&[[2f64, 0.], [0., 3.], [0., 1.]], &Device::Cpu)?;
/// let sets = LabelSets::from_names([(ClassId(0), "red|dress"), (ClassId(1), "red|car"), (ClassId(2), "sky")], "|");
/// let loss = MultiSupCon::new(0.5, Some(sets))?.forward(&Batch::new(&x, &Labels::new([0, 1, 2])?)?)?;
/// // Red alone is shared: cosine 0 to it and to the sky; from the car 0 to it and 1 to the sky.
/// assert!((loss.to_f64()? - (2f64.ln() + (1. + 2f64.exp()).ln()) / 2.).abs() < 1e-15);
/// # Ok::<(), npair_losses::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MultiSupCon {
    temperature: f64,
    sets: Option<LabelSets>,
}

impl MultiSupCon {
    /// With temperature T > 0, and the labels of every class; without, every class is a label of its own.
    ///
    /// # Errors
    /// [`Error::Setting`] if the temperature is not a positive number.
    pub fn new(temperature: f64, sets: Option<LabelSets>) -> Result<Self> {
        Ok(Self { temperature: above_zero("the temperature", temperature)?, sets })
    }
}

npair_types::settings! {
    /// Multi-label supervised contrastive (Zhang and Wu, 2024), for classes that are sets of labels (`data.label_separator`). The usual
    /// value is that of supervised contrastive.
    pub struct MultiSupConSettings {
        /// Temperature T, above 0.
        temperature: f64 = 0.1,
    }
}

impl LossSettings for MultiSupConSettings {
    fn build(&self, context: &mut LossContext) -> Result<Box<dyn Loss>> {
        Ok(Box::new(MultiSupCon::new(self.temperature, context.sets.cloned())?))
    }
}

/// What is summed up: of each anchor each label that another row has too.
struct Terms {
    anchors: Vec<usize>,
    /// Place of the label among those that are shared.
    labels: Vec<usize>,
    /// One over the number of positives.
    shares: Vec<f64>,
    /// Rows that have a shared label, and its place: a row stands once for each.
    members: (Vec<usize>, Vec<u32>),
    /// Number of shared labels.
    count: usize,
}

impl Terms {
    fn of(batch: &Batch, sets: &LabelSets) -> Self {
        let rows = batch.all_labels().as_slice();
        let mut having = BTreeMap::<u32, Vec<usize>>::new();
        for (row, &class) in rows.iter().enumerate() {
            sets.labels(class).iter().for_each(|&label| having.entry(label).or_default().push(row));
        }
        having.retain(|_, rows| rows.len() > 1);
        let mut terms =
            Self { anchors: vec![], labels: vec![], shares: vec![], members: (vec![], vec![]), count: having.len() };
        for (place, rows) in having.values().enumerate() {
            for &row in rows {
                terms.members.0.push(row);
                terms.members.1.push(place as u32);
                if row < batch.labels().len() {
                    terms.anchors.push(row);
                    terms.labels.push(place);
                    terms.shares.push(1. / (rows.len() - 1) as f64);
                }
            }
        }
        terms
    }
}

impl Loss for MultiSupCon {
    fn forward(&self, batch: &Batch) -> Result<LossValue> {
        batch.check(self)?;
        batch.expect_two(self.name())?;
        let sets = self.sets.as_ref().map_or_else(|| Cow::Owned(LabelSets::single(batch.all_labels())), Cow::Borrowed);
        let terms = Terms::of(batch, &sets);
        if terms.anchors.is_empty() {
            return Err(Error::too_few(self.name(), "examples that share a label", 2, 1));
        }
        let unit = batch.map(|rows| Ok((unit_rows(rows)? * self.temperature.powf(-0.5))?))?;
        let (queries, rows) = (unit.embeddings(), unit.all_rows()?);
        let all = Similarity::new(queries, &rows, Measure::Dot)?.log_sum_exp(&Mask::OffDiagonal)?;
        // Sum over the positives of an anchor by a label: that of all that have it, less itself.
        let (members, places) = &terms.members;
        let places = Tensor::from_slice(places, places.len(), rows.device())?;
        let sums = Tensor::zeros((terms.count, rows.dim(1)?), rows.dtype(), rows.device())?;
        let sums = sums.index_add(&places, &pick(&rows, members)?, 0)?;
        let count = terms.anchors.len();
        let anchors = pick(queries, &terms.anchors)?;
        let positives = (pick(&sums, &terms.labels)? - &anchors)?;
        let shares = Tensor::from_vec(terms.shares, count, rows.device())?.to_dtype(rows.dtype())?;
        let own = (dots(&anchors, &positives)? * shares)?;
        let terms = (pick(&all.unsqueeze(1)?, &terms.anchors)?.squeeze(1)? - own)?;
        Ok(LossValue::smooth(terms.mean_all()?, count))
    }

    fn accepts(&self) -> Accepts {
        Accepts::labels().with_reference()
    }

    fn name(&self) -> &str {
        "multi-label supervised contrastive loss"
    }
}
