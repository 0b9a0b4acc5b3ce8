#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guarded;
mod hostile;
mod made_up;
mod routes;
mod stuck;
mod writing;
