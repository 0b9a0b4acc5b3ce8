//! What the embeddings of the training classes show when the run is over.

use crate::{Config, Result};
use npair_backbones::EmbeddingModel;
use npair_evaluate::{Inputs, embed_ids, suspect_labels};
use npair_metrics::{Embeddings, Search, query_scores};
use npair_types::{ClassId, Labels};
use std::collections::BTreeMap;

/// Most examples that are embedded, and most of a class.
const MOST: usize = 2000;
const OF_A_CLASS: usize = 20;
/// Neighbours among which one of the own class has to be.
const NEAR: usize = 10;
/// Classes with fewer examples are lost by chance.
const FEWEST: usize = 3;

/// Training examples, embedded by the network as it ended, each searched among the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Their number: at most 2,000, of classes spread over the set, at most 20 of a class.
    pub examples: usize,
    /// Their classes.
    pub classes: usize,
    /// The share whose nearest is of their class.
    pub recall: f64,
    /// The same by guessing.
    pub chance: f64,
    /// The share without the examples of `lost` classes.
    pub recall_of_others: f64,
    /// Examples that lie much nearer to another class than to their own.
    pub suspects: usize,
    /// The surest of them: what it is called, its class, and the one that it is nearest to.
    pub surest: Option<[String; 3]>,
    /// Names of classes with three examples or more of which none finds another among its ten nearest.
    pub lost: Vec<String>,
}

impl Seen {
    /// Of the examples that a run learned from; `tell` hears how many are embedded. None if no class has two.
    ///
    /// # Errors
    /// The first example that cannot be loaded, and those of the network.
    pub fn of(
        config: &Config,
        model: &dyn EmbeddingModel,
        learned: &dyn Inputs,
        tell: &mut dyn FnMut(usize),
    ) -> Result<Option<Self>> {
        let ids = learned.class_index().spread(MOST, OF_A_CLASS);
        // Classes that share labels are not told apart: nothing is wrong with one that is taken for another.
        if ids.is_empty() || config.data.label_separator.is_some() {
            return Ok(None);
        }
        let rows = embed_ids(model, learned, &ids, tell)?;
        let (_, width) = rows.dims2()?;
        let rows = rows.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let labels = Labels::from_ids(ids.iter().map(|id| learned.labels().get(id.0)).collect());
        let labels = labels.map_err(npair_metrics::Error::from).map_err(npair_evaluate::Error::from)?;
        let set = Embeddings::new(&rows, width, labels).map_err(npair_evaluate::Error::from)?;
        let named = |row: usize| learned.describe(ids[row]);
        Self::of_rows(config, &set, &|class| learned.class_name(class), &named).map(Some)
    }

    fn of_rows(
        config: &Config,
        set: &Embeddings,
        name: &dyn Fn(ClassId) -> String,
        called: &dyn Fn(usize) -> String,
    ) -> Result<Self> {
        let search = Search::within(set, config.evaluation.measure);
        let near = NEAR.min(set.len().saturating_sub(1));
        let queries = query_scores(&search, &[1, near]).map_err(npair_evaluate::Error::from)?;
        // Of every class its queries, those whose nearest is right, and those that find their own among more.
        let mut classes = BTreeMap::<ClassId, [usize; 3]>::new();
        for query in &queries {
            let counts = classes.entry(set.labels().get(query.query)).or_default();
            let more = [1, usize::from(query.hits_at[0] > 0), usize::from(query.hits_at[1] > 0)];
            counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
        let is_lost = |[all, _, found]: &[usize; 3]| *all >= FEWEST && *found == 0;
        let recall = |counted: &dyn Fn(&[usize; 3]) -> bool| {
            let those = classes.values().filter(|counts| counted(counts));
            let (all, right) = those.fold((0, 0), |(all, right), counts| (all + counts[0], right + counts[1]));
            right as f64 / all.max(1) as f64
        };
        let others = set.len().saturating_sub(1).max(1) as f64;
        let chance: f64 = queries.iter().map(|query| query.positives as f64 / others).sum();
        let lost = classes.iter().filter(|(_, counts)| is_lost(counts));
        let suspects = suspect_labels(set, config.evaluation.measure)?;
        let surest = suspects.first().map(|s| [called(s.row), name(s.given), name(s.suggested)]);
        Ok(Self {
            examples: set.len(),
            suspects: suspects.len(),
            surest,
            classes: classes.len(),
            recall: recall(&|_| true),
            recall_of_others: recall(&|counts| !is_lost(counts)),
            chance: chance / queries.len().max(1) as f64,
            lost: lost.map(|(class, _)| name(*class)).collect(),
        })
    }
}
