//! From a decoded picture to what a network sees.

mod augment;
mod blur;
mod canvas;
mod color;
mod config;
mod elastic;
mod looks;
mod pipeline;
mod prepare;
mod presets;
mod rand_augment;
mod rectangle;
mod warp;

pub use augment::{AugmentConfig, Fill, RandAugment};
pub use config::{Channels, Filter, PipelineConfig, Resize};
pub use pipeline::Pipeline;
pub(crate) use prepare::scaled;

#[cfg(test)]
mod tests;
