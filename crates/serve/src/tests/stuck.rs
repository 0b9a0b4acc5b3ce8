//! An embedder that hangs or breaks harms one request.

use super::made_up::House;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn house(queue: usize, patience: u64) -> Arc<House> {
    Arc::new(House::with(|settings| {
        (settings.queue, settings.answer_timeout) = (queue, Duration::from_millis(patience));
    }))
}

#[tokio::test]
async fn a_hang_is_cut_off_and_keeps_its_turn() {
    let house = house(64, 200);
    let hang = |house: Arc<House>| tokio::spawn(async move { house.post("/api/search", "hang").await.0 });
    let (a, b) = (hang(house.clone()), hang(house.clone()));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let text = house.get("/metrics").await.1;
    assert!(text.as_str().unwrap().contains("npair_embeddings_in_flight 2\n"), "{text}");
    // One that waits behind them gives up in time.
    assert_eq!(house.post("/api/search", "A").await.0, 503);
    assert_eq!((a.await.unwrap(), b.await.unwrap()), (504, 504));
    let begun = Instant::now();
    assert_eq!(house.post("/api/search", "A").await.0, 503);
    assert!(begun.elapsed() < Duration::from_millis(100), "what is stuck is not waited for");
    assert_eq!(house.post_json("/api/search", r#"{"vector": [1, 0]}"#).await.0, 200, "vectors need no embedder");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(house.post("/api/search", "A").await.0, 200, "threads that came back are used again");
}

#[tokio::test]
async fn panics_take_no_turns() {
    let house = house(64, 5000);
    for _ in 0..9 {
        assert_eq!(house.post("/api/search", "panic").await.0, 500);
    }
    assert_eq!(house.post("/api/search", "A").await.0, 200);
}

#[tokio::test]
async fn beyond_the_queue_is_an_honest_503() {
    let house = house(3, 5000);
    let tasks: Vec<_> = (0..9)
        .map(|_| {
            let house = house.clone();
            tokio::spawn(async move { house.post("/api/search", "hang").await.0 })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 200, 200, 200, 503, 503, 503, 503]);
    let text = house.get("/metrics").await.1;
    assert!(text.as_str().unwrap().contains("npair_rejected_total{reason=\"busy\"} 4\n"), "{text}");
}
