//! How far a figure can be trusted: the values that it is computed from, its confidence interval,
//! and the difference of two models' figures.
//!
//! This room knows numbers. It must not know files, texts or encoders.

pub(crate) mod levels;
pub(crate) mod sample;

pub use sample::Sample;
