//! The routes.

mod asked;
mod facts;
mod picture;
mod rows;
mod said;
mod search;
mod thumbnails;
mod verify;

use crate::guard::guard;
use crate::page;
use crate::refusal::Refusal;
use crate::state::Shared;
use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::middleware;
use axum::routing::{delete, get, post};

/// The description of all routes.
const OPENAPI: &str = include_str!("openapi.json");

/// Every route, by its method and path.
#[cfg(test)]
pub(crate) const ROUTES: [(&str, &str); 11] = [
    ("get", "/"),
    ("post", "/api/search"),
    ("post", "/api/verify"),
    ("get", "/api/thumbnails/{id}"),
    ("get", "/api/classes"),
    ("get", "/api/facts"),
    ("post", "/api/rows"),
    ("delete", "/api/rows/{id}"),
    ("get", "/api/openapi.json"),
    ("get", "/metrics"),
    ("get", "/healthz"),
];

pub(crate) fn router(common: Shared) -> Router {
    let unknown = |uri: Uri| async move { Refusal::missing(format!("there is nothing at {}", uri.path())) };
    let other = || async { Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this route has no such method") };
    Router::new()
        .route("/", get(page::page))
        .route("/api/search", post(search::search))
        .route("/api/verify", post(verify::verify))
        .route("/api/thumbnails/{id}", get(thumbnails::thumbnail))
        .route("/api/classes", get(facts::classes))
        .route("/api/facts", get(facts::facts))
        .route("/api/rows", post(rows::add))
        .route("/api/rows/{id}", delete(rows::remove))
        .route("/api/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI) }))
        .route("/metrics", get(facts::metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(unknown)
        .method_not_allowed_fallback(other)
        .layer(middleware::from_fn_with_state(common.clone(), guard))
        .with_state(common)
}
