use crate::{Error, Result};
use npair_index::Index;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The shortest token, in characters.
const SHORTEST: usize = 8;

/// Where and how an index is served, and what a client may take of it.
#[derive(Clone)]
pub struct ServeSettings {
    /// Where to listen; port 0 takes any that is free. What is not loopback needs a token.
    pub address: SocketAddr,
    /// Names besides those of this machine by which browsers reach it, as behind a proxy; without port.
    pub hosts: Vec<String>,
    /// Whether rows may be added and removed. That needs a token too.
    pub writable: bool,
    /// What a client has to know to change rows; where the address is not loopback, to read anything.
    pub token: Option<String>,
    /// The largest body of a request, in bytes.
    pub max_upload_bytes: usize,
    /// Pictures that are embedded at once.
    pub max_concurrent_embeddings: usize,
    /// Requests that may wait for their turn; more are answered 503.
    pub queue: usize,
    /// Requests a second of one client address; more are answered 429. A thumbnail and the page count a tenth. 0 is no limit.
    pub requests_per_second: u32,
    /// Requests that a client may make at once before that.
    pub burst: u32,
    /// Connections at once; more are answered 503.
    pub max_connections: usize,
    /// How long the headers of a request may take, and then its body.
    pub body_timeout: Duration,
    /// How long the answer may take after that.
    pub answer_timeout: Duration,
    /// The false accept rate whose threshold decides unless a request says another; the index's usual one if none.
    pub far: Option<f64>,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 7777)),
            hosts: Vec::new(),
            writable: false,
            token: None,
            max_upload_bytes: 8 << 20,
            max_concurrent_embeddings: 2,
            queue: 64,
            requests_per_second: 20,
            burst: 40,
            max_connections: 1024,
            body_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            far: None,
        }
    }
}

/// All but the token, which is nobody's to log.
impl std::fmt::Debug for ServeSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "hidden");
        f.debug_struct("ServeSettings").field("address", &self.address).field("token", &token).finish_non_exhaustive()
    }
}

impl ServeSettings {
    /// Whether nothing may be read without the token.
    pub(crate) fn is_closed(&self) -> bool {
        !self.address.ip().is_loopback()
    }

    /// An error unless an index can be served so.
    pub(crate) fn check(&self, index: &Index) -> Result<()> {
        let wrong = |setting, why: String| Err(Error::Setting { setting, why });
        if self.is_closed() && self.token.is_none() {
            return Err(Error::Open { address: self.address });
        }
        if self.writable && self.token.is_none() {
            return wrong("writable", "lets anybody change rows: give a token with it".to_owned());
        }
        if let Some(token) = &self.token
            && !(token.len() >= SHORTEST && token.bytes().all(|c| c.is_ascii_graphic()))
        {
            return wrong("token", format!("has to be {SHORTEST} or more visible ASCII characters without spaces"));
        }
        let counts = [
            ("max_upload_bytes", self.max_upload_bytes, 1 << 30),
            ("max_concurrent_embeddings", self.max_concurrent_embeddings, 1 << 10),
            ("queue", self.queue, 1 << 20),
            ("max_connections", self.max_connections, 1 << 20),
        ];
        if let Some((name, value, most)) = counts.into_iter().find(|(_, value, most)| *value == 0 || value > most) {
            return wrong(name, format!("is {value}, but has to be from 1 to {most}"));
        }
        if self.requests_per_second > 0 && self.burst == 0 {
            return wrong("burst", "is 0, so that no request would be answered: give 1 or more".to_owned());
        }
        if self.body_timeout.is_zero() || self.answer_timeout.is_zero() {
            return wrong("timeouts", "are 0, so that no request would be answered: give a second or more".to_owned());
        }
        self.check_far(index)
    }

    fn check_far(&self, index: &Index) -> Result<()> {
        let Some(far) = self.far else { return Ok(()) };
        let why = match index.verifier() {
            None => "the index has no thresholds: leave it out".to_owned(),
            Some(verifier) => match verifier.threshold(far) {
                Ok(_) => return Ok(()),
                Err(e) => e.to_string(),
            },
        };
        Err(Error::Setting { setting: "far", why })
    }
}
