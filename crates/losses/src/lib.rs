//! Losses of deep metric learning for candle: Sohn's multi-class N-pair loss and its relatives (NIPS 2016, equations 1 to
//! 9), a softmax classifier, the regularisation of embedding norms, and the other losses of the field.
//!
//! All losses are in nats (or in the units of their distance), means over their terms, and finite for logits of any finite
//! size.
//!
//! The paper's losses take embeddings as they are: nothing is normalised unless you do it.
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
//! The others normalise embeddings themselves (but for [`SphereFace`]), as their papers do. For a batch of B rows of width
//! D, C classes and P pairs of one class:
//!
//! | loss | year | terms | memory beyond inputs and gradients |
//! |---|---|---|---|
//! | [`LiftedStructure`] | 2016 | pairs of one class | O(B^2) |
//! | [`Angular`], [`TupletMargin`] | 2017, 2019 | pairs of one class | O(P D) |
//! | [`GeneralisedLiftedStructure`] | 2017 | examples | O(B^2) |
//! | [`TripletMarginAll`], [`ContrastiveAll`] | | all triplets, all pairs, reduced by a [`Reducer`] | O(B^2) |
//! | [`Histogram`] | 2016 | all pairs | O(B^2) |
//! | [`FastAp`], [`SmoothAp`] | 2019, 2020 | examples | O(B^2) |
//! | [`RankedList`] | 2019 | examples | O(B^2) |
//! | [`MultiSimilarity`] | 2019 | examples | O(B^2), from 4,096 rows O(B D) |
//! | [`TripletBatchHard`] | 2017 | examples | O(B D) |
//! | [`Circle`] | 2020 | examples | O(B^2) |
//! | [`NtXent`] | 2020 | pairs of one class, ordered | O(P D) |
//! | [`SupCon`] | 2020 | examples | O(B D) |
//!
//! And those with variables of their own, most for every class, which an optimiser has to be given (`variables()`):
//!
//! | loss | year | variables | memory beyond inputs and gradients |
//! |---|---|---|---|
//! | [`SphereFace`], [`CosFace`], [`ArcFace`] | 2017, 2018, 2019 | directions | O((B + C) D) |
//! | [`SubCentreArcFace`] | 2020 | K directions each | O(B C K) |
//! | [`NormalisedSoftmax`] | 2019 | directions | O((B + C) D) |
//! | [`ProxyNca`], [`ProxyAnchor`] | 2017, 2020 | proxies | O((B + C) D) |
//! | [`SoftTriple`] | 2019 | K centres each | O(B C K) |
//! | [`MarginLoss`] | 2017 | a boundary each | O(B^2) |
//! | [`SigLip`] | 2023 | temperature and bias, one for all | O(N D), N pairs |
//!
//! # More than one batch, more than one loss
//!
//! * [`CrossBatchMemory`] keeps the embeddings of the last batches; a [`GalleryLoss`] compares a batch with them too. These are
//!   the losses whose terms belong to queries: [`NPairMc`], [`NPairOvo`], [`MultiPositiveNPair`], [`NcaStyle`], [`NtXent`],
//!   [`SupCon`], [`TupletMargin`], [`MultiSimilarity`], [`Circle`], [`ContrastiveAll`], [`TripletMarginAll`], [`MarginLoss`],
//!   [`GeneralisedLiftedStructure`], [`TripletBatchHard`], [`RankedList`], [`FastAp`], [`SmoothAp`]. With M rows remembered, B (B + M) takes the
//!   place of B^2 in the memory above.
//! * [`WeightedSum`] adds losses.
//! * A [`Reducer`] says how the terms of a hinged loss become one number.
//!
//! # Regularisers
//!
//! Each is a [`Regulariser`]: a penalty of the embeddings, or of the rows that a loss has for every class.
//!
//! | regulariser | year | keeps |
//! |---|---|---|
//! | [`NormPenalty`], [`LpNorm`] | 2016 | norms small |
//! | [`CentreInvariant`] | 2017 | norms alike |
//! | [`ZeroMean`] | | the mean of a row's entries at 0 |
//! | [`RegularFace`] | 2019 | directions of classes away from their nearest |
//! | [`SparseCentres`] | 2019 | the centres of a class together |
//! | [`KoLeo`], [`Uniformity`] | 2019, 2020 | rows spread over the sphere |
#![forbid(unsafe_code)]

mod angle;
mod angular;
mod arc_face;
mod away;
mod centre_invariant;
mod circle;
mod class_weights;
mod contrastive;
mod contrastive_all;
mod cos_face;
mod cross_batch_memory;
mod error;
mod fast_ap;
mod found;
mod gallery;
mod generalised_lifted_structure;
mod hinges;
mod histogram;
mod ko_leo;
mod lifted_structure;
mod loss;
mod lp_norm;
mod margin_free_triplet;
mod margin_loss;
mod multi_positive_n_pair;
mod multi_similarity;
mod n_pair_mc;
mod n_pair_ovo;
mod n_tuplet;
mod nca_style;
mod nearest;
mod norm_penalty;
mod normalised_softmax;
mod nt_xent;
mod pair_matrix;
mod positives;
mod proxy_anchor;
mod proxy_nca;
mod ranked_list;
mod reducer;
mod regular_face;
mod regulariser;
mod rows;
mod setting;
mod sig_lip;
mod smooth_ap;
mod smooth_triplet;
mod soft_triple;
mod softmax_classifier;
mod sparse_centres;
mod sphere_face;
mod stable;
mod sub_centre_arc_face;
mod sup_con;
mod symmetric_n_pair_mc;
mod triplet_batch_hard;
mod triplet_margin;
mod triplet_margin_all;
mod tuplet_margin;
mod uniformity;
mod weighted_sum;
mod zero_mean;

pub use angular::Angular;
pub use arc_face::ArcFace;
pub use centre_invariant::CentreInvariant;
pub use circle::Circle;
pub use contrastive::Contrastive;
pub use contrastive_all::ContrastiveAll;
pub use cos_face::CosFace;
pub use cross_batch_memory::CrossBatchMemory;
pub use error::{Error, Result};
pub use fast_ap::FastAp;
pub use gallery::{Gallery, GalleryLoss};
pub use generalised_lifted_structure::GeneralisedLiftedStructure;
pub use histogram::Histogram;
pub use ko_leo::KoLeo;
pub use lifted_structure::LiftedStructure;
pub use loss::{Loss, LossValue, PairLoss, TripletLoss};
pub use lp_norm::LpNorm;
pub use margin_free_triplet::MarginFreeTriplet;
pub use margin_loss::MarginLoss;
pub use multi_positive_n_pair::MultiPositiveNPair;
pub use multi_similarity::MultiSimilarity;
pub use n_pair_mc::NPairMc;
pub use n_pair_ovo::NPairOvo;
pub use n_tuplet::NTuplet;
pub use nca_style::NcaStyle;
pub use norm_penalty::{NormForm, NormPenalty};
pub use normalised_softmax::NormalisedSoftmax;
pub use nt_xent::NtXent;
pub use proxy_anchor::ProxyAnchor;
pub use proxy_nca::ProxyNca;
pub use ranked_list::RankedList;
pub use reducer::{Band, Reducer};
pub use regular_face::RegularFace;
pub use regulariser::Regulariser;
pub use sig_lip::SigLip;
pub use smooth_ap::SmoothAp;
pub use smooth_triplet::SmoothTriplet;
pub use soft_triple::SoftTriple;
pub use softmax_classifier::SoftmaxClassifier;
pub use sparse_centres::SparseCentres;
pub use sphere_face::SphereFace;
pub use sub_centre_arc_face::SubCentreArcFace;
pub use sup_con::SupCon;
pub use symmetric_n_pair_mc::SymmetricNPairMc;
pub use triplet_batch_hard::TripletBatchHard;
pub use triplet_margin::TripletMargin;
pub use triplet_margin_all::TripletMarginAll;
pub use tuplet_margin::TupletMargin;
pub use uniformity::Uniformity;
pub use weighted_sum::{PartValue, WeightedSum};
pub use zero_mean::ZeroMean;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/writing-a-loss.md")]
struct Guide;
