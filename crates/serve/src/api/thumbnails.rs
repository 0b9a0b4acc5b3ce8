use super::asked::Id;
use crate::refusal::{Answered, Refusal};
use crate::state::Shared;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use npair_index::Index;

/// How the files of pictures begin that browsers show.
const KINDS: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
];

/// The thumbnail of a row, 204 if it has none. No other row ever gets its number, so that it may be kept.
pub(crate) async fn thumbnail(State(common): State<Shared>, Id(id): Id) -> Answered<Response> {
    let look = move |index: &Index| match index.position(id) {
        Some(_) => Ok(index.thumbnail(id)?),
        None => Err(Refusal::missing(format!("there is no row {id}")).into()),
    };
    let Some(bytes) = common.look(common.reading.deadline(), look).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let headers = [(header::CONTENT_TYPE, kind(&bytes)), (header::CACHE_CONTROL, "private, max-age=3600")];
    Ok((headers, bytes).into_response())
}

fn kind(bytes: &[u8]) -> &'static str {
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    match KINDS.iter().find(|(start, _)| bytes.starts_with(start)) {
        Some((_, kind)) => kind,
        None if is_webp => "image/webp",
        None => "application/octet-stream",
    }
}
