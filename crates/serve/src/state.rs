use crate::body::Bodies;
use crate::lane::Lane;
use crate::metrics::Counts;
use crate::rate::Rate;
use crate::refusal::Answered;
use crate::shelf::{Looked, Shelf};
use crate::{Embedder, ServeSettings};
use npair_index::Index;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::time::Instant;

/// What all requests share.
pub(crate) struct Common {
    pub(crate) settings: ServeSettings,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) embedding: Arc<Lane>,
    /// Searching and reading; it is short, and takes whole processors.
    pub(crate) reading: Arc<Lane>,
    /// Changes come one after another anyway.
    pub(crate) writing: Arc<Lane>,
    pub(crate) bodies: Bodies,
    pub(crate) rate: Rate,
    pub(crate) counts: Counts,
    /// A hash of the token: comparing hashes says nothing about its length.
    token: Option<[u8; 32]>,
}

pub(crate) type Shared = Arc<Common>;

impl Common {
    pub(crate) fn new(index: Index, embedder: Arc<dyn Embedder>, settings: ServeSettings) -> Shared {
        let threads = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
        let lane = |name, size| Lane::new(name, size, settings.queue, settings.answer_timeout);
        Arc::new(Self {
            shelf: Arc::new(Shelf::new(index)),
            embedder,
            embedding: lane("embedding", settings.max_concurrent_embeddings),
            reading: lane("searching", threads),
            writing: lane("changing the index", 1),
            bodies: Bodies::new(settings.max_upload_bytes, settings.body_timeout),
            rate: Rate::new(settings.requests_per_second, settings.burst),
            counts: Counts::default(),
            token: settings.token.as_ref().map(|token| hash(token.as_bytes())),
            settings,
        })
    }

    /// Whether this is the token, in a time that does not depend on where the two differ.
    pub(crate) fn is_token(&self, given: &[u8]) -> bool {
        let Some(token) = &self.token else { return false };
        let differ = token.iter().zip(hash(given)).fold(0, |differ, (a, b)| differ | (a ^ b));
        std::hint::black_box(differ) == 0
    }

    /// Looks something up in the index, when its turn comes.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        deadline: Instant,
        look: impl Fn(&Index) -> Result<T, Looked> + Send + 'static,
    ) -> Answered<T> {
        let shelf = self.shelf.clone();
        self.reading.run(deadline, move || shelf.read(look)).await?
    }

    /// Changes the index, when its turn comes.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        deadline: Instant,
        change: impl FnOnce(&mut Index) -> npair_index::Result<T> + Send + 'static,
    ) -> Answered<T> {
        let shelf = self.shelf.clone();
        self.writing.run(deadline, move || shelf.write(change)).await?
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
