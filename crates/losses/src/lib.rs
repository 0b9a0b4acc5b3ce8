//! Losses of deep metric learning for candle: Sohn's multi-class N-pair loss and its relatives (NIPS 2016, equations 1 to
//! 9), a softmax classifier, the regularisation of embedding norms, and the other losses of the field.
//!
//! All losses are in nats (or in the units of their distance), means over their terms, and finite for logits of any finite
//! size.
//!
//! The paper's losses take embeddings as they are: nothing is normalised unless you do it.
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
#![forbid(unsafe_code)]

mod angle;
mod angular;
mod arc_face;
mod circle;
mod class_weights;
mod contrastive;
mod contrastive_all;
mod cos_face;
mod error;
mod fast_ap;
mod found;
mod generalised_lifted_structure;
mod histogram;
mod lifted_structure;
mod loss;
mod margin_free_triplet;
mod margin_loss;
mod multi_positive_n_pair;
mod multi_similarity;
mod n_pair_mc;
mod n_pair_ovo;
mod n_tuplet;
mod nca_style;
mod norm_penalty;
mod normalised_softmax;
mod nt_xent;
mod pair_matrix;
mod positives;
mod proxy_anchor;
mod proxy_nca;
mod ranked_list;
mod reducer;
mod rows;
mod setting;
mod sig_lip;
mod smooth_ap;
mod smooth_triplet;
mod soft_triple;
mod softmax_classifier;
mod sphere_face;
mod stable;
mod sub_centre_arc_face;
mod sup_con;
mod symmetric_n_pair_mc;
mod triplet_batch_hard;
mod triplet_margin;
mod triplet_margin_all;
mod tuplet_margin;

pub use angular::Angular;
pub use arc_face::ArcFace;
pub use circle::Circle;
pub use contrastive::Contrastive;
pub use contrastive_all::ContrastiveAll;
pub use cos_face::CosFace;
pub use error::{Error, Result};
pub use fast_ap::FastAp;
pub use generalised_lifted_structure::GeneralisedLiftedStructure;
pub use histogram::Histogram;
pub use lifted_structure::LiftedStructure;
pub use loss::{Loss, LossValue, PairLoss, TripletLoss};
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
pub use reducer::Reducer;
pub use sig_lip::SigLip;
pub use smooth_ap::SmoothAp;
pub use smooth_triplet::SmoothTriplet;
pub use soft_triple::SoftTriple;
pub use softmax_classifier::SoftmaxClassifier;
pub use sphere_face::SphereFace;
pub use sub_centre_arc_face::SubCentreArcFace;
pub use sup_con::SupCon;
pub use symmetric_n_pair_mc::SymmetricNPairMc;
pub use triplet_batch_hard::TripletBatchHard;
pub use triplet_margin::TripletMargin;
pub use triplet_margin_all::TripletMarginAll;
pub use tuplet_margin::TupletMargin;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/writing-a-loss.md")]
struct Guide;
