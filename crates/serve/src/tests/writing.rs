use super::made_up::{House, TOKEN, signed, to};
use axum::body::Body;
use serde_json::json;

#[tokio::test]
async fn a_picture_is_enrolled_found_and_removed() {
    let house = House::writable();
    let send = |uri: &str, body: &str| signed("POST", uri).body(Body::from(body.to_owned())).unwrap();
    let (status, added) = house.ask(send("/api/rows?path=new.png&class=cat%20%26%20dog", "AB")).await;
    assert_eq!((status, &added), (201, &json!({ "id": 10, "replaced": [] })));
    let (_, found) = house.post("/api/search?k=1", "AB").await;
    assert_eq!(found["answers"][0]["class"], "cat & dog");
    let (_, headers, bytes) = house.whole(to("GET", "/api/thumbnails/10").body(Body::empty()).unwrap()).await;
    assert_eq!((headers["content-type"].to_str().unwrap(), &bytes[8..]), ("image/png", &b"AB"[..]));
    let (_, again) = house.ask(send("/api/rows?path=new.png", "AB")).await;
    assert_eq!(again, json!({ "id": 11, "replaced": [10] }));
    let remove = |id: u64| signed("DELETE", &format!("/api/rows/{id}")).body(Body::empty()).unwrap();
    let (status, removed) = house.ask(remove(11)).await;
    assert_eq!((status, &removed["path"]), (200, &json!("new.png")));
    assert_eq!(house.ask(remove(11)).await.0, 404);
    assert_eq!(house.get("/api/facts").await.1["rows"], 9);
    let vector = signed("POST", "/api/rows?path=v").header("content-type", "application/json");
    assert_eq!(house.ask(vector.body(Body::from(r#"{"vector": [1, 1]}"#)).unwrap()).await.0, 201);
    for (uri, body, status) in [
        ("/api/rows", "A", 400),
        ("/api/rows?path=", "A", 422),
        ("/api/rows?path=%00", "A", 422),
        ("/api/rows?path=a", "bomb", 422),
        ("/api/rows?path=a", "nan", 422),
        ("/api/rows?path=a", "wide", 422),
        ("/api/rows?path=a", "panic", 500),
        ("/api/rows?path=a", "", 400),
    ] {
        let (got, said) = house.ask(send(uri, body)).await;
        assert_eq!(got, status, "{uri} {body:?}: {said}");
    }
    assert_eq!(house.get("/api/facts").await.1["rows"], 10);
}

#[tokio::test]
async fn changes_need_the_token_and_leave_to_write() {
    let house = House::writable();
    for key in
        ["", "Bearer", "Bearer ", "Bearer a-long-toke", "Bearer a-long-token2", "Basic a-long-token", "a-long-token"]
    {
        let post = to("POST", "/api/rows?path=a").header("authorization", key).body(Body::from("A")).unwrap();
        assert_eq!(house.ask(post).await.0, 401, "{key:?}");
        let delete = to("DELETE", "/api/rows/1").header("authorization", key).body(Body::empty()).unwrap();
        let (status, headers, _) = house.whole(delete).await;
        assert_eq!((status.as_u16(), &headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()), "{key:?}");
    }
    assert_eq!(house.post("/api/rows?path=a", "A").await.0, 401);
    let twice = signed("DELETE", "/api/rows/1").header("authorization", "Bearer x").body(Body::empty()).unwrap();
    assert_eq!(house.ask(twice).await.0, 401);
    let reader = House::with(|settings| settings.token = Some(TOKEN.to_owned()));
    assert_eq!(reader.ask(signed("DELETE", "/api/rows/1").body(Body::empty()).unwrap()).await.0, 403);
    assert_eq!(reader.ask(signed("POST", "/api/rows?path=a").body(Body::from("A")).unwrap()).await.0, 403);
    assert_eq!(reader.get("/api/facts").await.1["rows"], 9, "reading needs none on loopback");
}

#[tokio::test]
async fn an_index_that_broke_in_memory_is_read_anew() {
    let house = House::writable();
    let shelf = house.common.shelf.clone();
    let broken = std::thread::spawn(move || {
        let _ = shelf.write::<()>(|index| {
            index.remove(npair_index::RowFilter::Ids(&[1]))?;
            panic!("on purpose")
        });
    });
    assert!(broken.join().is_err());
    assert_eq!(house.get("/api/facts").await.1["rows"], 8);
    assert_eq!(house.ask(signed("DELETE", "/api/rows/2").body(Body::empty()).unwrap()).await.0, 200);
}

#[tokio::test]
async fn what_another_program_changed_is_found() {
    let house = House::plain();
    let folder = house._dir.path().join("x");
    let mut other = npair_index::Index::open(&folder).unwrap();
    other.remove(npair_index::RowFilter::Ids(&[3])).unwrap();
    other.compact().unwrap();
    // The file that held it is gone.
    let (status, _, bytes) = house.whole(to("GET", "/api/thumbnails/2").body(Body::empty()).unwrap()).await;
    assert_eq!((status.as_u16(), &bytes[8..]), (200, &b"small"[..]));
    assert_eq!(house.get("/api/facts").await.1["rows"], 8);
}
