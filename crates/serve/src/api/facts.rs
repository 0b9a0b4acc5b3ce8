use super::said::usual;
use crate::refusal::Answered;
use crate::state::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use npair_index::Index;
use npair_types::Measure;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Serialize)]
pub(crate) struct Facts {
    rows: usize,
    width: usize,
    measure: Measure,
    generation: u64,
    /// The rate that decides unless another is asked for.
    far: Option<f64>,
    /// Rates with a threshold.
    rates: Vec<f64>,
    writable: bool,
    max_upload_bytes: usize,
    version: &'static str,
}

/// What the index is, and what may be done with it.
pub(crate) async fn facts(State(common): State<Shared>) -> Answered<Json<Facts>> {
    let (far, writable, max_upload_bytes) =
        (common.settings.far, common.settings.writable, common.settings.max_upload_bytes);
    let look = move |index: &Index| {
        let rates = index.verifier().map(|v| v.thresholds.iter().map(|t| t.far).collect()).unwrap_or_default();
        Ok(Facts {
            rows: index.len(),
            width: index.width(),
            measure: index.measure(),
            generation: index.generation(),
            far: far.or_else(|| index.verifier().and_then(usual)),
            rates,
            writable,
            max_upload_bytes,
            version: env!("CARGO_PKG_VERSION"),
        })
    };
    Ok(Json(common.look(common.reading.deadline(), look).await?))
}

#[derive(Serialize)]
pub(crate) struct Classes {
    classes: Vec<Class>,
    /// Rows without a class.
    without: usize,
}

#[derive(Serialize)]
struct Class {
    class: String,
    rows: usize,
}

/// The classes, by name, and how many rows each has.
pub(crate) async fn classes(State(common): State<Shared>) -> Answered<Json<Classes>> {
    let look = |index: &Index| {
        let (mut counts, mut without) = (BTreeMap::<&Arc<str>, usize>::new(), 0);
        for row in index.rows() {
            match &row.class {
                Some(class) => *counts.entry(class).or_default() += 1,
                None => without += 1,
            }
        }
        let classes = counts.into_iter().map(|(class, rows)| Class { class: class.to_string(), rows }).collect();
        Ok(Classes { classes, without })
    };
    Ok(Json(common.look(common.reading.deadline(), look).await?))
}

/// What the server counts.
pub(crate) async fn metrics(State(common): State<Shared>) -> Answered<impl IntoResponse> {
    let rows = common.look(common.reading.deadline(), |index| Ok(index.len())).await?;
    let gauges = [
        ("npair_rows", "Rows of the index.", rows),
        ("npair_embeddings_in_flight", "Pictures being embedded.", common.embedding.in_flight()),
    ];
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], common.counts.text(&gauges)))
}
