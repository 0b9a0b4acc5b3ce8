//! Ranks that train one network: what they tell each other, and sums whose bits do not depend on how many they are.
//!
//! | what | |
//! |---|---|
//! | [`Collective`] | gather, exchange, broadcast, wait: what ranks do together |
//! | [`Alone`] | one process |
//! | [`Threads`] | threads of one process: for tests, and for machines with many cores |
//! | `Mpi` | processes that `mpirun` or `srun` started, on one machine or many (feature `mpi`) |
//! | `Nccl` | the same, with their bytes carried between NVIDIA GPUs (feature `nccl`) |
//! | [`Shards`] | how a batch is cut, and which parts a rank has |
//! | [`TreeSum`], [`sum_over_ranks`], [`sum_to_rank`] | a sum over shards in one order |
//!
//! A batch is cut into a number of shards that is a setting of the run, not into as many as there are ranks; every shard's gradient is
//! worked out by itself, and they are added by one binary tree over the shards. So 1, 2 and 4 ranks take the same steps to the
//! bit, and a run goes on with another number of ranks than it began with.
#![forbid(unsafe_code)]

mod alone;
mod collective;
mod error;
#[cfg(any(feature = "mpi", test))]
mod header;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod shards;
mod sum;
mod threads;
mod tree_sum;

pub use alone::Alone;
pub use collective::{Collective, Tag, broadcast_values, gather_values};
pub use error::{Error, Result};
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
#[cfg(feature = "nccl")]
pub use nccl::Nccl;
pub use shards::Shards;
pub use sum::{sum_over_ranks, sum_to_rank};
pub use threads::{ThreadRank, Threads};
pub use tree_sum::TreeSum;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
