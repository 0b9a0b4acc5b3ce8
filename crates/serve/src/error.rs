use std::net::SocketAddr;

/// Why an index cannot be served, in one line with the cure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that does not fit.
    #[error("{setting}: {why}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What does not fit, and what would.
        why: String,
    },
    /// An address that others can reach, without a token.
    #[error("address: {address} can be reached from other machines: give a token, or serve on 127.0.0.1")]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// An address that cannot be listened on.
    #[error("address: {address} cannot be listened on: {why}; choose another port, or 0 for any that is free")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        why: std::io::Error,
    },
    /// The system gives no threads or no sockets.
    #[error("the server cannot run: {why}; look at the system's limits of threads and open files")]
    Runtime {
        /// The cause.
        why: std::io::Error,
    },
    /// From the index.
    #[error(transparent)]
    Index(#[from] npair_index::Error),
}

/// Result of this crate; with a second parameter it is the standard one, so that a glob import takes nothing away.
pub type Result<T, E = Error> = std::result::Result<T, E>;
