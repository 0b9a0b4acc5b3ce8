//! Networks in folders, weights that others trained, and where they come from: all file and network access of the crate.

mod assign;
mod cache;
mod dialect;
mod dlib;
#[cfg(feature = "hub")]
mod fetch;
mod folder;
#[doc(hidden)]
pub mod hostile;
mod hub;
mod load;
mod network;
mod open;
mod pickle;
mod preprocess;
mod pth;
mod report;
mod source;
mod tensors;
mod transformers;
pub(crate) mod weights_file;

pub use folder::load_config;
pub use hub::Hub;
pub use load::{PretrainedPreprocess, pretrained_preprocess};
pub use network::pretrained_backbone;
pub use preprocess::{Interpolation, Preprocess};
pub use report::LoadReport;
pub use source::Weights;
