//! Whether query expansion and re-ranking find more: tried when an index is made, said when it is searched.

use crate::{progress, source};
use anyhow::Result;
use npair_evaluate::embed_ids;
use npair_index::{Index, QueryExpansion, Refinement, RefinementTrial, Reranking};
use npair_recipe::{Device, Run};
use npair_similarity::Rows;
use npair_types::{Labels, Measure};
use std::path::Path;

/// The usual expansion.
pub const EXPANSION: QueryExpansion = QueryExpansion { rows: 5, alpha: 3. };
/// About so many examples of the validation split are embedded for it, of whole classes.
const MOST: usize = 2000;

/// Both, tried on the validation classes of a run; nothing for a bare model, and where the run kept none.
pub fn trials(folder: &Path, checkpoint: &str, device: Device) -> Result<Vec<RefinementTrial>> {
    if Run::open(folder).is_err() {
        return Ok(Vec::new());
    }
    let own = source::load(folder, checkpoint, None, &[], device)?;
    let Some(val) = &own.splits.val else { return Ok(Vec::new()) };
    let ids = val.class_index().spread(MOST, usize::MAX);
    // Nothing is right or wrong where no two examples are of one class, or classes share labels.
    if ids.is_empty() || own.config.data.label_separator.is_some() {
        return Ok(Vec::new());
    }
    let bar = progress::bar(ids.len() as u64, "query expansion and re-ranking");
    let rows = embed_ids(own.model.as_ref(), val.as_ref(), &ids, &mut |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    let rows = rows?;
    let (_, width) = rows.dims2()?;
    let values = rows.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let labels = Labels::from_ids(ids.iter().map(|id| val.labels().get(id.0)).collect())?;
    tried(Rows::new(&values, width)?, &labels, own.config.evaluation.measure)
}

fn tried(rows: Rows<f32>, labels: &Labels, measure: Measure) -> Result<Vec<RefinementTrial>> {
    let both = [Refinement::Expansion(EXPANSION), Refinement::Reranking(Reranking::default())];
    Ok(both
        .into_iter()
        .map(|one| RefinementTrial::on(rows, labels, measure, one))
        .collect::<npair_index::Result<_>>()?)
}

/// What is known of a refinement, in a line.
pub fn known(index: &Index, refinement: Refinement) -> String {
    let what = match refinement {
        Refinement::Expansion(_) => "query expansion",
        Refinement::Reranking(_) => "re-ranking",
    };
    match index.trials().iter().find(|trial| trial.refinement == refinement) {
        Some(trial) => said(what, trial),
        None => format!("whether {what} of this kind helps was not tried when the index was made"),
    }
}

fn said(what: &str, trial: &RefinementTrial) -> String {
    let interval = trial.difference.interval;
    format!(
        "{what} {} on {} classes that were not learned from: MAP@R {:.4} without it, {:.4} with it ({:+.4} [{:+.4}, {:+.4}])",
        trial.verdict(),
        trial.classes,
        trial.plain,
        trial.refined,
        trial.difference.difference,
        interval.low,
        interval.high
    )
}

/// What an index knows of both, a line each.
pub fn all(index: &Index) -> Vec<String> {
    index.trials().iter().map(|trial| known(index, trial.refinement)).collect()
}
