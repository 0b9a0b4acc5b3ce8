//! The body of a request, read within a size, a time and the memory of all.

use crate::refusal::{Answered, Refusal};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies of the largest size that there is memory for at once.
const AT_ONCE: usize = 16;
/// Memory is counted in pieces of so many bytes.
const PIECE: usize = 1 << 14;

/// What bodies may be.
pub(crate) struct Bodies {
    max_bytes: usize,
    timeout: Duration,
    memory: Arc<Semaphore>,
}

/// A whole body, and its part of the memory of all.
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(crate) fn new(max_bytes: usize, timeout: Duration) -> Self {
        let memory = Arc::new(Semaphore::new(max_bytes.div_ceil(PIECE) * AT_ONCE));
        Self { max_bytes, timeout, memory }
    }

    /// Reads a body: 413 if it is too large, 408 if it comes too slowly, 503 if there is no memory for it now.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body) -> Answered<Whole> {
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        let declared: usize = declared.unwrap_or(0);
        // Who asks before sending, or means to send far too much, is told at once.
        if declared > 2 * self.max_bytes || (declared > self.max_bytes && headers.contains_key(header::EXPECT)) {
            return Err(self.too_large());
        }
        match tokio::time::timeout(self.timeout, self.collect(body)).await {
            Ok(read) => read,
            Err(_) => {
                let why = format!("the body took more than {:.0} s", self.timeout.as_secs_f64());
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, why))
            }
        }
    }

    async fn collect(&self, mut body: Body) -> Answered<Whole> {
        let (mut bytes, mut memory, mut seen) = (Vec::new(), None::<OwnedSemaphorePermit>, 0usize);
        let mut refused = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::wrong("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            seen = seen.saturating_add(data.len());
            // A little more is read, and thrown away: who is cut off while sending may never see the answer.
            if seen > 2 * self.max_bytes {
                return Err(self.too_large());
            }
            if refused.is_none() {
                refused = self.room(bytes.len() + data.len(), &mut memory).err();
            }
            match refused {
                None => bytes.extend_from_slice(&data),
                Some(_) => bytes = Vec::new(),
            }
        }
        match refused {
            Some(refusal) => Err(refusal),
            None => Ok(Whole { bytes, room: memory }),
        }
    }

    /// Takes memory for so many bytes.
    fn room(&self, bytes: usize, memory: &mut Option<OwnedSemaphorePermit>) -> Answered<()> {
        if bytes > self.max_bytes {
            return Err(self.too_large());
        }
        let had = memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(PIECE).saturating_sub(had)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let Ok(taken) = self.memory.clone().try_acquire_many_owned(more) else {
            return Err(Refusal::busy("too much is being sent at once"));
        };
        match memory {
            Some(memory) => memory.merge(taken),
            None => *memory = Some(taken),
        }
        Ok(())
    }

    fn too_large(&self) -> Refusal {
        let why = format!("the body is larger than {} bytes: send a smaller picture", self.max_bytes);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    }
}
