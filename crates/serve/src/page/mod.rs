//! The page: one file, with nothing from outside.

use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const BODY: &str = include_str!("page.html");

static PAGE: LazyLock<String> = LazyLock::new(|| BODY.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT));

/// No script or style but those of this file, by their hashes; no request but to this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; connect-src 'self'; img-src blob: data:; media-src blob:; style-src 'sha256-{}'; \
         script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

pub(crate) async fn page() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_SECURITY_POLICY.as_str(), POLICY.as_str()),
        ("permissions-policy", "camera=(self), microphone=(), geolocation=()"),
    ];
    (headers, Html(PAGE.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_for_outside_and_no_text_becomes_markup() {
        for word in ["http:", "https:", "//", "@import", "url("] {
            assert!(!STYLE.contains(word) && !BODY.contains(word), "{word}");
        }
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:"] {
            assert!(!SCRIPT.contains(word), "{word}");
        }
        assert!(!PAGE.contains("/*STYLE*/") && !SCRIPT.contains("</script"));
        for word in [" style=", " onclick=", "unsafe-inline"] {
            assert!(!BODY.contains(word) && !POLICY.contains(word), "{word}");
        }
    }
}
