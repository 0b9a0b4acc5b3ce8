//! The npair engine: configuration, training loop, optimisers, checkpoints, exact resume, evaluation protocols.
