//! Changes of the index: only where it is writable, and only for who knows the token.

use super::asked::{Asked, Id};
use super::picture::{Sent, vector};
use crate::guard::authorize;
use crate::refusal::{Answered, Refusal};
use crate::state::{Common, Shared};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use npair_index::{NewRow, RowFilter};
use npair_similarity::Rows;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Deserialize)]
pub(crate) struct Place {
    path: String,
    class: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Enrolled {
    id: u64,
    /// Rows of the same path that are no more.
    replaced: Vec<u64>,
}

fn may_write(common: &Common, headers: &HeaderMap) -> Answered<()> {
    if !common.settings.writable {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "this server only reads: it has to be started as writable"));
    }
    authorize(common, headers)
}

/// Adds a picture or vector under a path and a class; a row of the same path gives way.
pub(crate) async fn add(
    State(common): State<Shared>,
    Asked(Place { path, class }): Asked<Place>,
    request: Request,
) -> Answered<(StatusCode, Json<Enrolled>)> {
    may_write(&common, request.headers())?;
    let class = class.filter(|class| !class.is_empty());
    let sent = Sent::read(&common, request).await?;
    let deadline = common.embedding.deadline();
    let (vector, thumbnail) = vector(&common, deadline, sent, true).await?;
    let added = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let change = move |index: &mut npair_index::Index| {
        let new = NewRow { path: &path, class: class.as_deref(), added, thumbnail: thumbnail.as_deref() };
        index.add(&[new], Rows::new(&vector, vector.len())?)
    };
    let added = common.change(deadline, change).await?;
    let id = added.ids.first().copied().ok_or_else(|| Refusal::broken("the row got no number"))?;
    let replaced = added.replaced.iter().map(|row| row.id).collect();
    Ok((StatusCode::CREATED, Json(Enrolled { id, replaced })))
}

#[derive(Serialize)]
pub(crate) struct Removed {
    id: u64,
    path: String,
    class: Option<String>,
}

/// Removes a row.
pub(crate) async fn remove(State(common): State<Shared>, Id(id): Id, headers: HeaderMap) -> Answered<Json<Removed>> {
    may_write(&common, &headers)?;
    let deadline = common.writing.deadline();
    let removed = common.change(deadline, move |index| index.remove(RowFilter::Ids(&[id]))).await?;
    let row = removed.into_iter().next().ok_or_else(|| Refusal::missing(format!("there is no row {id}")))?;
    let class = row.class.as_deref().map(str::to_owned);
    Ok(Json(Removed { id: row.id, path: row.path.to_string(), class }))
}
