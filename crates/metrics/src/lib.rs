//! Scores of embeddings as the papers define them, on plain slices: no model, no gradient.
//!
//! | what | where | source |
//! |---|---|---|
//! | recall@K, precision@K, R-precision, MAP, MAP@R, MRR, nDCG@K | [`retrieval`], by class [`retrieval_by_class`], by query [`query_scores`] | Song et al. 2016; Musgrave et al. 2020 |
//! | kNN and nearest-centroid accuracy | [`knn_accuracy`], [`nearest_centroid_accuracy`] | the paper's "recognition" |
//! | VRF with k negatives | [`vrf`] | Sohn 2016, section 4.1 |
//! | k-means | [`KMeans`] | Song et al. 2016 |
//! | NMI, AMI, ARI, pairwise F1, purity | [`Clustering`] | Song et al. 2016 |
//! | ROC, AUC, EER, TAR@FAR, best accuracy | [`Roc`] | |
//! | threshold for a false accept rate, probability of a match | [`Verifier`], [`VerificationPairs`], [`Calibration`] | Platt 1999; Zadrozny and Elkan 2002 |
//! | accuracy over folds | [`folds`] | Labeled Faces in the Wild, 2007 |
//! | rank-K, DIR@FAR | [`identification`] | Best-Rowden et al. 2014 |
//! | alignment, uniformity, spectrum | [`diagnostics`] | Wang and Isola 2020 |
//! | intervals, differences | [`bootstrap`], [`paired_difference`], [`holm`] | Efron and Tibshirani 1993; Holm 1979 |
//!
//! Ranks and distances are those of sums in f64; the matrix is streamed, for f32 embeddings in f32 wherever that decides the same:
//! memory does not grow with queries times gallery. Queries without a
//! positive are left out and counted; what is undefined is an error, never a NaN.
#![forbid(unsafe_code)]

mod bootstrap;
mod centroid;
mod clustering;
mod diagnostics;
mod embeddings;
mod error;
mod folds;
mod identification;
mod k_means;
mod knn;
mod label_overlap;
mod mean;
mod paired;
mod retrieval;
mod roc;
mod search;
mod verification;
mod vrf;

pub use bootstrap::{Interval, bootstrap};
pub use centroid::nearest_centroid_accuracy;
pub use clustering::Clustering;
pub use diagnostics::{Diagnostics, diagnostics};
pub use embeddings::Embeddings;
pub use error::{Error, Result};
pub use folds::{Fold, Folds, folds};
pub use identification::{Identification, OpenSet, identification};
pub use k_means::{Clusters, KMeans, Round, Start};
pub use knn::knn_accuracy;
pub use label_overlap::label_overlaps;
pub use mean::Mean;
pub use paired::{PairedDifference, holm, paired_difference};
pub use retrieval::{QueryScores, Retrieval, query_scores, retrieval, retrieval_by_class};
pub use roc::Roc;
pub use search::Search;
pub use verification::{Calibration, Decision, Rates, Threshold, VerificationPairs, Verifier};
pub use vrf::{PairScores, vrf};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
