//! How far a figure can be trusted: the values that it is computed from, its confidence interval,
//! and the difference of two models' figures.
//!
//! This room knows numbers. It must not know files, texts or encoders.
//!
//! ```
//! use simcse_eval::Sample;
//!
//! let sample = Sample::Mean(vec![0.2, 0.9, 0.7, 1.0, 0.4, 0.5]);
//! let interval = sample.interval().unwrap();
//! assert!(interval.low < sample.value().unwrap() && sample.value().unwrap() < interval.high);
//! assert!(!interval.contains(0.1), "six queries are few, but not that few");
//! ```

pub(crate) mod bootstrap;
pub(crate) mod comparison;
pub(crate) mod levels;
pub(crate) mod permutation;
pub(crate) mod sample;

pub use bootstrap::{Interval, RESAMPLES};
pub use comparison::{Change, Difference, Gain, changes, differences, main_difference};
pub use permutation::PERMUTATIONS;
pub use sample::Sample;
