//! Fetching a file of the Hub.

use super::Hub;
use super::cache::{Cache, Said};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;

/// Address of the Hub.
const HUB: &str = "https://huggingface.co";

/// Redirects that are followed; the Hub needs one or two.
const MOST_REDIRECTS: usize = 8;

/// Fetches a file into the cache; the error says what went wrong.
pub(super) fn fetch(hub: &Hub, cache: &Cache, repo: &str, revision: &str, name: &str) -> Result<PathBuf, String> {
    let endpoint = hub.endpoint.as_deref().unwrap_or(HUB).trim_end_matches('/');
    let first: Uri = format!("{endpoint}/{repo}/resolve/{}/{name}", revision.replace('/', "%2F"))
        .parse()
        .map_err(|_| format!("`{endpoint}` is no address"))?;
    let token = hub.token.clone().or_else(|| hub.cache.as_deref().and_then(login));
    let (said, response) = follow(&first, token.as_deref())?;
    let promised = response.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    cache.keep(revision, &said, name, |file| {
        let mut body = response.into_body();
        let copied = io::copy(&mut body.as_reader(), file).map_err(|e| e.to_string())?;
        match promised {
            Some(promised) if promised != copied => Err(format!("{copied} of {promised} bytes came")),
            _ => Ok(()),
        }
    })
}

/// What `huggingface-cli login` left beside the cache.
fn login(cache: &Path) -> Option<String> {
    let token = fs::read_to_string(cache.parent()?.join("token")).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// Asks, and goes where the answers lead. The token goes along as long as the address is the first one's.
fn follow(first: &Uri, token: Option<&str>) -> Result<(Said, ureq::http::Response<ureq::Body>), String> {
    let agent = ureq::Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .user_agent(concat!("npair/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let (mut at, mut said) = (first.clone(), Said::default());
    for _ in 0..MOST_REDIRECTS {
        // The range asks for all: endpoints that answer ranges alone exist.
        let mut request = agent.get(&at).header("range", "bytes=0-");
        if let Some(token) = token.filter(|_| same_place(first, &at)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|e| e.to_string())?;
        hear(&mut said, &response);
        let status = response.status();
        if status.is_redirection() {
            let to = header(&response, "location").ok_or("it is redirected to nowhere")?;
            at = next(&at, &to)?;
            continue;
        }
        if !status.is_success() {
            return Err(format!("{} answers with status {}", at.host().unwrap_or_default(), status.as_u16()));
        }
        return match said.commit.is_empty() || said.etag.is_empty() {
            true => Err("the endpoint says neither commit nor etag: it is no Hub".to_owned()),
            false => Ok((said, response)),
        };
    }
    Err(format!("it is redirected more than {MOST_REDIRECTS} times"))
}

/// Takes up what an answer says of the file; what was said first counts, as the store behind the Hub has etags of its own.
fn hear(said: &mut Said, response: &ureq::http::Response<ureq::Body>) {
    if said.commit.is_empty() {
        said.commit = header(response, "x-repo-commit").unwrap_or_default();
    }
    if said.etag.is_empty() {
        let etag = header(response, "x-linked-etag").or_else(|| header(response, "etag")).unwrap_or_default();
        said.etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
    }
}

fn header(response: &ureq::http::Response<ureq::Body>, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Where a redirect leads.
fn next(at: &Uri, location: &str) -> Result<Uri, String> {
    let wrong = || format!("it is redirected to `{location}`, which is no address");
    let to: Uri = location.parse().map_err(|_| wrong())?;
    let to = if to.host().is_some() {
        to
    } else {
        let mut parts = at.clone().into_parts();
        parts.path_and_query = to.into_parts().path_and_query;
        Uri::from_parts(parts).map_err(|_| wrong())?
    };
    match (at.scheme_str(), to.scheme_str()) {
        (_, Some("https")) | (Some("http"), Some("http")) => Ok(to),
        (Some("https"), Some("http")) => Err("it is redirected from https to plain http".to_owned()),
        _ => Err(wrong()),
    }
}

/// Whether two addresses are answered by the same: scheme, host and port.
fn same_place(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().or(if uri.scheme_str() == Some("https") { Some(443) } else { Some(80) });
    let host = |uri: &Uri| uri.host().map(str::to_lowercase);
    one.scheme_str() == other.scheme_str() && host(one) == host(other) && port(one) == port(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn the_token_stays_with_the_endpoint() {
        let hub = uri("https://huggingface.co/a");
        assert!(same_place(&hub, &uri("https://HuggingFace.co:443/b")));
        for other in ["http://huggingface.co/a", "https://cdn.huggingface.co/a", "https://huggingface.co:8443/a"] {
            assert!(!same_place(&hub, &uri(other)), "{other}");
        }
    }

    #[test]
    fn redirects_keep_to_https() {
        let hub = uri("https://huggingface.co/a/b");
        assert_eq!(next(&hub, "/c?d=e").unwrap(), uri("https://huggingface.co/c?d=e"));
        assert_eq!(next(&hub, "https://cdn/x").unwrap(), uri("https://cdn/x"));
        assert!(next(&hub, "http://huggingface.co/a/b").unwrap_err().contains("plain http"));
        for bad in ["ftp://x/y", "file:///etc/passwd", "", "\u{7f}"] {
            assert!(next(&hub, bad).is_err(), "{bad}");
        }
        assert!(next(&uri("http://127.0.0.1:1/a"), "http://127.0.0.1:2/a").is_ok());
    }
}
