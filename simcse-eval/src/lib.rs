//! Ranking metrics, AskUbuntu reranking and semantic textual similarity.
//!
//! Data sets are read into [`Reranking`] and [`Sts`]; both score a [`simcse_model::SentenceEncoder`], or embeddings
//! made by anything else. Figures are fractions between 0 and 1 (correlations between −1 and 1), never percentages.

pub mod askubuntu;
mod corpus;
pub mod correlation;
mod error;
pub mod lexical;
pub mod metrics;
pub mod sts;
mod text;

pub use askubuntu::{Bm25Scores, RerankScores, Reranking, Split};
pub use corpus::{HeldOut, Titles};
pub use error::Error;
pub use metrics::MetricError;
pub use sts::{Sts, StsScores};
