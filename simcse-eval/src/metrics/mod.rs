//! Ranking metrics, correlations and cosine similarity of plain slices and matrices.
//!
//! This room knows numbers. It must not know files, data sets or encoders, so that anything can be
//! scored with it.
//!
//! Every figure is computed in f64 from f32 scores. Scores must be finite, and `-0.0` ties with
//! `0.0`.
//!
//! ```
//! use simcse_eval::metrics::{average_precision, mrr, spearman};
//!
//! let relevant = [false, true, true];
//! let scores = [0.9, 0.8, 0.1];
//! assert_eq!(mrr(&relevant, &scores, 10)?, 0.5);
//! assert_eq!(average_precision(&relevant, &scores)?, (1.0 / 2.0 + 2.0 / 3.0) / 2.0);
//! assert_eq!(spearman(&[0.1, 0.5, 0.7], &[1.0, 2.0, 5.0])?, 1.0);
//! # Ok::<(), simcse_eval::MetricError>(())
//! ```

pub(crate) mod classification;
pub(crate) mod correlation;
pub(crate) mod error;
pub(crate) mod geometry;
pub(crate) mod ranking;
pub(crate) mod retrieval;
pub(crate) mod unit_rows;

pub use classification::majority;
pub use correlation::{pearson, spearman};
pub use error::MetricError;
pub use geometry::{alignment, effective_rank, mean_cosine, principal_coordinates, reciprocal_ranks, uniformity};
pub use ranking::{average_precision, mrr, ndcg, precision};
pub use retrieval::{average_precision_at, ndcg_at, recall_at, reciprocal_rank_at};
pub use unit_rows::unit_rows;
