use crate::connection::Acceptor;
use crate::state::{Common, Shared};
use crate::{Embedder, Error, Result, ServeSettings, api};
use npair_index::Index;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How long a program that ends waits for threads that do not return.
const FAREWELL: Duration = Duration::from_millis(500);

/// A server that listens, and answers when it is told to [`serve`](Self::serve): in between its address can be asked for.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    common: Shared,
}

impl Server {
    /// Listens. Whoever connects from now on is answered as soon as it serves.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that does not fit, [`Error::Open`] for an address that others can reach without a token,
    /// [`Error::Bind`] if it cannot be listened on.
    pub fn bind(index: Index, embedder: Arc<dyn Embedder>, mut settings: ServeSettings) -> Result<Self> {
        settings.check(&index)?;
        let asked = settings.address;
        let bound = |why| Error::Bind { address: asked, why };
        let listener = TcpListener::bind(asked).map_err(bound)?;
        listener.set_nonblocking(true).map_err(bound)?;
        let address = listener.local_addr().map_err(bound)?;
        settings.address = address;
        Ok(Self { listener, address, common: Common::new(index, embedder, settings) })
    }

    /// Where it listens; with the port that was free, if any was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready; then what was asked is answered still, as far as that takes no longer than the timeouts.
    ///
    /// # Errors
    /// [`Error::Runtime`] if this is no runtime of tokio with its network and clock.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener).map_err(|why| Error::Runtime { why })?;
        let router = api::router(self.common.clone());
        Acceptor::new(listener, router, self.common).run(stop).await;
        Ok(())
    }
}

/// [`Server::bind`] and [`Server::serve`].
///
/// # Errors
/// Theirs.
pub async fn serve(
    index: Index,
    embedder: Arc<dyn Embedder>,
    settings: ServeSettings,
    stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    Server::bind(index, embedder, settings)?.serve(stop).await
}

/// Serves on a runtime of its own, and blocks until `stop` is ready ([`stopper`](crate::stopper) makes one). `ready` hears the
/// address once it can be connected to.
///
/// # Errors
/// Those of [`Server::bind`]; [`Error::Runtime`] if there are no threads for it.
pub fn run(
    index: Index,
    embedder: Arc<dyn Embedder>,
    settings: ServeSettings,
    ready: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()> + Send,
) -> Result<()> {
    let server = Server::bind(index, embedder, settings)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|why| Error::Runtime { why })?;
    ready(server.address());
    let served = runtime.block_on(server.serve(stop));
    runtime.shutdown_timeout(FAREWELL);
    served
}
