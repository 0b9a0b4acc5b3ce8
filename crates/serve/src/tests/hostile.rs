//! Clients that mean harm, over the network.

use super::made_up::{Bytes, index};
use crate::{ServeSettings, Server, stopper};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server for the time of a test.
struct Open {
    address: SocketAddr,
    stopper: crate::Stopper,
    served: tokio::task::JoinHandle<crate::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Open {
    fn with(change: impl FnOnce(&mut ServeSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = ServeSettings {
            address: ([127, 0, 0, 1], 0).into(),
            requests_per_second: 0,
            max_upload_bytes: 100_000,
            body_timeout: Duration::from_millis(300),
            ..ServeSettings::default()
        };
        change(&mut settings);
        let server = Server::bind(index(&dir), Arc::new(Bytes), settings).unwrap();
        let (address, (stopper, stop)) = (server.address(), stopper());
        Self { address, stopper, served: tokio::spawn(server.serve(stop)), _dir: dir }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back for these bytes, until the server closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may have closed already.
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }

    async fn is_well(&self) {
        assert!(self.send(&get("/healthz")).await.starts_with("HTTP/1.1 200"));
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").into_bytes()
}

fn post(headers: &str) -> String {
    format!("POST /api/search HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let open = Open::with(|_| {});
    for size in [100_001, 150_000, 250_000, 10_000_000] {
        let declared = [post(&format!("content-length: {size}\r\n")).into_bytes(), vec![b'A'; size]].concat();
        let answer = open.send(&declared).await;
        // Who sends far too much may be cut off before reading why.
        assert!(answer.starts_with("HTTP/1.1 413") || (size > 200_000 && answer.is_empty()), "{size}: {answer}");
        let piece = format!("{:x}\r\n{}\r\n0\r\n\r\n", size, "A".repeat(size));
        let chunked = [post("transfer-encoding: chunked\r\n"), piece].concat();
        let answer = open.send(chunked.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413") || (size > 200_000 && answer.is_empty()), "{size}: {answer}");
    }
    let asks = post("expect: 100-continue\r\ncontent-length: 100001\r\n");
    assert!(open.send(asks.as_bytes()).await.starts_with("HTTP/1.1 413"));
    let fits = [post("content-length: 100000\r\n").into_bytes(), vec![b'A'; 100_000]].concat();
    assert!(open.send(&fits).await.starts_with("HTTP/1.1 200"));
    open.is_well().await;
}

#[tokio::test]
async fn headers_that_are_huge_many_or_nonsense() {
    let open = Open::with(|_| {});
    let long = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let answer = open.send(long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert!(open.send(many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    for nonsense in
        [&b"\0\x01\x02\r\n\r\n"[..], b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n"]
    {
        let answer = open.send(nonsense).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let two = "POST /api/search HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nAB";
    assert!(open.send(two.as_bytes()).await.starts_with("HTTP/1.1 400"));
    open.is_well().await;
}

#[tokio::test]
async fn who_sends_slowly_is_cut_off() {
    let open = Open::with(|settings| settings.max_connections = 8);
    let begun = Instant::now();
    let mut slow = Vec::new();
    for kind in 0..8 {
        let mut stream = open.connect().await;
        let start = match kind % 4 {
            0 => String::new(),
            1 => "GET / HT".to_owned(),
            2 => post("content-length: 1000\r\n"),
            // One that was answered, and says no more.
            _ => "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        };
        stream.write_all(start.as_bytes()).await.unwrap();
        slow.push((kind % 4, stream));
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let full = open.send(&get("/healthz")).await;
    assert!(full.starts_with("HTTP/1.1 503") && full.contains("too many connections"), "{full}");
    for (kind, mut stream) in slow {
        for _ in 0..50 {
            let byte: &[u8] = if kind == 0 || kind == 3 { b"" } else { b"x" };
            if stream.write_all(byte).await.is_err() || begun.elapsed() > Duration::from_millis(450) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let answer = rest(&mut stream).await;
        match kind {
            2 => assert!(answer.starts_with("HTTP/1.1 408") || answer.is_empty(), "{answer}"),
            3 => assert!(answer.starts_with("HTTP/1.1 200"), "{answer}"),
            _ => assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}"),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    open.is_well().await;
}

#[tokio::test]
async fn bodies_that_are_held_back_have_no_more_than_their_memory() {
    let open = Open::with(|settings| settings.body_timeout = Duration::from_secs(1));
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = open.connect().await;
        stream.write_all(post("content-length: 100000\r\n").as_bytes()).await.unwrap();
        stream.write_all(&[b'A'; 99_999]).await.unwrap();
        held.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let more = [post("content-length: 90000\r\n").into_bytes(), vec![b'A'; 90_000]].concat();
    assert!(open.send(&more).await.starts_with("HTTP/1.1 503"));
    for mut stream in held {
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 408"));
    }
    assert!(open.send(&more).await.starts_with("HTTP/1.1 200"), "their memory came back");
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let open = Open::with(|_| {});
    let mut stream = open.connect().await;
    let one = "POST /api/search?k=1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nA";
    let all = format!("{}{}", one.repeat(20), String::from_utf8(get("/healthz")).unwrap());
    stream.write_all(all.as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 21, "{answers}");
}

#[tokio::test]
async fn a_server_that_is_stopped_answers_what_it_was_asked() {
    let open = Open::with(|_| {});
    let mut asked = open.connect().await;
    asked.write_all((post("content-length: 4\r\n") + "hang").as_bytes()).await.unwrap();
    let idle = open.connect().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    open.stopper.stop();
    assert!(rest(&mut asked).await.starts_with("HTTP/1.1 200"));
    open.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(open.address).await.is_err());
    drop(idle);
}

#[test]
fn a_program_without_tokio_runs_one() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let (stopper, stop) = stopper();
    let settings = ServeSettings { address: ([127, 0, 0, 1], 0).into(), ..ServeSettings::default() };
    let (sender, receiver) = std::sync::mpsc::channel();
    let index = index(&dir);
    let serving = std::thread::spawn(move || {
        crate::run(index, Arc::new(Bytes), settings, |address| sender.send(address).unwrap(), stop)
    });
    let mut stream = std::net::TcpStream::connect(receiver.recv().unwrap()).unwrap();
    stream.write_all(&get("/healthz")).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));
    stopper.stop();
    serving.join().unwrap().unwrap();
}
