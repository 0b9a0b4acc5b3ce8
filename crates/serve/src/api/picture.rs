//! What is asked about: a picture that is embedded, or a vector.

use crate::body::Whole;
use crate::refusal::{Answered, Refusal};
use crate::state::Common;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use multer::Multipart;
use serde::Deserialize;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
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
        // The last is what curl says of any body, and no form of it holds a picture: it is decoded or refused as one.
        "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Kind::Picture),
        image if image.starts_with("image/") => Ok(Kind::Picture),
        "multipart/form-data" => match multer::parse_boundary(value) {
            Ok(boundary) => Ok(Kind::Parts(boundary)),
            Err(_) => Err(Refusal::wrong("the content type names no boundary")),
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

/// Two pictures of one body, and the body's part of the memory of all.
pub(crate) struct Two {
    pictures: [Bytes; 2],
    _room: Option<OwnedSemaphorePermit>,
}

impl Two {
    /// The two parts of a body.
    pub(crate) async fn of(whole: Whole, boundary: String) -> Answered<Self> {
        let wrong = |e: multer::Error| Refusal::wrong(format!("the body's parts cannot be read: {e}"));
        let Whole { bytes, room } = whole;
        let mut form = Multipart::new(Body::from(bytes).into_data_stream(), boundary);
        let mut parts = Vec::new();
        while let Some(part) = form.next_field().await.map_err(wrong)? {
            if parts.len() == 2 {
                return Err(Refusal::wrong("the body has more than two parts, but two pictures are compared"));
            }
            parts.push(part.bytes().await.map_err(wrong)?);
        }
        let pictures = <[Bytes; 2]>::try_from(parts).map_err(|parts| {
            Refusal::wrong(format!("the body has {} parts, but two pictures are compared", parts.len()))
        })?;
        Ok(Self { pictures, _room: room })
    }

    /// Their vectors, embedded in one turn.
    pub(crate) async fn vectors(self, common: &Common, deadline: Instant) -> Answered<[Vec<f32>; 2]> {
        let embedder = Arc::clone(&common.embedder);
        let work = move || {
            let [a, b] = self.pictures.each_ref().map(|picture| embedder.embed(picture));
            Ok([a?, b?])
        };
        let done: Result<_, String> = common.embedding.run(deadline, work).await?;
        let vectors = done.map_err(Refusal::unfit)?;
        vectors.iter().try_for_each(|vector| check(vector))?;
        Ok(vectors)
    }
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
