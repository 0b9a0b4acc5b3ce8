//! What npair's own tests are made of: [`gradient`] checks against central differences, [`reach`]ability of every
//! trainable variable, [`golden`] files of reference values, seeded
//! [`inputs`], and [`hostile`] bytes. Unpublished, a dev-dependency.
#![forbid(unsafe_code)]

pub mod emulation;
pub mod golden;
pub mod gradient;
pub mod hostile;
pub mod inputs;
pub mod mpirun;
pub mod reach;
pub mod require;
pub mod threads;
