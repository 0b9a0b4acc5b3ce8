//! CUDA kernels of the pairwise similarity matrix: device code only.
//!
//! Without the feature `build` there is nothing here and nothing is compiled: the crate is inert. With it, nvcc compiles
//! `kernels/*.cu`. `IMAGES` holds what the driver loads: PTX for GPUs of compute capability 8.0 and later, and code
//! for those that `CUDA_COMPUTE_CAP` names; `HOPPER` holds code for compute capability 9.0, with instructions that no other has.
//! `npair-similarity` starts the kernels; what each of them takes is said above it.
#![forbid(unsafe_code)]

#[cfg(feature = "build")]
include!(concat!(env!("OUT_DIR"), "/images.rs"));

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
