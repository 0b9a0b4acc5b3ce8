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

/// One request: the path, the range and the token decide; the connection is closed behind the answer.
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
    let range = headers.iter().find_map(|h| h.strip_prefix("range: bytes=")).unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let (from, to) = (from.parse::<usize>().unwrap(), to.parse().unwrap_or(content.len() - 1));
    let part = &content[from..=to];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nETag: \"{name}-etag\"\r\nX-Repo-Commit: 0123abc\r\nContent-Range: bytes {from}-{to}/{}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        content.len(),
        part.len()
    )
    .unwrap();
    stream.write_all(part).unwrap();
}

fn net() -> EmbeddingNet {
    let backbone = BackboneConfig::ConvNet(ConvNetConfig { width: 2, blocks: 1, size: 4, channels: 1 });
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
