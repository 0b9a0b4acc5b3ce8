//! Losses of proxies: examples against learned points, one or more of which stand for every class.

mod proxy_anchor;
mod proxy_nca;
mod soft_triple;

pub use proxy_anchor::{ProxyAnchor, ProxyAnchorSettings};
pub use proxy_nca::{ProxyNca, ProxyNcaSettings};
pub use soft_triple::{SoftTriple, SoftTripleSettings};
