//! What every request has to pass before its route: the name it was sent to, its page, its client's rate, its token.

use crate::refusal::{Answered, Refusal};
use crate::state::{Common, Shared};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// The address of a request's client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Answers, counts, and adds what every answer says to a browser.
pub(crate) async fn guard(State(common): State<Shared>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let answer = match check(&common, &request, &route) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => common.counts.rejected("rate"),
        StatusCode::SERVICE_UNAVAILABLE => common.counts.rejected("busy"),
        _ => {}
    }
    common.counts.answered(&route, answer.status().as_u16(), begun.elapsed());
    with_headers(answer)
}

fn with_headers(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    let usual = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ];
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    let others = "cross-origin-resource-policy";
    headers.insert(others, HeaderValue::from_static("same-origin"));
    answer
}

fn check(common: &Common, request: &Request, route: &str) -> Answered<()> {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let tenths = if matches!(route, "/" | "/healthz" | "/api/thumbnails/{id}") { 1 } else { 10 };
    if !common.rate.allows(peer, tenths, Instant::now()) {
        return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many requests of this address: wait a moment"));
    }
    let headers = request.headers();
    let host = one(headers, header::HOST).ok_or_else(|| Refusal::wrong("the request has to name one host"))?;
    if !is_ours(common, name_of(host)) {
        let why = format!("{host:?} is no name of this server: use localhost, or its address");
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !is_own_page(headers, host) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "pages of other sites may not use this server"));
    }
    // The page holds no data, and asks for the token itself.
    let open = matches!(route, "/" | "/healthz" | "/api/openapi.json");
    if common.settings.is_closed() && !open {
        authorize(common, headers)?;
    }
    Ok(())
}

/// 401 unless the request carries the token.
pub(crate) fn authorize(common: &Common, headers: &HeaderMap) -> Answered<()> {
    let refused = |why: &str| Err(Refusal::new(StatusCode::UNAUTHORIZED, why));
    let Some(value) = one(headers, header::AUTHORIZATION) else {
        return refused("this needs the token: send it as `Authorization: Bearer TOKEN`");
    };
    match value.split_once(' ') {
        Some((kind, token)) if kind.eq_ignore_ascii_case("bearer") && common.is_token(token.trim().as_bytes()) => {
            Ok(())
        }
        _ => refused("the token is another one"),
    }
}

/// A header's value if it is there once, as text.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The name in a host with or without port.
fn name_of(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) if host.starts_with('[') => &host[..=end],
        _ => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

/// Whether a browser that sends this host means this server. Another site's name may be made to point here (DNS rebinding), and
/// then its scripts could read all; numbers cannot be made to.
fn is_ours(common: &Common, name: &str) -> bool {
    let bound = common.settings.address.ip();
    let number = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    match number {
        Some(ip) => ip.is_loopback() || ip == bound || bound.is_unspecified(),
        None => {
            let known = common.settings.hosts.iter().map(String::as_str).chain(["localhost"]);
            known.into_iter().any(|known| known.eq_ignore_ascii_case(name))
        }
    }
}

/// Whether a request that is no plain reading comes from this server's own page, or from no page at all.
fn is_own_page(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &'static str| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let same_origin = text("origin").is_none_or(|origin| {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    });
    same_origin && text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
}
