//! Connections: how many, how long, and how slowly they may ask.

use crate::guard::Peer;
use crate::state::Shared;
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// After so long a connection is asked to end, so that none is kept for ever by who does not read its answers.
const AGE: Duration = Duration::from_secs(300);
/// The largest headers of a request, in bytes and in number.
const HEADER_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
/// Connections too many that are told so at once; others are closed.
const REFUSED_AT_ONCE: usize = 256;
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 33\r\n\r\n{\"error\":\"too many connections\"}\n";
/// After an error of the listener: it is of one connection, or the system's limit of open files.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes connections.
pub(crate) struct Acceptor {
    listener: TcpListener,
    router: Router,
    common: Shared,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    stopping: watch::Sender<bool>,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener, router: Router, common: Shared) -> Self {
        let places = Arc::new(Semaphore::new(common.settings.max_connections));
        let refusals = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
        Self { listener, router, common, places, refusals, stopping: watch::channel(false).0 }
    }

    /// Until `stop` is ready, and for what is under way then.
    pub(crate) async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut tasks = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer, &mut tasks),
                    Err(_) => sleep(PAUSE).await,
                },
                // What has ended is forgotten.
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            }
        }
        let settings = &self.common.settings;
        drop(self.listener);
        self.stopping.send_replace(true);
        let rest = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(settings.body_timeout + settings.answer_timeout, rest).await;
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, tasks: &mut JoinSet<()>) {
        let _ = stream.set_nodelay(true);
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.common.counts.rejected("connections");
            if let Ok(place) = self.refusals.clone().try_acquire_owned() {
                tasks.spawn(async move {
                    let _place = place;
                    let _ = timeout(Duration::from_secs(1), refuse(stream)).await;
                });
            }
            return;
        };
        let (router, common, stopping) = (self.router.clone(), self.common.clone(), self.stopping.subscribe());
        tasks.spawn(async move {
            let _place = place;
            answer(stream, peer, router, common, stopping).await;
        });
    }
}

/// Says that there is no place, and reads until the client has seen it: closing earlier could take the answer away.
async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(REFUSAL).await?;
    stream.shutdown().await?;
    let mut thrown = [0; 1024];
    while stream.read(&mut thrown).await? > 0 {}
    Ok(())
}

/// Answers what comes through one connection.
async fn answer(stream: TcpStream, peer: SocketAddr, router: Router, common: Shared, mut stop: watch::Receiver<bool>) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        routes.call(request)
    });
    let settings = &common.settings;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(settings.body_timeout)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let old = async {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = sleep(AGE) => {}
        }
    };
    tokio::select! {
        _ = connection.as_mut() => return,
        () = old => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(settings.body_timeout + settings.answer_timeout, connection).await;
}
