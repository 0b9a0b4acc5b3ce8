//! The Hub as this crate sees it: a server on this machine that answers as the Hub does.
#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use candle_core::{DType, Device};
use npair_backbones::*;
use npair_types::Streams;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Files by name below one revision, and what was asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: HashMap<&'static str, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &files, &heard);
            }
        });
        Self { address, asked }
    }
}

/// One request: the path and the token decide; the connection is closed behind the answer.
fn answer(mut stream: &TcpStream, files: &HashMap<&'static str, Vec<u8>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(|line| line.ok()).take_while(|line| !line.is_empty());
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.map(|line| line.to_lowercase()).collect();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let name = path.strip_prefix("/someone/tiny/resolve/v1/").unwrap_or("?");
    let allowed = headers.iter().any(|h| h.starts_with("authorization: bearer secret"));
    asked.lock().unwrap().push(path.clone());
    let Some(content) = files.get(name).filter(|_| allowed) else {
        let status = if allowed { "404 Not Found" } else { "401 Unauthorized" };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nETag: \"{name}-etag\"\r\nX-Repo-Commit: 0123abc\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )
    .unwrap();
    stream.write_all(content).unwrap();
}

fn net() -> EmbeddingNet {
    let backbone = BackboneConfig::ConvNet(ConvNetConfig { width: 2, blocks: 1, size: 4.into(), channels: 1 });
    EmbeddingNet::new(EmbeddingNetConfig::new(backbone, 3), Streams::new(2), DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn weights_are_fetched_once_and_found_again_offline() {
    let weights_file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/weights/zip.pth")).unwrap();
    let config = br#"{"pretrained_cfg": {"input_size": [1, 4, 4], "mean": [0.5], "std": [0.25]}}"#.to_vec();
    let server = Server::start(HashMap::from([("zip.pth", weights_file), ("config.json", config)]));
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub {
        cache: Some(dir.path().join("hub")),
        token: Some("secret".to_owned()),
        endpoint: Some(server.address.clone()),
        offline: false,
    };
    let weights: Weights = "hub:someone/tiny@v1#zip.pth".parse().unwrap();
    assert!(net().load_pretrained(&weights, &hub).unwrap().fits());
    let Some(PretrainedPreprocess::Described(told)) =
        pretrained_preprocess(&weights, &hub, &net().config().unwrap().backbone).unwrap()
    else {
        panic!("config.json was not found")
    };
    assert_eq!((told.size, &told.mean[..], &told.std[..]), (4, &[0.5][..], &[0.25][..]));

    // Again, without the network: nothing is asked.
    let before = server.asked.lock().unwrap().len();
    let offline = Hub { offline: true, ..hub.clone() };
    for hub in [&hub, &offline] {
        assert!(net().load_pretrained(&weights, hub).unwrap().fits());
    }
    assert_eq!(server.asked.lock().unwrap().len(), before);

    // What is not there, and what is not allowed, is said in one line with the cure.
    let absent: Weights = "hub:someone/tiny@v1#none.pth".parse().unwrap();
    let shut = Hub { token: Some("wrong".to_owned()), cache: Some(dir.path().join("other")), ..hub.clone() };
    for (weights, hub, want) in [(&absent, &hub, "404"), (&weights, &shut, "401")] {
        let message = net().load_pretrained(weights, hub).unwrap_err().to_string();
        assert!(message.contains(want) && message.contains("HF_TOKEN"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

/// Answers every request with the same bytes, and keeps the requests.
fn parrot(answer: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map_while(|line| line.ok()).take_while(|line| !line.is_empty());
            kept.lock().unwrap().push(lines.collect::<Vec<_>>().join("\n").to_lowercase());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, heard)
}

fn hub(cache: &std::path::Path, endpoint: String) -> Hub {
    Hub { cache: Some(cache.to_owned()), token: Some("secret".to_owned()), endpoint: Some(endpoint), offline: false }
}

/// All files below a folder, by their paths in it.
fn files(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

#[test]
fn an_endpoint_that_lies_writes_nothing() {
    let lies = ["../../../../evil", "/tmp/npair-evil", "..", ".hidden", "a/b", "a\\b", ""];
    for lie in lies {
        for (etag, commit) in [(lie, "0123abc"), ("0123abc", lie)] {
            let dir = tempfile::tempdir().unwrap();
            let (endpoint, _) = parrot(format!(
                "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil"
            ));
            let weights: Weights = "hub:someone/tiny@v1#x.pth".parse().unwrap();
            let message = net().load_pretrained(&weights, &hub(&dir.path().join("a/b/c/hub"), endpoint)).unwrap_err();
            assert!(message.to_string().contains("x.pth cannot be fetched"), "{message}");
            assert_eq!(files(dir.path()), [""; 0], "{etag} {commit}");
            assert!(!std::path::Path::new("/tmp/npair-evil").exists());
        }
    }
}

#[test]
fn a_cache_that_was_led_astray_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let refs = dir.path().join("models--someone--tiny/refs");
    std::fs::create_dir_all(&refs).unwrap();
    std::fs::write(refs.join("v1"), "../../..").unwrap();
    std::fs::write(dir.path().join("x.pth"), "evil").unwrap();
    let hub = Hub { cache: Some(dir.path().to_owned()), offline: true, ..Hub::default() };
    let weights: Weights = "hub:someone/tiny@v1#x.pth".parse().unwrap();
    assert!(net().load_pretrained(&weights, &hub).unwrap_err().to_string().contains("is not in the cache"));
}

#[test]
fn the_token_is_not_sent_where_a_redirect_leads() {
    let dir = tempfile::tempdir().unwrap();
    let (elsewhere, heard) = parrot("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody".to_owned());
    let (endpoint, first) = parrot(format!(
        "HTTP/1.1 302 Found\r\nLocation: {elsewhere}/x\r\nX-Linked-ETag: \"0123\"\r\nX-Repo-Commit: 4567\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    let weights: Weights = "hub:someone/tiny@v1#x.pth".parse().unwrap();
    // What comes is no file of weights, but it came.
    net().load_pretrained(&weights, &hub(dir.path(), endpoint)).unwrap_err();
    assert!(first.lock().unwrap()[0].contains("authorization: bearer secret"));
    let heard = heard.lock().unwrap();
    assert!(heard.len() == 1 && !heard[0].contains("secret") && !heard[0].contains("authorization"), "{heard:?}");
    let kept = dir.path().join("models--someone--tiny/snapshots/4567/x.pth");
    assert_eq!(std::fs::read(kept).unwrap(), b"body");
    assert_eq!(std::fs::read(dir.path().join("models--someone--tiny/blobs/0123")).unwrap(), b"body");
}

#[test]
fn half_a_file_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (endpoint, _) = parrot(
        "HTTP/1.1 200 OK\r\nETag: \"01\"\r\nX-Repo-Commit: 02\r\nContent-Length: 99\r\nConnection: close\r\n\r\nhalf"
            .to_owned(),
    );
    let weights: Weights = "hub:someone/tiny@v1#x.pth".parse().unwrap();
    assert!(net().load_pretrained(&weights, &hub(dir.path(), endpoint)).is_err());
    assert_eq!(files(dir.path()), [""; 0]);
}
