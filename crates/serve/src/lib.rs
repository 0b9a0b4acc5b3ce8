//! A web page and a JSON API over the folder of an index.
//!
//! [`Server`] listens, [`serve`] and [`run`] do all at once. Embedding is the caller's: an [`Embedder`] turns a picture's bytes into
//! a vector. Whatever a client sends, or an embedder does, harms one request: sizes, times, queues, connections and memory are
//! bounded by [`ServeSettings`].
#![forbid(unsafe_code)]

mod api;
mod body;
mod connection;
mod embedder;
mod error;
mod guard;
mod lane;
mod metrics;
mod page;
mod rate;
mod refusal;
mod server;
mod settings;
mod shelf;
mod state;
mod stop;
#[cfg(test)]
mod tests;

pub use embedder::Embedder;
pub use error::{Error, Result};
pub use server::{Server, run, serve};
pub use settings::ServeSettings;
pub use stop::{Stopper, stopper};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
