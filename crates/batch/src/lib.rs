//! Which examples form a batch. Samplers return ids and index tuples ([`BatchPlan`]), never pixels, and call no model:
//! where a choice depends on the model (negative class mining), prototypes come in as a tensor.
//!
//! | sampler | batch | examples |
//! |---|---|---|
//! | [`NPairSampler`] | two examples of each of N classes | 2N |
//! | [`TripletSampler`] | the same, read as the paper's N triplets | 2N |
//! | [`TupletSampler`] | N queries with negatives of their own | (N + 1) N |
//! | [`BalancedSampler`] | M examples of each of C classes | C M |
//!
//! What every sampler does at the edges: classes with too few examples are left out and listed by `left_out`; a batch is
//! always whole, the last classes of an epoch are filled up with the first of the next, and no class stands in a batch
//! twice; more classes per batch than there are is an error; class numbers need not be contiguous.
#![forbid(unsafe_code)]

mod balanced;
mod class_mining;
mod deck;
mod error;
mod n_pair;
mod plan;
mod triplet;
mod tuplet;

pub use balanced::BalancedSampler;
pub use class_mining::{Candidates, ClassMiner, GreedyMiner, Mined, MinedClasses, Mining, Prototypes, Violation};
pub use error::{Error, Result};
pub use n_pair::NPairSampler;
pub use plan::{BatchPlan, BatchSampler, Roles};
pub use triplet::TripletSampler;
pub use tuplet::TupletSampler;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/writing-a-sampler.md")]
struct Guide;
