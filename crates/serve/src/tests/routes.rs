use super::made_up::{House, to};
use crate::api::ROUTES;
use axum::body::Body;
use serde_json::{Value, json};

/// How the headers of a part of a form begin.
const PART: &str = "Content-Disposition: form-data; name=\"";

fn paths(answers: &Value) -> Vec<&str> {
    answers["answers"].as_array().unwrap().iter().map(|a| a["path"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_nearest_come_first_and_say_whether_they_match() {
    let house = House::plain();
    let (status, found) = house.post("/api/search?k=3", vec![200u8, 0]).await;
    assert_eq!((status, paths(&found)), (200, vec!["0.png", "1.png", "2.png"]), "{found}");
    let first = &found["answers"][0];
    assert_eq!(first["class"], "owl");
    assert_eq!((first["id"].as_u64(), first["similarity"].as_f64()), (Some(1), Some(1.)));
    assert_eq!((&first["matches"], &first["threshold"]), (&json!(true), &json!(0.99)));
    assert!(first["probability"].as_f64().unwrap() > 0.9);
    // The cosine of 10 degrees is 0.985: a match at the higher rate alone.
    assert_eq!(found["answers"][1]["matches"], false);
    let (_, found) = house.post("/api/search?k=3&far=0.1", vec![200u8, 0]).await;
    assert_eq!(found["answers"][1]["matches"], true);
    let (_, found) = house.post_json("/api/search?class=fox", r#"{"vector": [1, 0]}"#).await;
    assert_eq!(paths(&found), ["3.png", "4.png", "5.png"]);
    let (status, found) = house.post("/api/search?class=none", vec![1u8]).await;
    assert_eq!((status, found), (200, json!({ "answers": [] })));
    let (_, found) = house.post("/api/search?class=&k=1000", vec![1u8]).await;
    assert_eq!(paths(&found).len(), 9, "an empty class is none");
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_said() {
    let house = House::plain();
    for (uri, status) in
        [("k=0", 400), ("k=1001", 400), ("k=x", 400), ("far=2", 400), ("far=NaN", 400), ("far=0.0001", 422)]
    {
        assert_eq!(house.post(&format!("/api/search?{uri}"), vec![1u8]).await.0, status, "{uri}");
    }
    for (body, status) in [("", 400), ("bomb", 422), ("nan", 422), ("wide", 422), ("panic", 500)] {
        let (got, said) = house.post("/api/search", body).await;
        assert_eq!(got, status, "{body:?}: {said}");
        assert!(!said.to_string().contains("on purpose"), "{said}");
    }
    for (body, status) in [
        ("{", 400),
        (r#"{"vector": [1]}"#, 422),
        (r#"{"vector": []}"#, 422),
        (r#"{"vector": [1, 1e39]}"#, 400),
        (r#"{"vector": [1e38, 1e38]}"#, 200),
        (r#"{"vector": [0, 0]}"#, 200),
        (r#"{"vector": [1, 2], "x": 1}"#, 400),
        (r#"{"vector": ["1", 2]}"#, 400),
    ] {
        let (got, said) = house.post_json("/api/search", body).await;
        assert_eq!(got, status, "{body}: {said}");
    }
    for kind in ["text/plain", "multipart/form-data; boundary=x"] {
        let request = to("POST", "/api/search").header("content-type", kind).body(Body::from("x")).unwrap();
        assert_eq!(house.ask(request).await.0, 415, "{kind}");
    }
    // The second is what curl says of whatever it sends.
    for kind in ["image/jpeg", "application/x-www-form-urlencoded"] {
        let request = to("POST", "/api/search").header("content-type", kind).body(Body::from("x")).unwrap();
        assert_eq!(house.ask(request).await.0, 200, "{kind}");
    }
}

#[tokio::test]
async fn two_are_compared() {
    let house = House::plain();
    let (status, same) = house.post_json("/api/verify", r#"{"vectors": [[1, 0], [2, 0]]}"#).await;
    assert_eq!((status, &same["similarity"], &same["matches"]), (200, &json!(1.0), &json!(true)));
    let two = |a: &str, b: &str| format!("--x\r\n{PART}a\"\r\n\r\n{a}\r\n--x\r\n{PART}b\"\r\n\r\n{b}\r\n--x--\r\n");
    let send = |body: String| {
        to("POST", "/api/verify")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(Body::from(body))
            .unwrap()
    };
    let (status, other) = house.ask(send(two("A", "\0A"))).await;
    assert_eq!((status, &other["similarity"], &other["matches"]), (200, &json!(0.0), &json!(false)), "{other}");
    assert_eq!(house.ask(send(two("bomb", "A"))).await.0, 422);
    assert_eq!(house.ask(send(two("panic", "A"))).await.0, 500);
    assert_eq!(house.ask(send(two("wide", "A"))).await.0, 422);
    assert_eq!(house.ask(send(format!("--x\r\n{PART}a\"\r\n\r\nA\r\n--x--"))).await.0, 400);
    assert_eq!(house.ask(send("A".to_owned())).await.0, 400);
    assert_eq!(house.post("/api/verify", "A").await.0, 415);
    for wrong in [r#"{"vectors": [[1, 0]]}"#, r#"{"vectors": [[1], [1], [1]]}"#] {
        assert_eq!(house.post_json("/api/verify", wrong).await.0, 400);
    }
    assert_eq!(house.post_json("/api/verify", r#"{"vectors": [[1], [1]]}"#).await.0, 422);
}

#[tokio::test]
async fn thumbnails_classes_and_facts() {
    let house = House::plain();
    let (status, headers, bytes) = house.whole(to("GET", "/api/thumbnails/2").body(Body::empty()).unwrap()).await;
    assert_eq!((status.as_u16(), &bytes[8..]), (200, &b"small"[..]));
    assert_eq!(headers["content-type"], "image/png");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    for (id, status) in
        [("1", 204), ("99", 404), ("-1", 400), ("x", 400), ("99999999999999999999", 400), ("..%2f1", 400)]
    {
        assert_eq!(house.get(&format!("/api/thumbnails/{id}")).await.0, status, "{id}");
    }
    let (_, classes) = house.get("/api/classes").await;
    let want = json!({ "classes": [{ "class": "fox", "rows": 3 }, { "class": "owl", "rows": 3 }], "without": 3 });
    assert_eq!(classes, want);
    let (_, facts) = house.get("/api/facts").await;
    assert_eq!(
        (&facts["rows"], &facts["measure"], &facts["rates"]),
        (&json!(9), &json!("cosine"), &json!([0.001, 0.1]))
    );
    assert_eq!((&facts["far"], &facts["writable"]), (&json!(0.001), &json!(false)));
}

#[tokio::test]
async fn an_index_without_thresholds_says_no_match() {
    let house = House::plain();
    house.common.shelf.write(|index| index.set_verifier(None)).unwrap();
    let (_, found) = house.post("/api/search?k=1", "A").await;
    assert_eq!((&found["answers"][0]["matches"], &found["answers"][0]["threshold"]), (&Value::Null, &Value::Null));
    assert_eq!(house.post("/api/search?far=0.1", "A").await.0, 422);
    assert_eq!(house.get("/api/facts").await.1["far"], Value::Null);
}

#[tokio::test]
async fn the_document_names_every_route_and_no_other() {
    let house = House::plain();
    let (status, document) = house.get("/api/openapi.json").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let paths = document["paths"].as_object().unwrap();
    let mut named: Vec<(&str, &str)> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |m| (m.as_str(), path.as_str())))
        .collect();
    let mut routes = ROUTES.to_vec();
    named.sort_unstable();
    routes.sort_unstable();
    assert_eq!(named, routes);
    for (method, path) in ROUTES {
        let request = to(&method.to_uppercase(), &path.replace("{id}", "1")).body(Body::empty()).unwrap();
        let (status, _, _) = house.whole(request).await;
        assert!(
            !matches!(status.as_u16(), 405) && (status.as_u16() != 404 || path.contains("thumb")),
            "{method} {path}: {status}"
        );
        let request = to("PATCH", &path.replace("{id}", "1")).body(Body::empty()).unwrap();
        assert_eq!(house.ask(request).await.0, 405, "{path}");
    }
    // Every place that it points to is there.
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    assert_eq!(house.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn the_page_and_the_counts() {
    let house = House::plain();
    let (status, headers, bytes) = house.whole(to("GET", "/").body(Body::empty()).unwrap()).await;
    assert_eq!(status.as_u16(), 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(String::from_utf8(bytes).unwrap().contains("<title>"));
    assert_eq!(house.get("/healthz").await, (200, json!("ok\n")));
    house.get("/nothing/at/all").await;
    house.post("/api/search", "bomb").await;
    let (_, text) = house.get("/metrics").await;
    for line in [
        "npair_requests_total{route=\"/api/search\",status=\"422\"} 1\n",
        "npair_requests_total{route=\"other\",status=\"404\"} 1\n",
        "npair_request_seconds_count{route=\"/healthz\"} 1\n",
        "npair_rows 9\n",
        "npair_embeddings_in_flight 0\n",
        "npair_rejected_total{reason=\"busy\"} 0\n",
    ] {
        assert!(text.as_str().unwrap().contains(line), "{line} in {text}");
    }
}
