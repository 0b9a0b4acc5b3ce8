/// Turns pictures into vectors: decoding and network are the caller's.
///
/// Both functions run on threads where blocking is allowed, as many at once as
/// [`max_concurrent_embeddings`](crate::ServeSettings::max_concurrent_embeddings) says. One that panics or never returns harms the
/// request that it was called for, but what never returns keeps its thread.
///
/// # Errors
/// Why a picture cannot be used, in words for whoever sent it: it becomes the answer with status 422.
pub trait Embedder: Send + Sync {
    /// The vector of a picture, given as the bytes of its file: as many values as the index's vectors have.
    ///
    /// # Errors
    /// Why not, in words for whoever sent it.
    fn embed(&self, picture: &[u8]) -> Result<Vec<f32>, String>;

    /// A small picture of it as the bytes of a PNG or JPEG, at most 1 MiB: kept with a row that is added.
    ///
    /// # Errors
    /// Why not, in words for whoever sent it.
    fn thumbnail(&self, picture: &[u8]) -> Result<Vec<u8>, String>;
}
