use super::made_up::{Bytes, House, TOKEN, index, signed, to};
use crate::guard::Peer;
use crate::{Error, ServeSettings, Server};
use axum::body::Body;
use axum::http::Request;
use std::net::IpAddr;
use std::sync::Arc;

#[tokio::test]
async fn only_this_server_s_names_are_answered() {
    let house = House::with(|settings| settings.hosts = vec!["pictures.example".to_owned()]);
    let get = |host: &str| Request::builder().uri("/api/facts").header("host", host).body(Body::empty()).unwrap();
    for host in [
        "localhost",
        "localhost:1",
        "LOCALHOST:80",
        "127.0.0.1:7777",
        "[::1]:7777",
        "[::1]",
        "127.0.0.2",
        "pictures.example:443",
    ] {
        assert_eq!(house.ask(get(host)).await.0, 200, "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", "", "[::2]", "x@localhost"]
    {
        assert_eq!(house.ask(get(host)).await.0, 403, "{host}");
    }
    let none = Request::builder().uri("/api/facts").body(Body::empty()).unwrap();
    assert_eq!(house.ask(none).await.0, 400);
    let two = to("GET", "/api/facts").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(house.ask(two).await.0, 400);
}

#[tokio::test]
async fn pages_of_others_may_not_use_it() {
    let house = House::writable();
    let with =
        |name: &str, value: &str| signed("DELETE", "/api/rows/99").header(name, value).body(Body::empty()).unwrap();
    for (name, value, status) in [
        ("origin", "http://localhost:7777", 404),
        ("origin", "http://localhost:7778", 403),
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "localhost:7777", 403),
        ("sec-fetch-site", "same-origin", 404),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
    ] {
        assert_eq!(house.ask(with(name, value)).await.0, status, "{name}: {value}");
    }
    let search = to("POST", "/api/search").header("origin", "http://evil.example").body(Body::from("A")).unwrap();
    assert_eq!(house.ask(search).await.0, 403);
}

#[tokio::test]
async fn what_others_can_reach_needs_the_token_for_all() {
    let house = House::with(|settings| {
        (settings.address, settings.token) = (([0, 0, 0, 0], 7777).into(), Some(TOKEN.to_owned()));
    });
    for (method, uri) in [
        ("POST", "/api/search"),
        ("POST", "/api/verify"),
        ("GET", "/api/facts"),
        ("GET", "/api/classes"),
        ("GET", "/api/thumbnails/2"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
    ] {
        assert_eq!(house.ask(to(method, uri).body(Body::from("A")).unwrap()).await.0, 401, "{uri}");
    }
    for uri in ["/", "/healthz", "/api/openapi.json"] {
        assert_eq!(house.get(uri).await.0, 200, "{uri}");
    }
    assert_eq!(house.ask(signed("GET", "/api/facts").body(Body::empty()).unwrap()).await.0, 200);
    // By any number, but no name that somebody else may have pointed here.
    let by = |host: &str| {
        let request = Request::builder()
            .uri("/api/facts")
            .header("host", host)
            .header("authorization", format!("bearer {TOKEN}"));
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(house.ask(by("192.168.1.7:7777")).await.0, 200);
    assert_eq!(house.ask(by("evil.example")).await.0, 403);
}

#[tokio::test]
async fn an_address_has_its_rate() {
    let house = House::with(|settings| (settings.requests_per_second, settings.burst) = (1, 5));
    let from = |ip: [u8; 4], uri: &str| {
        let mut request = to("GET", uri).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(IpAddr::from(ip)));
        request
    };
    let mut answered = Vec::new();
    for _ in 0..9 {
        answered.push(house.ask(from([10, 0, 0, 1], "/api/facts")).await.0);
    }
    assert_eq!(answered, [200, 200, 200, 200, 200, 429, 429, 429, 429]);
    let (status, headers, _) = house.whole(from([10, 0, 0, 1], "/api/facts")).await;
    assert_eq!((status.as_u16(), &headers["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(house.ask(from([10, 0, 0, 2], "/api/facts")).await.0, 200);
    for _ in 0..40 {
        assert_eq!(
            house.whole(from([10, 0, 0, 3], "/api/thumbnails/2")).await.0,
            200,
            "a page's pictures are one request"
        );
    }
}

#[test]
fn settings_that_open_the_door_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = |change: fn(&mut ServeSettings)| {
        let mut settings = ServeSettings { address: ([127, 0, 0, 1], 0).into(), ..ServeSettings::default() };
        change(&mut settings);
        let _ = std::fs::remove_dir_all(dir.path().join("x"));
        let error = Server::bind(index(&dir), Arc::new(Bytes), settings).err().unwrap();
        assert_eq!(error.to_string().lines().count(), 1);
        error
    };
    assert!(matches!(said(|s| s.address = ([0, 0, 0, 0], 0).into()), Error::Open { .. }));
    assert!(said(|s| s.address = ([192, 0, 2, 1], 0).into()).to_string().contains("give a token"));
    assert!(said(|s| s.writable = true).to_string().starts_with("writable: "));
    for token in [
        |s: &mut ServeSettings| s.token = Some(String::new()),
        |s: &mut ServeSettings| s.token = Some("short".into()),
        |s: &mut ServeSettings| s.token = Some("with a space".into()),
    ] {
        assert!(said(token).to_string().starts_with("token: "));
    }
    assert!(said(|s| s.queue = 0).to_string().starts_with("queue: "));
    assert!(said(|s| s.max_concurrent_embeddings = 0).to_string().starts_with("max_concurrent_embeddings: "));
    assert!(said(|s| s.far = Some(0.0001)).to_string().starts_with("far: "));
    assert!(said(|s| s.burst = 0).to_string().starts_with("burst: "));
    assert!(matches!(
        said(|s| {
            s.address = ([192, 0, 2, 1], 0).into();
            s.token = Some("long-enough".into())
        }),
        Error::Bind { .. }
    ));
    let hidden = format!("{:?}", ServeSettings { token: Some("secret-thing".into()), ..ServeSettings::default() });
    assert!(!hidden.contains("secret"));
}
