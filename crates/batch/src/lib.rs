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
//! Inside a batch, miners choose the tuples that a loss looks at, from the embeddings:
//!
//! | miner | tuples | most per anchor |
//! |---|---|---|
//! | [`AllTriplets`] | all, or a random choice | the cap |
//! | [`BatchHard`] | farthest positive, nearest negative | 1 |
//! | [`Hardest`] | the k hardest triplets | k |
//! | [`SemiHard`] | the nearest negative beyond each positive, within a margin | the cap |
//! | [`EasyPositive`] | nearest positive; hard, semi-hard or easy negative | 1 |
//! | [`DistanceWeighted`] | a random negative for each positive, all distances alike | the cap |
//! | [`AngularMiner`] | triplets of a large angle | the cap |
//! | [`MultiSimilarityMiner`] | pairs beyond the hardest of the other kind | the cap, of either kind |
//!
//! None of them makes a list of all triplets: memory is that of what is kept, and at most one matrix (B, B). An outside one is a
//! [`TupleMiner`], an outside sampler a [`BatchSampler`], and the classes that meet in a batch are chosen by a [`ClassMiner`].
//!
//! Every sampler at the edges: classes with too few examples are left out and listed by `left_out`; a batch is
//! always whole, the last classes of an epoch are filled up with the first of the next, and no class stands in a batch
//! twice; more classes per batch than there are is an error; class numbers need not be contiguous.
#![forbid(unsafe_code)]

mod class_mining;
mod error;
mod sampler;
mod tuple_mining;

pub use class_mining::{
    CandidateSets, Candidates, ChosenClasses, ClassMiner, GreedyMiner, GreedyMiningSettings, Groups, Prototypes,
    Violation,
};
pub use error::{Error, Result};
pub use sampler::*;
pub use tuple_mining::*;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
