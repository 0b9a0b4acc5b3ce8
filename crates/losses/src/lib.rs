//! Losses of deep metric learning for candle: Sohn's multi-class N-pair loss and its relatives (NIPS 2016, equations 1 to
//! 9), a softmax classifier, the regularization of embedding norms, and the other losses of the field.
//!
//! All losses are in nats (or in the units of their distance), means over their terms, and finite for logits of any finite
//! size.
//!
//! The paper's losses take embeddings as they are: nothing is normalized unless you do it.
//!
//! Embeddings may lie on a device. The paper's losses, the soft-max and proxy losses and those of a streamed matrix are worked
//! out there; those that look at a row of the matrix several times (O(B^2) below) read the embeddings once and hand the gradient
//! back, and hinges read how many of their terms are active.
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
//!
//! The others normalize embeddings themselves (but for [`SphereFace`]), as their papers do. For a batch of B rows of width
//! D, C classes and P pairs of one class:
//!
//! | loss | year | terms | memory beyond inputs and gradients |
//! |---|---|---|---|
//! | [`LiftedStructure`] | 2016 | pairs of one class | O(B^2) |
//! | [`Angular`], [`TupletMargin`] | 2017, 2019 | pairs of one class | O(P D) |
//! | [`GeneralizedLiftedStructure`] | 2017 | examples | O(B^2) |
//! | [`BatchAllTriplet`], [`PairwiseContrastive`] | | all triplets, all pairs, reduced by a [`Reducer`] | O(B^2) |
//! | [`Histogram`] | 2016 | all pairs | O(B^2) |
//! | [`FastAp`], [`SmoothAp`] | 2019, 2020 | examples | O(B^2) |
//! | [`RankedList`] | 2019 | examples | O(B^2) |
//! | [`MultiSimilarity`] | 2019 | examples | O(B^2), from 4,096 rows O(B D) |
//! | [`BatchHardTriplet`] | 2017 | examples | O(B D) |
//! | [`Circle`] | 2020 | examples | O(B^2) |
//! | [`NtXent`] | 2020 | pairs of one class, ordered | O(P D) |
//! | [`SupCon`] | 2020 | examples | O(B D) |
//! | [`MultiSupCon`] | 2024 | examples whose classes are sets of labels | O(B D) a label |
//!
//! And those with variables of their own, most for every class, which an optimizer has to be given (`variables()`):
//!
//! | loss | year | variables | memory beyond inputs and gradients |
//! |---|---|---|---|
//! | [`SphereFace`], [`CosFace`], [`ArcFace`] | 2017, 2018, 2019 | directions | O((B + C) D) |
//! | [`SubCenterArcFace`] | 2020 | K directions each | O(B C K) |
//! | [`NormalizedSoftmax`] | 2019 | directions | O((B + C) D) |
//! | [`ProxyNca`], [`ProxyAnchor`] | 2017, 2020 | proxies | O((B + C) D) |
//! | [`SoftTriple`] | 2019 | K centers each | O(B C K) |
//! | [`MarginLoss`] | 2017 | a boundary each | O(B^2) |
//! | [`SigLip`] | 2023 | temperature and bias, one for all | O(N D), N pairs |
//!
//! # More than one batch, more than one loss
//!
//! * A [`Batch`] carries what a loss may look at: embeddings and labels, tuples that a sampler formed or a miner chose, and a
//!   reference. [`Loss::accepts`] says which of these a loss uses.
//! * [`CrossBatchMemory`] keeps the embeddings of the last batches as a reference, with which a batch is compared too. It goes with
//!   the losses whose terms belong to queries: [`NPairMc`], [`NPairOvo`], [`MultiPositiveNPair`], [`NcaStyle`], [`NtXent`],
//!   [`SupCon`], [`MultiSupCon`], [`TupletMargin`], [`MultiSimilarity`], [`Circle`], [`PairwiseContrastive`], [`BatchAllTriplet`], [`MarginLoss`],
//!   [`GeneralizedLiftedStructure`], [`BatchHardTriplet`], [`RankedList`], [`FastAp`], [`SmoothAp`]. With M rows remembered, B (B + M) takes the
//!   place of B^2 in the memory above.
//! * [`WeightedSum`] adds losses.
//! * A [`Reducer`] says how the terms of a hinged loss become one number.
//!
//! # Regularizers
//!
//! Each is a [`Regularizer`]: a penalty of the embeddings, or of the rows that a loss has for every class.
//!
//! | regularizer | year | keeps |
//! |---|---|---|
//! | [`NormPenalty`], [`LpNorm`] | 2016 | norms small |
//! | [`CenterInvariant`] | 2017 | norms alike |
//! | [`ZeroMean`] | | the mean of a row's entries at 0 |
//! | [`RegularFace`] | 2019 | directions of classes away from their nearest |
//! | [`SparseCenters`] | 2019 | the centers of a class together |
//! | [`KoLeo`], [`Uniformity`] | 2019, 2020 | rows spread over the sphere |
#![forbid(unsafe_code)]

mod accepts;
mod angle;
mod batch;
mod device;
mod error;
mod listwise;
mod loss;
mod loss_of_pairs;
mod memory;
mod n_pair;
mod pair;
mod precomputed;
mod proxy;
mod regularizer;
mod row;
mod rows;
pub mod setting;
mod softmax;
mod stable;
mod triplet;
mod tuplet;
mod weighted_sum;

pub use accepts::Accepts;
pub use batch::Batch;
pub use device::upload;
pub use error::{Error, Result};
pub use listwise::*;
pub use loss::{Loss, LossContext, LossSettings, LossValue, PartValue};
pub use loss_of_pairs::{PairLoss, TripletLoss};
pub use memory::*;
pub use n_pair::*;
pub use pair::*;
pub use precomputed::precomputed_gradient;
pub use proxy::*;
pub use regularizer::*;
pub use row::{Band, Entry, Needs, Reducer, Row, RowLoss, RowTerms};
pub use rows::unit_rows;
pub use softmax::*;
pub use triplet::*;
pub use tuplet::*;
pub use weighted_sum::WeightedSum;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
