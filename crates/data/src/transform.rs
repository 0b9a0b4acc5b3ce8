//! From a decoded picture to what a network sees.

mod config;
mod elastic;
mod pipeline;
mod prepare;
mod warp;

pub use config::{AugmentConfig, Channels, Fill, Filter, PipelineConfig, Resize};
pub use pipeline::Pipeline;

#[cfg(test)]
mod tests;
