//! The pairwise similarity matrix of metric learning: dense and differentiable, or streamed and never stored.
