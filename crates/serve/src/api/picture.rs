//! What is asked about: a picture that is embedded, or a vector.

use crate::body::Whole;
use crate::refusal::{Answered, Refusal};
use crate::state::Common;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::sync::Arc;
use tokio::time::Instant;

/// What kind a body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Picture,
    /// Of several parts, which this is between.
    Parts(String),
}

/// A body, by its kind.
pub(crate) struct Sent {
    pub(crate) kind: Kind,
    pub(crate) whole: Whole,
}

impl Sent {
    /// Reads the body of a request; 415 if it is of none of the kinds.
    pub(crate) async fn read(common: &Common, request: Request) -> Answered<Self> {
        let (head, body): (_, Body) = request.into_parts();
        let kind = kind(&head.headers)?;
        let whole = common.bodies.read(&head.headers, body).await?;
        if whole.bytes.is_empty() {
            return Err(Refusal::wrong("the body is empty: send a picture, or a vector as JSON"));
        }
        Ok(Self { kind, whole })
    }
}

fn kind(headers: &HeaderMap) -> Answered<Kind> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Kind::Picture) };
    let value = value.to_str().unwrap_or_default();
    let name = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "application/json" => Ok(Kind::Json),
        "application/octet-stream" => Ok(Kind::Picture),
        image if image.starts_with("image/") => Ok(Kind::Picture),
        "multipart/form-data" => match crate::multipart::boundary(value) {
            Some(boundary) => Ok(Kind::Parts(boundary.to_owned())),
            None => Err(Refusal::wrong("the content type names no boundary")),
        },
        _ => Err(unsupported()),
    }
}

/// Of a body that a route does not take.
pub(crate) fn unsupported() -> Refusal {
    let why = "send a picture (image/*, application/octet-stream), or JSON (application/json)";
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    vector: Vec<f32>,
}

/// The vector that a body is, or that its picture is embedded as; and the picture's thumbnail, if that is wanted.
pub(crate) async fn vector(
    common: &Common,
    deadline: Instant,
    sent: Sent,
    thumbnail: bool,
) -> Answered<(Vec<f32>, Option<Vec<u8>>)> {
    match sent.kind {
        Kind::Json => {
            let Vector { vector } = json(&sent.whole.bytes)?;
            check(&vector)?;
            Ok((vector, None))
        }
        Kind::Picture => {
            let embedder = common.embedder.clone();
            let work = move || {
                let vector = embedder.embed(&sent.whole.bytes)?;
                let small = thumbnail.then(|| embedder.thumbnail(&sent.whole.bytes)).transpose()?;
                Ok((vector, small))
            };
            let done: Result<_, String> = common.embedding.run(deadline, work).await?;
            let (vector, small) = done.map_err(Refusal::unfit)?;
            check(&vector)?;
            Ok((vector, small))
        }
        Kind::Parts(_) => Err(unsupported()),
    }
}

/// The vectors of pictures that lie in one body, embedded in one turn.
pub(crate) async fn vectors(
    common: &Common,
    deadline: Instant,
    whole: Whole,
    places: [std::ops::Range<usize>; 2],
) -> Answered<[Vec<f32>; 2]> {
    let embedder = Arc::clone(&common.embedder);
    let work = move || {
        let [a, b] = places.map(|place| embedder.embed(whole.bytes.get(place).unwrap_or_default()));
        Ok([a?, b?])
    };
    let done: Result<_, String> = common.embedding.run(deadline, work).await?;
    let vectors = done.map_err(Refusal::unfit)?;
    vectors.iter().try_for_each(|vector| check(vector))?;
    Ok(vectors)
}

/// JSON of a known form.
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Answered<T> {
    serde_json::from_slice(bytes).map_err(|e| Refusal::wrong(format!("the body is not what was expected: {e}")))
}

/// 422 for values that nothing can be compared with.
pub(crate) fn check(vector: &[f32]) -> Answered<()> {
    match vector.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Refusal::unfit(format!("value {at} of the vector is not finite"))),
        None => Ok(()),
    }
}
