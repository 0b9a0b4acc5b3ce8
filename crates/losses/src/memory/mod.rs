//! Rows of earlier batches as a reference for the next.

mod cross_batch_memory;

pub use cross_batch_memory::{CrossBatchMemory, CrossBatchMemorySettings};
