//! Losses of deep metric learning for candle: Sohn's multi-class N-pair loss and its relatives (NIPS 2016, equations 1 to
//! 9), a softmax classifier, and the regularisation of embedding norms.
//!
//! Embeddings are taken as they are: nothing is normalised unless you do it. All losses are in nats (or in the units of
//! their distance), means over their terms, and finite for logits of any finite size.
//!
//! | loss | equation | terms |
//! |---|---|---|
//! | [`Contrastive`] | 1 | pairs, same or not |
//! | [`TripletMargin`] | 2 | triplets |
//! | [`NTuplet`] | 3 | tuplets with their own negatives |
//! | [`SmoothTriplet`] | 4 | triplets; what the paper calls "triplet" |
//! | [`MarginFreeTriplet`] | 5 | triplets |
//! | [`NPairMc`], [`SymmetricNPairMc`] | 7, footnote 2 | N pairs |
//! | [`NPairOvo`] | 8 | N pairs |
//! | [`NcaStyle`] | 9 | every example against all others |
//! | [`MultiPositiveNPair`] | 7, for more than two examples a class | every (anchor, positive) |
//! | [`SoftmaxClassifier`] | the paper's softmax baseline | every example |
#![forbid(unsafe_code)]

mod contrastive;
mod error;
mod loss;
mod margin_free_triplet;
mod multi_positive_n_pair;
mod n_pair_mc;
mod n_pair_ovo;
mod n_tuplet;
mod nca_style;
mod norm_penalty;
mod rows;
mod smooth_triplet;
mod softmax_classifier;
mod stable;
mod symmetric_n_pair_mc;
mod triplet_margin;

pub use contrastive::Contrastive;
pub use error::{Error, Result};
pub use loss::{Loss, LossValue, PairLoss, TripletLoss};
pub use margin_free_triplet::MarginFreeTriplet;
pub use multi_positive_n_pair::MultiPositiveNPair;
pub use n_pair_mc::NPairMc;
pub use n_pair_ovo::NPairOvo;
pub use n_tuplet::NTuplet;
pub use nca_style::NcaStyle;
pub use norm_penalty::{NormForm, NormPenalty};
pub use smooth_triplet::SmoothTriplet;
pub use softmax_classifier::SoftmaxClassifier;
pub use symmetric_n_pair_mc::SymmetricNPairMc;
pub use triplet_margin::TripletMargin;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
