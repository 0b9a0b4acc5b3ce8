//! Many clients at once, over loopback, against a server in a process of its own: what they were answered, how fast, and how much
//! memory the server took.
//!
//! ```text
//! cargo run --release -p npair-serve --example load -- CLIENTS REQUESTS [ROWS]
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use npair_index::{Index, IndexSettings, NewRow};
use npair_serve::{Embedder, ServeSettings, run, stopper};
use npair_similarity::Rows;
use npair_types::Measure;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const WIDTH: usize = 128;
/// Bytes of a picture that is sent.
const PICTURE: usize = 60_000;

/// Takes 2 ms, as a small network does.
struct Slow;

impl Embedder for Slow {
    fn embed(&self, picture: &[u8]) -> Result<Vec<f32>, String> {
        std::thread::sleep(Duration::from_millis(2));
        Ok((0..WIDTH).map(|i| f32::from(picture.get(i).copied().unwrap_or(0)) - 127.).collect())
    }

    fn thumbnail(&self, picture: &[u8]) -> Result<Vec<u8>, String> {
        Ok(picture.get(..1000).unwrap_or(picture).to_vec())
    }
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: usize| arguments.get(at).map_or(Ok(usual), |text| text.parse());
    match arguments.first().map(String::as_str) {
        Some("--server") => server(number(1, 20_000)?),
        _ => clients(number(0, 1000)?, number(1, 20)?, number(2, 20_000)?),
    }
}

/// Until the standard input ends.
fn server(rows: usize) -> Fallible<()> {
    let dir = tempfile::tempdir()?;
    let mut index = Index::create(&dir.path().join("index"), IndexSettings::new(WIDTH, Measure::Cosine))?;
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216. - 0.5
    };
    let vectors: Vec<f32> = (0..rows * WIDTH).map(|_| next()).collect();
    let paths: Vec<String> = (0..rows).map(|i| format!("{i}.png")).collect();
    let classes: Vec<String> = (0..100).map(|i| format!("class {i}")).collect();
    let row = |(i, path): (usize, _)| NewRow {
        path,
        class: Some(classes[i % 100].as_str()),
        thumbnail: Some(&[7; 3000]),
        added: 0,
    };
    let new: Vec<NewRow> = paths.iter().map(String::as_str).enumerate().map(row).collect();
    index.add(&new, Rows::new(&vectors, WIDTH)?)?;
    drop((vectors, paths));
    let settings =
        ServeSettings { address: ([127, 0, 0, 1], 0).into(), requests_per_second: 0, ..ServeSettings::default() };
    let (stopper, stop) = stopper();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopper.stop();
    });
    let before = peak();
    run(index, Arc::new(Slow), settings, |address| println!("{address}"), stop)?;
    println!("peak memory of the server: {} MiB; {} MiB before the first request", peak() / 1024, before / 1024);
    Ok(())
}

/// The most memory that this process ever had, in KiB, where the system says that.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn clients(clients: usize, requests: usize, rows: usize) -> Fallible<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--server", &rows.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut address = String::new();
    out.read_line(&mut address)?;
    let address: std::net::SocketAddr = address.trim().parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let begun = Instant::now();
    let (counts, mut times) = runtime.block_on(async {
        let tasks: Vec<_> = (0..clients).map(|client| tokio::spawn(one(address, client, requests))).collect();
        let (mut counts, mut times) = (BTreeMap::<u16, usize>::new(), Vec::new());
        for task in tasks {
            for (status, took) in task.await.unwrap_or_default() {
                *counts.entry(status).or_default() += 1;
                times.push(took);
            }
        }
        (counts, times)
    });
    let took = begun.elapsed().as_secs_f64();
    drop(child.stdin.take());
    let mut rest = String::new();
    out.read_to_string(&mut rest)?;
    child.wait()?;
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).map_or(0., |t| t.as_secs_f64() * 1000.);
    let lost = counts.get(&0).copied().unwrap_or(0);
    println!("{clients} clients at once, {requests} requests each, {rows} rows of {WIDTH} values; {took:.1} s");
    println!(
        "{} asked, {} answered, {lost} lost; by status (0 is lost): {counts:?}",
        clients * requests,
        times.len() - lost
    );
    println!(
        "time of an answer: median {:.0} ms, 99% within {:.0} ms, longest {:.0} ms",
        at(0.5),
        at(0.99),
        at(0.99999)
    );
    print!("{rest}");
    std::io::stdout().flush()?;
    Ok(())
}

/// What one client is answered: a status, or 0 for none. It keeps its connection as long as the server does.
async fn one(address: std::net::SocketAddr, client: usize, requests: usize) -> Vec<(u16, Duration)> {
    let mut stream = None;
    let mut answers = Vec::with_capacity(requests);
    for request in 0..requests {
        let begun = Instant::now();
        let mut status = ask(&mut stream, address, client + request).await;
        if status.is_none() && request > 0 {
            // A kept connection may have been closed in between: that is no answer lost yet.
            stream = None;
            status = ask(&mut stream, address, client + request).await;
        }
        answers.push((status.unwrap_or(0), begun.elapsed()));
    }
    answers
}

async fn ask(stream: &mut Option<TcpStream>, address: std::net::SocketAddr, which: usize) -> Option<u16> {
    let mut open = match stream.take() {
        Some(open) => open,
        None => TcpStream::connect(address).await.ok()?,
    };
    let (line, kind, body) = match which % 10 {
        0 => (format!("GET /api/thumbnails/{}", 1 + which), "", Vec::new()),
        1 | 2 => {
            let vector: Vec<String> = (0..WIDTH).map(|i| format!("{}", (i * which % 17) as f32 - 8.5)).collect();
            let body = format!("{{\"vector\": [{}]}}", vector.join(","));
            ("POST /api/search?k=10".to_owned(), "content-type: application/json\r\n", body.into_bytes())
        }
        _ => ("POST /api/search?k=10&class=class%207".to_owned(), "", vec![which as u8; PICTURE]),
    };
    let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{kind}content-length: {}\r\n\r\n", body.len());
    open.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
    let mut answer = Vec::new();
    loop {
        if let Some((status, is_last, length)) = whole(&answer)
            && answer.len() >= length
        {
            *stream = (!is_last).then_some(open);
            return Some(status);
        }
        if open.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Status, whether the connection ends, and length of an answer whose headers are there.
fn whole(answer: &[u8]) -> Option<(u16, bool, usize)> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    Some((status, head.contains("connection: close"), end + length))
}
