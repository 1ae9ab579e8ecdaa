//! What a step minimizes: functions of the embeddings of a whole batch.
//!
//! One file per objective. An objective knows embeddings only. It must not know the encoder that
//! computed them or how the batch was split into pieces.

mod contrastive;
mod matryoshka;
mod objective;

pub use matryoshka::Matryoshka;
pub use objective::Objective;
