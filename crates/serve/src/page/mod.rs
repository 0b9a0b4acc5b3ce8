//! The page: one file, with nothing from outside.

use axum::http::header;
use axum::response::{Html, IntoResponse};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const BODY: &str = include_str!("page.html");

static PAGE: LazyLock<String> = LazyLock::new(|| BODY.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT));

/// No script or style but those of this file, by their hashes; no request but to this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| base64(&Sha256::digest(text.as_bytes()));
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

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| word << 8 | u32::from(part.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let value = word >> (18 - 6 * digit) & 63;
            out.push(if digit > part.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

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
