//! An index of nine rows and an embedder of bytes, and how they are asked.

use crate::state::{Common, Shared};
use crate::{Embedder, ServeSettings, api};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, request};
use http_body_util::BodyExt;
use npair_index::{Index, IndexSettings, NewRow};
use npair_metrics::{Calibration, Interval, Threshold, Verifier};
use npair_similarity::Rows;
use npair_types::Measure;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tower::ServiceExt;

pub const TOKEN: &str = "a-long-token";

/// "panic" and "hang" do so; "hang" for a second. Other bytes are their own vector.
pub struct Bytes;

impl Embedder for Bytes {
    fn embed(&self, picture: &[u8]) -> Result<Vec<f32>, String> {
        match picture {
            b"panic" => panic!("on purpose"),
            b"hang" => std::thread::sleep(Duration::from_secs(1)),
            b"bomb" => return Err("the picture would take 40 GB: send a smaller one".to_owned()),
            b"nan" => return Ok(vec![f32::NAN, 0.]),
            b"wide" => return Ok(vec![1.; 3]),
            _ => {}
        }
        let at = |i: usize| f32::from(picture.get(i).copied().unwrap_or(0));
        Ok(vec![at(0), at(1)])
    }

    fn thumbnail(&self, picture: &[u8]) -> Result<Vec<u8>, String> {
        Ok([b"\x89PNG\r\n\x1a\n", picture].concat())
    }
}

/// A server without its network.
pub struct House {
    pub router: Router,
    pub common: Shared,
    pub _dir: TempDir,
}

pub fn index(dir: &TempDir) -> Index {
    let mut index = Index::create(&dir.path().join("x"), IndexSettings::new(2, Measure::Cosine)).unwrap();
    let paths: Vec<String> = (0..9).map(|i| format!("{i}.png")).collect();
    let row = |(i, path)| NewRow {
        path,
        class: [Some("owl"), Some("fox"), None][i / 3],
        thumbnail: (i > 0).then_some(b"\x89PNG\r\n\x1a\nsmall"),
        added: 0,
    };
    let new: Vec<NewRow> = paths.iter().map(String::as_str).enumerate().map(row).collect();
    // Directions from 0 to 80 degrees.
    let vectors: Vec<f32> =
        (0..9).flat_map(|i| [(i as f32 * 10.).to_radians().cos(), (i as f32 * 10.).to_radians().sin()]).collect();
    index.add(&new, Rows::new(&vectors, 2).unwrap()).unwrap();
    let interval = Interval { low: 0.5, high: 1. };
    let point = |far: f64, threshold: f64| Threshold {
        far,
        threshold,
        interval,
        far_interval: Interval { low: 0., high: 0.2 },
        tar: 0.9,
        pairs: 100,
        warning: None,
    };
    let calibration = Some(Calibration::Logistic { slope: 10., offset: 0. });
    let thresholds = vec![point(0.001, 0.99), point(0.1, 0.9)];
    index.set_verifier(Some(Verifier { measure: Measure::Cosine, thresholds, calibration })).unwrap();
    index
}

impl House {
    pub fn with(change: impl FnOnce(&mut ServeSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = ServeSettings { requests_per_second: 0, ..ServeSettings::default() };
        change(&mut settings);
        let index = index(&dir);
        settings.check(&index).unwrap();
        let common = Common::new(index, Arc::new(Bytes), settings);
        Self { router: api::router(common.clone()), common, _dir: dir }
    }

    pub fn plain() -> Self {
        Self::with(|_| {})
    }

    pub fn writable() -> Self {
        Self::with(|settings| (settings.writable, settings.token) = (true, Some(TOKEN.to_owned())))
    }

    /// Status, headers and bytes of an answer.
    pub async fn whole(&self, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    pub async fn ask(&self, request: Request<Body>) -> (u16, Value) {
        let (status, _, bytes) = self.whole(request).await;
        let value =
            serde_json::from_slice(&bytes).unwrap_or(Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        assert!(status.is_success() || value["error"].is_string(), "{status}: {value}");
        (status.as_u16(), value)
    }

    pub async fn get(&self, uri: &str) -> (u16, Value) {
        self.ask(to("GET", uri).body(Body::empty()).unwrap()).await
    }

    /// Posts a picture.
    pub async fn post(&self, uri: &str, body: impl Into<Body>) -> (u16, Value) {
        self.ask(to("POST", uri).body(body.into()).unwrap()).await
    }

    pub async fn post_json(&self, uri: &str, body: &str) -> (u16, Value) {
        self.ask(to("POST", uri).header("content-type", "application/json").body(body.to_owned().into()).unwrap()).await
    }
}

pub fn to(method: &str, uri: &str) -> request::Builder {
    Request::builder().method(method).uri(uri).header("host", "localhost:7777")
}

/// The same with the token.
pub fn signed(method: &str, uri: &str) -> request::Builder {
    to(method, uri).header("authorization", format!("Bearer {TOKEN}"))
}
