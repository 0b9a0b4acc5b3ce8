//! Scores of embeddings as the papers define them, on plain slices: no model, no gradient.
//!
//! | what | where | source |
//! |---|---|---|
//! | recall@K, precision@1, R-precision, MAP@R, MRR | [`retrieval`] | Song et al. 2016; Musgrave et al. 2020 |
//! | kNN accuracy | [`knn_accuracy`] | the paper's "recognition" |
//! | VRF with k negatives | [`vrf`] | Sohn 2016, section 4.1 |
//! | k-means | [`KMeans`] | Song et al. 2016 |
//! | NMI, AMI, pairwise F1, purity | [`Clustering`] | Song et al. 2016 |
//! | ROC, AUC, EER, TAR@FAR | [`Roc`] | |
//!
//! Similarities are summed in f64 and streamed: memory does not grow with queries times gallery. Queries without a
//! positive are left out and counted; what is undefined is an error, never a NaN.
#![forbid(unsafe_code)]

mod clustering;
mod embeddings;
mod error;
mod k_means;
mod knn;
mod mean;
mod retrieval;
mod roc;
mod search;
mod vrf;

pub use clustering::Clustering;
pub use embeddings::Embeddings;
pub use error::{Error, Result};
pub use k_means::{Clusters, KMeans, Start};
pub use knn::knn_accuracy;
pub use mean::Mean;
pub use retrieval::{Retrieval, retrieval};
pub use roc::Roc;
pub use search::Search;
pub use vrf::vrf;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
